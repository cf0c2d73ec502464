// Live previews: nodes that run anew by themselves when something that leads to them has changed.
// Which those are is a matter of this page, and no part of the graph.

import type { NodeId } from "../doc/graph";
import { fingerprint, runTo } from "../doc/partial";
import type { Editor } from "./editor";
import { say } from "./ui";

const QUIET = 250; // milliseconds after a change before it runs

/** Switches the live preview of a node on or off. On: it runs now. */
export function toggleLive(editor: Editor, id: NodeId): void {
  const { live } = editor.ui.getState();
  if (live.has(id)) {
    editor.ui.setState({ live: new Set([...live].filter((each) => each !== id)) });
    return;
  }
  const part = runTo(editor.graph, id, editor.catalogue);
  if ("why" in part) return say(editor.ui, part.why, true);
  editor.ui.setState({ live: new Set([...live, id]) });
}

/** Runs live nodes after they were switched on and after changes; the function returned ends that.
 * With another graph on the canvas none is live (tabs.ts). */
export function keepLive(editor: Editor): () => void {
  const seen = new Map<NodeId, string>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let job: string | null = null;
  let busy = false;

  const run = async (): Promise<void> => {
    if (busy) return soon();
    const { live } = editor.ui.getState();
    for (const id of seen.keys()) if (!live.has(id)) seen.delete(id);
    const due = [...live].filter((id) => editor.graph.nodes.has(id) && seen.get(id) !== fingerprint(editor.graph, [id]));
    if (!due.length) return;
    busy = true;
    // The run before shows what is out of date by now.
    const before = job === null ? undefined : editor.runtime.job(job)?.state;
    if (before === "running" || before === "pending") await editor.cancel(job);
    const parts = due.filter((id) => editor.ui.getState().live.has(id)).map((id) => runTo(editor.graph, id, editor.catalogue));
    const targets = [...new Set(parts.flatMap((part) => ("targets" in part ? part.targets : [])))];
    for (const id of due) seen.set(id, fingerprint(editor.graph, [id]));
    if (targets.length) job = await editor.submit({ front: true, targets, quiet: true });
    busy = false;
  };
  const soon = (): void => {
    if (!editor.ui.getState().live.size) return;
    clearTimeout(timer);
    timer = setTimeout(() => void run(), QUIET);
  };
  const stops = [
    editor.document.subscribe(soon),
    editor.ui.subscribe(({ live }, { live: before }) => live !== before && soon()),
  ];
  return () => {
    clearTimeout(timer);
    for (const stop of stops) stop();
  };
}
