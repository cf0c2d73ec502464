// A text: one line, or as many as there are, with Ctrl+Up and Ctrl+Down for weights.

import type { KeyboardEvent } from "react";
import { useLayoutEffect, useRef } from "react";

import type { TextWidget } from "../doc/catalogue";
import type { Selected } from "../doc/weights";
import { reweigh } from "../doc/weights";
import type { WidgetProps } from "./WidgetRow";

const STEP = 0.1;

export function TextField({ value, change, label, name, widget }: WidgetProps<string> & { widget: TextWidget }) {
  const area = useRef<HTMLTextAreaElement>(null);
  const selection = useRef<Selected | null>(null);
  useLayoutEffect(() => {
    const { current } = selection;
    if (current?.text !== value) return;
    area.current?.setSelectionRange(current.start, current.end);
    selection.current = null;
  }, [value]);

  if (!widget.multiline) {
    return (
      <>
        <span className="widget-name">{name}</span>
        <input
          className="line"
          type="text"
          aria-label={label}
          placeholder={widget.placeholder}
          value={value}
          onChange={(event) => change(event.target.value)}
        />
      </>
    );
  }
  const weigh = (event: KeyboardEvent<HTMLTextAreaElement>): void => {
    const by = event.key === "ArrowUp" ? STEP : event.key === "ArrowDown" ? -STEP : 0;
    if (!by || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    const { selectionStart: start, selectionEnd: end } = event.currentTarget;
    const made = reweigh({ text: value, start, end }, by);
    if (made.text === value) return;
    selection.current = made;
    change(made.text);
  };
  return (
    <label className="text">
      <span className="widget-name">{name}</span>
      <textarea
        ref={area}
        className="nowheel"
        aria-label={label}
        placeholder={widget.placeholder}
        spellCheck={false}
        value={value}
        onChange={(event) => change(event.target.value)}
        onKeyDown={weigh}
      />
    </label>
  );
}
