// Tells those who do not see the page what happened to the graph: what was done, undone and done
// again, where a node has come to lie, and that something is wrong.

import type { Graph } from "../doc/graph";
import type { Changed } from "../doc/history";
import { titleOf } from "../doc/ports";
import { t } from "../i18n/t";
import type { Editor } from "./editor";
import { announce } from "./ui";

/** Begins to; the function returned ends that. typing: whether a field has the focus, which says
 * itself what is typed into it. */
export function narrate(editor: Editor, typing: () => boolean): () => void {
  const { document, runtime, ui } = editor;
  let wrong = 0;
  const silent = document.subscribe((changed) => {
    const words = wordsFor(editor, changed, typing());
    if (words !== null) announce(ui, words);
  });
  const calm = runtime.subscribeNodes(() => {
    const count = [...runtime.nodes().values()].filter(({ faults, failure }) => faults.length || failure).length;
    if (count > wrong) announce(ui, t("heard.wrong", { count }));
    wrong = count;
  });
  return () => {
    silent();
    calm();
  };
}

function wordsFor(editor: Editor, { graph, before, reason }: Changed, typing: boolean): string | null {
  const { document } = editor;
  const { undoLabel, redoLabel } = document;
  if (reason === "undo") return redoLabel === null ? null : t("heard.undone", { what: redoLabel });
  if (reason === "redo") return undoLabel === null ? null : t("heard.redone", { what: undoLabel });
  if (reason !== "do" || document.changing || undoLabel === null) return null;
  if (undoLabel === t("do.move")) return placeOf(editor, graph, before);
  return typing || undoLabel === t("do.run") ? null : t("heard.done", { what: undoLabel });
}

/** Where the first node that moved is now. */
function placeOf({ catalogue, ui }: Editor, graph: Graph, before: Graph): string | null {
  const { nodes } = ui.getState();
  const [moved] = [...nodes].flatMap((id) => {
    const node = graph.nodes.get(id);
    return node && before.nodes.get(id)?.position !== node.position ? [node] : [];
  });
  if (!moved) return null;
  const { x, y } = moved.position;
  return t("heard.moved", { title: titleOf(moved, catalogue.get(moved.type)), x, y });
}
