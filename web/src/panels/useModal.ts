// A dialog over the page while it is mounted: the focus goes into it and comes back where it was.

import { useLayoutEffect, useRef } from "react";
import type { RefObject } from "react";

/** For a <dialog>: its ref and its onClose. closed: what is to be done when the user closes it. */
export function useModal(closed: () => void): readonly [RefObject<HTMLDialogElement | null>, () => void] {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    return () => element?.close(); // while it is there: a browser gives no focus back for one that is gone
  }, []);
  const onClose = (): void => {
    const element = dialog.current;
    if (element?.isConnected && !element.open) closed();
  };
  return [dialog, onClose];
}
