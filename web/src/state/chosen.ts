// What the user's actions are about: the selected nodes, and those in selected groups.

import { nodesIn } from "../doc/edit";
import type { GroupId, NodeId } from "../doc/graph";
import type { Editor } from "./editor";
import { layoutOf } from "./sizes";

/** The nodes in a group. */
export function insideOf(editor: Editor, group: GroupId): NodeId[] {
  return nodesIn(editor.graph, group, (node) => layoutOf(editor, node).width);
}

/** The selected nodes and those in selected groups, in the order of the graph. */
export function chosenNodes(editor: Editor): Set<NodeId> {
  const { nodes, groups } = editor.ui.getState();
  const wanted = new Set([...nodes, ...[...groups].flatMap((id) => insideOf(editor, id))]);
  return new Set([...editor.graph.nodes.keys()].filter((id) => wanted.has(id)));
}
