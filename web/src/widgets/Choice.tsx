// One of several: a button that opens a list, which typing filters. A value that is not among them
// stays, and is marked. Pictures of the input folder can be sent there.

import { useId, useRef, useState } from "react";
import type { KeyboardEvent } from "react";
import { createPortal } from "react-dom";

import type { ChoiceWidget } from "../doc/catalogue";
import type { NodeId } from "../doc/graph";
import type { Json } from "../doc/json";
import { nearNames } from "../doc/near";
import { fuzzy } from "../doc/search";
import { readPicture } from "../doc/uploads";
import { valueRefusal } from "../doc/widgets";
import { t } from "../i18n/t";
import { upload } from "../state/actions";
import { useEditor } from "../state/context";
import type { WidgetProps } from "./WidgetRow";

const HEIGHT = 320; // of the list, as in canvas.css
const SMALL = { preview: "webp;80", size: 96 };

export function Choice({
  value,
  change,
  label,
  name,
  widget,
  node,
}: WidgetProps<Json> & { widget: ChoiceWidget; node: NodeId }) {
  const editor = useEditor();
  const { api } = editor;
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
        aria-label={wrong === null ? `${label}: ${String(value)}` : t("widget.missing", { label, value: String(value) })}
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
          missing={wrong !== null}
          pictureOf={widget.upload ? (option) => api.viewUrl(readPicture(option), SMALL) : undefined}
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
  readonly place: Pick<DOMRect, "left" | "top" | "bottom" | "width">;
  readonly label: string;
  readonly options: readonly Json[];
  readonly value: Json;
  /** Whether the value is none of the options: then those of near names are offered first. */
  readonly missing?: boolean;
  /** The address of an option's picture. */
  readonly pictureOf?: ((option: string) => string) | undefined;
  /** undefined: none. */
  readonly choose: (option: Json | undefined) => void;
}

export function List({ place, label, options, value, missing = false, pictureOf, choose }: ListProps) {
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
    const ends = ["Enter", "Escape", "Tab"].includes(event.key);
    // Else the key would go on to the button, which gets the focus now, and open the list again.
    if (ends) event.preventDefault();
    if (event.key === "Enter" && found.length) choose(found[marked]);
    else if (ends && event.key !== "Enter") choose(undefined);
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
        {missing && !query && <NotThere value={String(value)} options={options} choose={choose} />}
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
              {pictureOf && typeof option === "string" && <img src={pictureOf(option)} alt="" loading="lazy" />}
              <span>{String(option)}</span>
            </li>
          ))}
        </ul>
        {!found.length && <p className="list-none">{t("widget.nothing")}</p>}
      </div>
    </div>,
    document.body,
  );
}

function NotThere({ value, options, choose }: { value: string } & Pick<ListProps, "options" | "choose">) {
  const near = nearNames(value, options.filter((option) => typeof option === "string"));
  return (
    <div className="list-missing" role="note">
      <p>{t(near.length ? "widget.missing.near" : "widget.missing.none", { value })}</p>
      {near.map((name) => (
        <button key={name} type="button" onClick={() => choose(name)}>
          {name}
        </button>
      ))}
    </div>
  );
}

/** The options in which every word of the query is found, the best first. */
function filtered(options: readonly Json[], query: string): readonly Json[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return options;
  return options
    .map((option) => ({ option, scores: words.map((word) => fuzzy(String(option), word)?.score ?? 0) }))
    .filter(({ scores }) => scores.every((score) => score > 0))
    .map(({ option, scores }) => ({ option, score: scores.reduce((sum, score) => sum + score, 0) }))
    .sort((a, b) => b.score - a.score)
    .map(({ option }) => option);
}
