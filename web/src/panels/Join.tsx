// The ports that one may be joined with, to choose from by keys: all that a drawn cable could do.

import { lookOf } from "../canvas/looks";
import type { Drawn } from "../doc/connect";
import type { Partner } from "../doc/partners";
import { partners } from "../doc/partners";
import { sourceType, titleOf, wantedTypes } from "../doc/ports";
import { fuzzy } from "../doc/search";
import { t } from "../i18n/t";
import { lay } from "../state/actions";
import { useEditor, useUi } from "../state/context";
import type { Editor } from "../state/editor";
import { unplug } from "../state/organising";
import type { Joining } from "../state/ui";
import { announce } from "../state/ui";
import type { SearchRow } from "./SearchBox";
import { SearchBox } from "./SearchBox";

interface PortRow extends SearchRow {
  readonly act: () => void;
}

export function Join() {
  const asked = useUi((state) => state.joining);
  return asked && <List key={JSON.stringify(asked.from)} asked={asked} />;
}

function List({ asked }: { asked: Joining }) {
  const editor = useEditor();
  const { graph, catalogue, ui } = editor;
  const { from } = asked;
  const name = nameOf(editor, from);
  const all = partners(graph, from, catalogue);
  const search = (query: string): PortRow[] => {
    const wanted = query.trim().toLowerCase();
    const rows = [...all.map((each) => partnerRow(editor, each, from, name)), ...otherRows(editor, asked, name)];
    return rows.filter(({ title, detail }) => !wanted || fuzzy(title, wanted) || fuzzy(detail, wanted));
  };
  const close = (): void => ui.setState({ joining: null });
  return (
    <SearchBox
      at={asked.at}
      label={t("join.label", { name })}
      placeholder={t("join.placeholder", { name })}
      results={t("join.results")}
      none={t("join.none")}
      search={search}
      choose={({ act }) => {
        close();
        act();
      }}
      close={close}
    />
  );
}

/** "LATENT of Sampler". */
function nameOf({ graph, catalogue }: Editor, drawn: Drawn): string {
  const [id, port] = "from" in drawn ? [drawn.from.node, drawn.from.output] : [drawn.to.node, drawn.to.input];
  const node = graph.nodes.get(id);
  return t("join.port", { port, title: node ? titleOf(node, catalogue.get(node.type)) : id });
}

function partnerRow(editor: Editor, partner: Partner, from: Drawn, name: string): PortRow {
  const { node, port, title, type, taken, here, source, to } = partner;
  const other = t("join.port", { port, title });
  return {
    key: `${node} ${port}`,
    title: other,
    places: [],
    detail: here ? t("join.here") : taken ? t("join.taken") : type,
    color: lookOf(type).color,
    act: () => {
      lay(editor, source, to);
      announce(editor.ui, t("join.done", "from" in from ? { from: name, to: other } : { from: other, to: name }));
    },
  };
}

function otherRows(editor: Editor, { from, at }: Joining, name: string): PortRow[] {
  const { graph, catalogue, canvas, ui } = editor;
  const fed = "to" in from && graph.nodes.get(from.to.node)?.links[from.to.input] !== undefined;
  const type = "from" in from ? sourceType(graph, from.from, catalogue) : wantedTypes(graph, from.to.node, from.to.input, catalogue)[0];
  const shared = { places: [], detail: "", color: lookOf(type ?? "*").color };
  const off: PortRow = {
    ...shared,
    key: "off",
    title: t("join.off"),
    act: () => {
      if ("to" in from) unplug(editor, from.to);
      announce(ui, t("join.off.done", { name }));
    },
  };
  const fresh: PortRow = {
    ...shared,
    key: "new",
    title: t("join.new"),
    act: () => ui.setState({ palette: { at, position: placeFor(editor, from) ?? canvas?.toGraph(at) ?? at, drawn: from, joined: true } }),
  };
  return [...(fed ? [off] : []), fresh];
}

const ASIDE = 80; // pixels between a node and one that is added for its port

/** Where a node that is added for a port comes to lie: beside the port's. */
function placeFor({ graph }: Editor, drawn: Drawn): { x: number; y: number } | null {
  const node = graph.nodes.get("from" in drawn ? drawn.from.node : drawn.to.node);
  if (!node) return null;
  const { x, y } = node.position;
  return "from" in drawn ? { x: x + 320 + ASIDE, y: y + 44 } : { x: x - ASIDE, y: y + 44 };
}
