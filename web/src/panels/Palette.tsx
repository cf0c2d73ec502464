// The search for a node to add; for a cable that was let go, only those that it may go to.

import { useMemo } from "react";

import { lookOf } from "../canvas/looks";
import type { Catalogue, NodeDef } from "../doc/catalogue";
import { fittingTypes } from "../doc/connect";
import type { Graph } from "../doc/graph";
import { sourceType, wantedTypes } from "../doc/ports";
import { searchNodes } from "../doc/search";
import { t } from "../i18n/t";
import { add } from "../state/actions";
import { useEditor, useUi } from "../state/context";
import type { Palette as Asked } from "../state/ui";
import type { SearchRow } from "./SearchBox";
import { SearchBox } from "./SearchBox";

interface TypeRow extends SearchRow {
  readonly def: NodeDef;
}

export function Palette() {
  const asked = useUi((state) => state.palette);
  return asked && <Search key={`${asked.at.x} ${asked.at.y}`} asked={asked} />;
}

function Search({ asked }: { asked: Asked }) {
  const editor = useEditor();
  const { ui, graph, catalogue } = editor;
  const recent = useUi((state) => state.recent);
  const defs = useMemo(() => candidates(graph, catalogue, asked), [graph, catalogue, asked]);
  const search = (query: string): TypeRow[] =>
    searchNodes(defs, query, { recent, limit: 60 }).map(({ def, places }) => ({
      key: def.type,
      title: def.title,
      places,
      detail: def.category,
      color: lookOf(def.outputs[0]?.type ?? def.inputs[0]?.type ?? "*").color,
      hint: def.description,
      def,
    }));
  const close = (): void => ui.setState({ palette: null });
  const choose = ({ def }: TypeRow): void => {
    close();
    const { x, y } = asked.position;
    const shift = asked.drawn && "to" in asked.drawn ? 240 : 0;
    const id = add(editor, def, { x: x - shift, y: asked.drawn ? y - 44 : y }, asked.drawn);
    if (asked.joined) editor.canvas?.show(id);
  };
  return (
    <SearchBox
      at={asked.at}
      label={t("palette.label")}
      placeholder={placeholder(graph, catalogue, asked)}
      results={t("palette.results")}
      none={t("palette.none")}
      search={search}
      choose={choose}
      close={close}
      onward
    />
  );
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
