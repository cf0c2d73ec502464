// A dialog about files: Escape and a click beside it close it, and the focus goes back where it was.

import { useLayoutEffect, useRef } from "react";
import type { PointerEvent, ReactNode } from "react";

import { ask } from "../../state/saving";
import { useEditor } from "../../state/context";

interface WindowProps {
  readonly label: string;
  readonly kind: string;
  readonly children: ReactNode;
}

/** Whether it is the page behind that was pressed. */
function beside({ target, currentTarget, clientX: x, clientY: y }: PointerEvent<HTMLElement>): boolean {
  const { left, top, right, bottom } = currentTarget.getBoundingClientRect();
  return target === currentTarget && (x < left || x > right || y < top || y > bottom);
}

export function Window({ label, kind, children }: WindowProps) {
  const editor = useEditor();
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    return () => element?.close();
  }, []);
  const closed = (): void => {
    const element = dialog.current;
    if (element?.isConnected && !element.open) ask(editor, null);
  };
  return (
    <dialog
      ref={dialog}
      className={`files ${kind}`}
      aria-label={label}
      onClose={closed}
      onPointerDown={(event) => beside(event) && dialog.current?.close()}
    >
      {children}
    </dialog>
  );
}
