// One of several: a button that opens a list, which typing filters. A value that is not among them
// stays, and is marked. Pictures of the input folder can be sent there.

import { useId, useRef, useState } from "react";
import type { KeyboardEvent } from "react";
import { createPortal } from "react-dom";

import type { ChoiceWidget } from "../doc/catalogue";
import type { NodeId } from "../doc/graph";
import type { Json } from "../doc/json";
import { fuzzy } from "../doc/search";
import { valueRefusal } from "../doc/widgets";
import { t } from "../i18n/t";
import { upload } from "../state/actions";
import { useEditor } from "../state/context";
import type { WidgetProps } from "./WidgetRow";

const HEIGHT = 320; // of the list, as in canvas.css

export function Choice({
  value,
  change,
  label,
  name,
  widget,
  node,
}: WidgetProps<Json> & { widget: ChoiceWidget; node: NodeId }) {
  const editor = useEditor();
  const button = useRef<HTMLButtonElement>(null);
  const file = useRef<HTMLInputElement>(null);
  const [place, setPlace] = useState<DOMRect | null>(null);
  const wrong = valueRefusal(value, widget);
  const close = (): void => {
    setPlace(null);
    button.current?.focus();
  };
  return (
    <>
      <span className="widget-name">{name}</span>
      <button
        ref={button}
        type="button"
        className="choice"
        aria-haspopup="listbox"
        aria-expanded={place !== null}
        aria-label={`${label}: ${String(value)}`}
        aria-invalid={wrong !== null}
        title={wrong ?? String(value)}
        onClick={(event) => setPlace(event.currentTarget.getBoundingClientRect())}
      >
        <span>{String(value)}</span>
      </button>
      {widget.upload && (
        <>
          <button
            type="button"
            className="step"
            aria-label={t("widget.upload")}
            title={t("widget.upload")}
            onClick={() => file.current?.click()}
          >
            ⇪
          </button>
          <input
            ref={file}
            type="file"
            accept="image/*"
            hidden
            onChange={(event) => {
              const [chosen] = event.target.files ?? [];
              if (chosen) void upload(editor, chosen, node, name);
              event.target.value = "";
            }}
          />
        </>
      )}
      {place && (
        <List
          place={place}
          label={label}
          options={widget.options}
          value={value}
          choose={(option) => {
            if (option !== undefined && option !== value) change(option);
            close();
          }}
        />
      )}
    </>
  );
}

interface ListProps {
  readonly place: DOMRect;
  readonly label: string;
  readonly options: readonly Json[];
  readonly value: Json;
  /** undefined: none. */
  readonly choose: (option: Json | undefined) => void;
}

function List({ place, label, options, value, choose }: ListProps) {
  const id = useId();
  const [query, setQuery] = useState("");
  const found = filtered(options, query);
  const [at, setAt] = useState(Math.max(0, options.indexOf(value)));
  const marked = Math.min(at, found.length - 1);
  const onKeyDown = (event: KeyboardEvent): void => {
    event.stopPropagation();
    const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (by) {
      event.preventDefault();
      setAt((marked + by + found.length) % Math.max(1, found.length));
    }
    if (event.key === "Enter" && found.length) choose(found[marked]);
    if (event.key === "Escape" || event.key === "Tab") choose(undefined);
  };
  const below = place.bottom + HEIGHT < innerHeight || place.top < HEIGHT;
  const width = Math.max(place.width, 220);
  const style = {
    left: Math.max(8, Math.min(place.left, innerWidth - width - 8)),
    width,
    ...(below ? { top: place.bottom + 2 } : { bottom: innerHeight - place.top + 2 }),
  };
  return createPortal(
    <div className="list-cover" onPointerDown={(event) => event.target === event.currentTarget && choose(undefined)}>
      <div className="list" role="dialog" aria-label={label} style={style}>
        <input
          ref={(field) => field?.focus({ preventScroll: true })}
          type="text"
          role="combobox"
          aria-label={`${label}: ${t("widget.filter")}`}
          aria-expanded
          aria-controls={id}
          aria-activedescendant={found.length ? `${id}-${marked}` : undefined}
          placeholder={t("widget.filter")}
          value={query}
          onChange={(event) => {
            setQuery(event.target.value);
            setAt(0);
          }}
          onKeyDown={onKeyDown}
        />
        <ul id={id} role="listbox" aria-label={label}>
          {found.map((option, index) => (
            <li
              key={String(option)}
              id={`${id}-${index}`}
              role="option"
              aria-selected={index === marked}
              data-chosen={option === value}
              ref={(item) => {
                if (index === marked) item?.scrollIntoView({ block: "nearest" });
              }}
              onClick={() => choose(option)}
            >
              {String(option)}
            </li>
          ))}
          {!found.length && <li className="list-none">{t("widget.nothing")}</li>}
        </ul>
      </div>
    </div>,
    document.body,
  );
}

function filtered(options: readonly Json[], query: string): readonly Json[] {
  const word = query.trim().toLowerCase();
  if (!word) return options;
  return options
    .map((option) => ({ option, score: fuzzy(String(option), word)?.score ?? 0 }))
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score)
    .map(({ option }) => option);
}
