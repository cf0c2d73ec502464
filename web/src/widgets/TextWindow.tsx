// A text in a window of its own, with room for long prompts.

import { useEffect, useLayoutEffect, useRef } from "react";
import type { KeyboardEvent } from "react";
import { createPortal } from "react-dom";

import { t } from "../i18n/t";
import { weighedBy } from "./weighing";
import type { Weighed } from "./weighing";
import "./windows.css";

interface TextWindowProps {
  readonly value: string;
  readonly change: (value: string) => void;
  readonly label: string;
  readonly placeholder: string;
  /** What is selected in it at first. */
  readonly selected: readonly [number, number];
  readonly close: () => void;
}

export default function TextWindow({ value, change, label, placeholder, selected, close }: TextWindowProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const area = useRef<HTMLTextAreaElement>(null);
  const selection = useRef<Weighed | null>(null);
  const first = useRef(selected);
  useEffect(() => {
    dialog.current?.showModal();
    area.current?.focus();
    area.current?.setSelectionRange(...first.current);
  }, []);
  useLayoutEffect(() => {
    const { current } = selection;
    if (current?.text !== value) return;
    area.current?.setSelectionRange(current.start, current.end);
    selection.current = null;
  }, [value]);
  const onKeyDown = (event: KeyboardEvent<HTMLTextAreaElement>): void => {
    const made = weighedBy(event, value);
    if (!made) return;
    selection.current = made;
    change(made.text);
  };
  const words = value.split(/[\s,]+/).filter(Boolean).length;
  return createPortal(
    <dialog
      ref={dialog}
      className="window text-window"
      aria-label={label}
      onClose={close}
      onKeyDown={(event) => event.stopPropagation()}
      onPointerDown={(event) => event.stopPropagation()}
      onClick={(event) => event.target === event.currentTarget && dialog.current?.close()}
    >
      <div className="window-top">
        <h2>{label}</h2>
        <button type="button" onClick={() => dialog.current?.close()}>
          {t("gallery.close")}
        </button>
      </div>
      <textarea
        ref={area}
        aria-label={label}
        placeholder={placeholder}
        spellCheck={false}
        value={value}
        onChange={(event) => change(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <p className="window-bottom">
        <span>{t("text.count", { words, letters: value.length })}</span>
        <span>{t("text.weights")}</span>
      </p>
    </dialog>,
    document.body,
  );
}
