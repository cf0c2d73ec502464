// A text: one line, or as many as there are, with Ctrl+Up and Ctrl+Down for weights and a window of
// its own for long ones.

import type { KeyboardEvent } from "react";
import { Suspense, lazy, useLayoutEffect, useRef, useState } from "react";

import type { TextWidget } from "../doc/catalogue";
import { t } from "../i18n/t";
import { weighedBy } from "./weighing";
import type { Weighed } from "./weighing";
import type { WidgetProps } from "./WidgetRow";

const TextWindow = lazy(() => import("./TextWindow"));

export function TextField({ value, change, label, name, widget }: WidgetProps<string> & { widget: TextWidget }) {
  const area = useRef<HTMLTextAreaElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  const selection = useRef<Weighed | null>(null);
  const [large, setLarge] = useState<readonly [number, number] | null>(null); // what is selected in it
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
    const made = weighedBy(event, value);
    if (!made) return;
    selection.current = made;
    change(made.text);
  };
  const close = (): void => {
    setLarge(null);
    opener.current?.focus();
  };
  return (
    <div className="text">
      <span className="widget-name">{name}</span>
      <button
        ref={opener}
        type="button"
        className="text-large"
        aria-label={t("text.large", { name: label })}
        title={t("text.large", { name: label })}
        onClick={() => setLarge([area.current?.selectionStart ?? 0, area.current?.selectionEnd ?? 0])}
      >
        ⤢
      </button>
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
      {large && (
        <Suspense>
          <TextWindow
            value={value}
            change={change}
            label={label}
            placeholder={widget.placeholder}
            selected={large}
            close={close}
          />
        </Suspense>
      )}
    </div>
  );
}
