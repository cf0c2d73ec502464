// The search for a node to add; for a cable that was let go, only those that it may go to.

import { useMemo, useState } from "react";
import type { KeyboardEvent } from "react";

import { lookOf } from "../canvas/looks";
import type { Catalogue, NodeDef } from "../doc/catalogue";
import { fittingTypes } from "../doc/connect";
import type { Graph } from "../doc/graph";
import { sourceType, wantedTypes } from "../doc/ports";
import type { Hit } from "../doc/search";
import { searchNodes } from "../doc/search";
import { t } from "../i18n/t";
import { add } from "../state/actions";
import { useEditor, useUi } from "../state/context";
import type { Palette as Asked } from "../state/ui";

const WIDTH = 340; // as in page.css
const HEIGHT = 400;

export function Palette() {
  const asked = useUi((state) => state.palette);
  return asked && <Search key={`${asked.at.x} ${asked.at.y}`} asked={asked} />;
}

function Search({ asked }: { asked: Asked }) {
  const editor = useEditor();
  const { ui, graph, catalogue } = editor;
  const [query, setQuery] = useState("");
  const [at, setAt] = useState(0);
  const recent = useUi((state) => state.recent);
  const defs = useMemo(() => candidates(graph, catalogue, asked), [graph, catalogue, asked]);
  const hits = useMemo(() => searchNodes(defs, query, { recent, limit: 60 }), [defs, query, recent]);
  const close = (): void => ui.setState({ palette: null });
  const choose = (def: NodeDef): void => {
    close();
    const { x, y } = asked.position;
    const shift = asked.drawn && "to" in asked.drawn ? 240 : 0;
    add(editor, def, { x: x - shift, y: asked.drawn ? y - 44 : y }, asked.drawn);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (by) {
      event.preventDefault();
      setAt((at + by + hits.length) % Math.max(1, hits.length));
    }
    const hit = hits[at];
    if (event.key === "Enter" && !event.ctrlKey && hit) choose(hit.def);
    if (event.key === "Escape" || event.key === "Tab") {
      event.preventDefault();
      close();
    }
    // Tab opened it; Tab again goes on through the page, as it does elsewhere.
    if (event.key === "Tab") document.querySelector<HTMLElement>("[role=toolbar] button")?.focus();
    event.stopPropagation();
  };
  const left = Math.max(8, Math.min(asked.at.x, innerWidth - WIDTH - 8));
  const top = Math.max(8, Math.min(asked.at.y, innerHeight - HEIGHT - 8));
  return (
    <div className="cover" onPointerDown={(event) => event.target === event.currentTarget && close()}>
      <div className="palette" role="dialog" aria-label={t("palette.label")} style={{ left, top }}>
        <input
          type="text"
          role="combobox"
          aria-label={t("palette.label")}
          aria-expanded
          aria-controls="palette-list"
          aria-activedescendant={hits.length ? `hit-${at}` : undefined}
          placeholder={placeholder(graph, catalogue, asked)}
          value={query}
          ref={(field) => field?.focus()}
          onChange={(event) => {
            setQuery(event.target.value);
            setAt(0);
          }}
          onKeyDown={onKeyDown}
        />
        <ul id="palette-list" role="listbox" aria-label={t("palette.results")}>
          {hits.map((hit, index) => (
            <Row key={hit.def.type} hit={hit} index={index} marked={index === at} choose={choose} />
          ))}
          {!hits.length && <li className="list-none">{t("palette.none")}</li>}
        </ul>
      </div>
    </div>
  );
}

function Row({ hit, index, marked, choose }: { hit: Hit; index: number; marked: boolean; choose: (def: NodeDef) => void }) {
  const { def, places } = hit;
  const color = lookOf(def.outputs[0]?.type ?? def.inputs[0]?.type ?? "*").color;
  return (
    <li
      id={`hit-${index}`}
      role="option"
      aria-selected={marked}
      title={def.description}
      ref={(item) => {
        if (marked) item?.scrollIntoView({ block: "nearest" });
      }}
      onClick={() => choose(def)}
    >
      <span className="dot" style={{ background: color }} />
      <span className="hit-title">
        {pieces(def.title, places).map(({ at, text, found }) =>
          found ? <b key={at}>{text}</b> : <span key={at}>{text}</span>,
        )}
      </span>
      <span className="hit-category">{def.category}</span>
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

function candidates(graph: Graph, catalogue: Catalogue, { drawn }: Asked): readonly NodeDef[] {
  return drawn ? fittingTypes(graph, drawn, catalogue).map(({ def }) => def) : [...catalogue.values()];
}

function placeholder(graph: Graph, catalogue: Catalogue, { drawn }: Asked): string {
  if (!drawn) return t("palette.placeholder");
  if ("from" in drawn) return t("palette.placeholder.fitting", { type: sourceType(graph, drawn.from, catalogue) });
  const [type = "*"] = wantedTypes(graph, drawn.to.node, drawn.to.input, catalogue);
  return t("palette.placeholder.giving", { type });
}
