// Finding a node of the graph, and going to it.

import { lookOf } from "../canvas/looks";
import { findNodes } from "../doc/find";
import type { Found } from "../doc/find";
import { t } from "../i18n/t";
import { useEditor } from "../state/context";
import { goTo } from "../state/organising";
import type { SearchRow } from "./SearchBox";
import { SearchBox } from "./SearchBox";

const LONGEST = 60; // letters of a text that are shown

interface NodeRow extends SearchRow {
  readonly found: Found;
}

export default function Find() {
  const editor = useEditor();
  const { graph, catalogue, ui } = editor;
  const close = (): void => ui.setState({ finding: false });
  const search = (query: string): NodeRow[] =>
    findNodes(graph, catalogue, query).map((found) => {
      const { node, title, places, text } = found;
      const def = catalogue.get(node.type);
      const shown = def?.title === title ? "" : (def?.title ?? node.type);
      return {
        key: node.id,
        title,
        places,
        detail: [text ? shorten(text) : shown, `#${node.id}`].filter(Boolean).join(" · "),
        color: node.color || lookOf(def?.outputs[0]?.type ?? def?.inputs[0]?.type ?? "*").color,
        found,
      };
    });
  return (
    <SearchBox
      at={{ x: innerWidth / 2 - 170, y: 96 }}
      label={t("cmd.find")}
      placeholder={t("find.placeholder")}
      results={t("find.results")}
      none={t("find.none")}
      search={search}
      choose={({ found }) => {
        close();
        goTo(editor, found.node.id);
      }}
      close={close}
    />
  );
}

function shorten(text: string): string {
  return text.length > LONGEST ? `${text.slice(0, LONGEST)} …` : text;
}
