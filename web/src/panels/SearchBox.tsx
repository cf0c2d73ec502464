// A list that typing filters, over the canvas: node types, nodes of the graph, ports.

import { useEffect, useId, useRef, useState } from "react";
import type { KeyboardEvent } from "react";

import type { Point } from "../doc/graph";
import { t } from "../i18n/t";
import { Icon } from "./icons";

const WIDTH = 340; // as in page.css
const HEIGHT = 400;

/** places: of the letters in the title that were searched for. */
export interface SearchRow {
  readonly key: string;
  readonly title: string;
  readonly places: readonly number[];
  readonly detail: string;
  readonly color: string;
  readonly hint?: string;
}

interface SearchBoxProps<Row extends SearchRow> {
  readonly at: Point;
  readonly label: string;
  readonly placeholder: string;
  readonly results: string;
  readonly none: string;
  readonly search: (query: string) => readonly Row[];
  readonly choose: (row: Row) => void;
  readonly close: () => void;
  /** Tab goes on through the page: to the toolbar, since nothing on the page had the focus. */
  readonly onward?: boolean;
}

export function SearchBox<Row extends SearchRow>({
  at, label, placeholder, results, none, search, choose, close, onward = false,
}: SearchBoxProps<Row>) {
  const id = useId();
  const [query, setQuery] = useState("");
  const [marked, setMarked] = useState(0);
  const rows = search(query);
  useReturningFocus();
  const onKeyDown = (event: KeyboardEvent): void => {
    const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (by) {
      event.preventDefault();
      setMarked((marked + by + rows.length) % Math.max(1, rows.length));
    }
    const row = rows[marked];
    if (event.key === "Enter" && !event.ctrlKey) {
      event.preventDefault();
      if (row) choose(row);
    }
    if (event.key === "Escape" || event.key === "Tab") {
      event.preventDefault();
      close();
    }
    if (event.key === "Tab" && onward) document.querySelector<HTMLElement>("[role=toolbar] button")?.focus();
    event.stopPropagation();
  };
  const left = Math.max(8, Math.min(at.x, innerWidth - WIDTH - 8));
  const top = Math.max(8, Math.min(at.y, innerHeight - HEIGHT - 8));
  return (
    <div className="cover" onPointerDown={(event) => event.target === event.currentTarget && close()}>
      <div className="palette" role="dialog" aria-label={label} style={{ left, top }}>
        <div className="palette-top">
          <input
            type="text"
            role="combobox"
            aria-label={label}
            aria-expanded
            aria-controls={`${id}-list`}
            aria-activedescendant={rows.length ? `${id}-${marked}` : undefined}
            placeholder={placeholder}
            value={query}
            ref={(field) => field?.focus()}
            onChange={(event) => {
              setQuery(event.target.value);
              setMarked(0);
            }}
            onKeyDown={onKeyDown}
          />
          <button type="button" className="button palette-close" aria-label={t("palette.close")} onClick={close}>
            <Icon name="close" />
          </button>
        </div>
        <ul id={`${id}-list`} role="listbox" aria-label={results}>
          {rows.map((row, index) => (
            <Item key={row.key} id={`${id}-${index}`} row={row} marked={index === marked} choose={() => choose(row)} />
          ))}
        </ul>
        {!rows.length && <p className="list-none">{none}</p>}
        <p className="unseen" role="status">
          {rows.length ? t("search.count", { count: rows.length }) : none}
        </p>
      </div>
    </div>
  );
}

/** Gives the focus back to what had it before, unless something else took it. */
function useReturningFocus(): void {
  const before = useRef<Element | null>(null);
  before.current ??= document.activeElement;
  useEffect(
    () => () => {
      const had = before.current;
      // After what follows from the choice has been drawn.
      requestAnimationFrame(() => {
        const lost = document.activeElement === document.body || document.activeElement === null;
        if (lost && had instanceof HTMLElement && had.isConnected && had !== document.body) had.focus();
      });
    },
    [],
  );
}

function Item({ id, row, marked, choose }: { id: string; row: SearchRow; marked: boolean; choose: () => void }) {
  return (
    <li
      id={id}
      role="option"
      aria-selected={marked}
      title={row.hint}
      ref={(item) => {
        if (marked) item?.scrollIntoView({ block: "nearest" });
      }}
      onClick={choose}
    >
      <span className="dot" style={{ background: row.color }} />
      <span className="hit-title">
        {pieces(row.title, row.places).map(({ at, text, found }) =>
          found ? <b key={at}>{text}</b> : <span key={at}>{text}</span>,
        )}
      </span>
      <span className="hit-category">{row.detail}</span>
    </li>
  );
}

interface Piece {
  readonly at: number;
  readonly text: string;
  readonly found: boolean;
}

/** A title cut where letters that were searched for begin and end. */
function pieces(title: string, places: readonly number[]): Piece[] {
  const found: Piece[] = [];
  for (let at = 0; at < title.length; ) {
    const hit = places.includes(at);
    let end = at + 1;
    while (end < title.length && places.includes(end) === hit) end += 1;
    found.push({ at, text: title.slice(at, end), found: hit });
    at = end;
  }
  return found;
}
