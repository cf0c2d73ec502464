// An editor whose graph cannot be changed, to look at what is in a subgraph.

import { createStore } from "zustand/vanilla";

import type { Inside } from "../doc/inside";
import { insideOf } from "../doc/inside";
import { GraphDocument } from "../doc/history";
import { t } from "../i18n/t";
import { Editor } from "./editor";
import { Runtime } from "./runtime";
import { makeUiStore } from "./ui";

class FixedDocument extends GraphDocument {
  override apply(): boolean {
    return false;
  }
}

class LookingEditor extends Editor {
  override readonly document: GraphDocument;

  constructor(parts: ConstructorParameters<typeof Editor>[0], { graph }: Inside) {
    super(parts);
    this.document = new FixedDocument(graph);
  }
}

const NOWHERE: Pick<Storage, "getItem" | "setItem"> = { getItem: () => null, setItem: () => undefined };

/** What is in each node of a path, each of which is in the one before; up to where there is nothing. */
export function along({ graph, catalogue }: Editor, path: readonly string[]): Inside[] {
  const names = { inputs: t("inside.inputs"), outputs: t("inside.outputs") };
  const found: Inside[] = [];
  for (const id of path) {
    const last = found.at(-1) ?? { graph, catalogue };
    const node = last.graph.nodes.get(id);
    const next = node && insideOf(last.graph, node, last.catalogue, names);
    if (!next) break;
    found.push(next);
  }
  return found;
}

/** An editor that shows this, looks as the other does, and changes nothing. */
export function lookingAt(editor: Editor, inside: Inside): Editor {
  const { theme, density } = editor.ui.getState();
  const ui = makeUiStore(NOWHERE);
  ui.setState({ theme, density });
  const { api, connection, drafts, client, server } = editor;
  const known = createStore(() => ({ ...server.getState(), catalogue: inside.catalogue }));
  return new LookingEditor({ api, connection, drafts, client, ui, runtime: new Runtime(), server: known }, inside);
}
