// A number: drag it sideways, type it (with arithmetic), or step it with arrow keys.

import { useRef, useState } from "react";
import type { KeyboardEvent, PointerEvent } from "react";

import { evaluate } from "../doc/arithmetic";
import type { NumberWidget } from "../doc/catalogue";
import { fitNumber } from "../doc/widgets";
import { t } from "../i18n/t";
import { useEditor } from "../state/context";
import type { WidgetProps } from "./WidgetRow";

const DOTS = 4; // pixels of a drag for each step
const START = 4; // pixels before it is a drag

export function NumberField({
  value,
  change,
  label,
  name,
  widget,
}: WidgetProps<number | bigint> & { widget: NumberWidget }) {
  const { document } = useEditor();
  const [typed, setTyped] = useState<string | null>(null);
  const drag = useRef<{ readonly x: number; readonly from: number; on: boolean } | null>(null);
  const set = (next: number | bigint): void => change(fitNumber(next, widget));
  const step = (count: number): void =>
    set(typeof value === "bigint" ? value + BigInt(Math.round(count * widget.step)) : value + count * widget.step);

  const enter = (text: string): void => {
    setTyped(null);
    const next = read(text);
    if (next !== null) set(next);
  };
  const onKeyDown = (event: KeyboardEvent<HTMLInputElement>): void => {
    const up = event.key === "ArrowUp" ? 1 : event.key === "ArrowDown" ? -1 : 0;
    if (event.key === "Enter" && !event.ctrlKey) enter(event.currentTarget.value);
    if (event.key === "Escape") setTyped(null);
    if (up) {
      event.preventDefault();
      setTyped(null);
      step(up * (event.shiftKey ? 10 : 1));
    }
  };
  const onPointerDown = (event: PointerEvent<HTMLInputElement>): void => {
    const focused = event.currentTarget === event.currentTarget.ownerDocument.activeElement;
    if (event.button !== 0 || focused) return;
    drag.current = { x: event.clientX, from: Number(value), on: false };
    event.currentTarget.setPointerCapture(event.pointerId);
    event.preventDefault(); // it gets the focus when it turns out to be a click
  };
  const onPointerMove = (event: PointerEvent): void => {
    const { current } = drag;
    if (!current) return;
    const by = event.clientX - current.x;
    if (!current.on && Math.abs(by) < START) return;
    if (!current.on) document.begin(name);
    current.on = true;
    set(current.from + Math.round(by / DOTS) * widget.step * (event.shiftKey ? 10 : 1));
  };
  const onPointerUp = (event: PointerEvent<HTMLInputElement>): void => {
    const { current } = drag;
    drag.current = null;
    if (current?.on) document.commit();
    else if (current) {
      event.currentTarget.focus();
      event.currentTarget.select();
    }
  };
  return (
    <>
      <span className="widget-name">{name}</span>
      <button type="button" className="step" tabIndex={-1} aria-label={`${t("widget.less")}: ${label}`} onClick={() => step(-1)}>
        ‹
      </button>
      <input
        className="number"
        type="text"
        inputMode="decimal"
        role="spinbutton"
        aria-label={label}
        aria-valuenow={Number(value)}
        aria-valuemin={widget.min === null ? undefined : Number(widget.min)}
        aria-valuemax={widget.max === null ? undefined : Number(widget.max)}
        value={typed ?? String(value)}
        onChange={(event) => setTyped(event.target.value)}
        onBlur={(event) => typed !== null && enter(event.target.value)}
        onKeyDown={onKeyDown}
        onPointerDown={onPointerDown}
        onPointerMove={onPointerMove}
        onPointerUp={onPointerUp}
        onPointerCancel={onPointerUp}
      />
      <button type="button" className="step" tabIndex={-1} aria-label={`${t("widget.more")}: ${label}`} onClick={() => step(1)}>
        ›
      </button>
    </>
  );
}

/** What was typed as a number; null if it is none. Whole numbers beyond 2^53 stay exact. */
function read(text: string): number | bigint | null {
  if (/^\s*\d{16,20}\s*$/.test(text)) return BigInt(text.trim());
  return evaluate(text);
}
