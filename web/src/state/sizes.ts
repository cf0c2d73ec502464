// How large nodes are as the canvas draws them now, with their pictures and in the density chosen.

import type { Bounds, GraphNode, NodeId } from "../doc/graph";
import { NOTES } from "../doc/graph";
import { asList } from "../doc/json";
import type { Measures, NodeLayout } from "../doc/layout";
import { COMPACT, NORMAL, hasPictureRow, layoutNode } from "../doc/layout";
import type { Editor } from "./editor";
import type { NodeRun } from "./runtime";
import type { Density } from "./ui";

export function measuresOf(density: Density): Measures {
  return density === "compact" ? COMPACT : NORMAL;
}

/** Whether a run gave a node a picture to show, or a curve. */
export function hasPicture({ output, preview, curve }: NodeRun): boolean {
  return preview !== null || curve !== null || asList(output?.["images"]).length > 0;
}

/** Where the rows and ports of a node are. */
export function layoutOf({ catalogue, runtime, ui }: Editor, node: GraphNode): NodeLayout {
  const picture = hasPictureRow(catalogue.get(node.type)) || hasPicture(runtime.node(node.id));
  const measures = measuresOf(ui.getState().density);
  return layoutNode(node, catalogue, picture && !NOTES.has(node.type), measures);
}

/** The boxes of some nodes. */
export function boxesOf(editor: Editor, ids: Iterable<NodeId>): Map<NodeId, Bounds> {
  return new Map(
    [...ids].flatMap((id) => {
      const node = editor.graph.nodes.get(id);
      if (!node) return [];
      const { width, height } = layoutOf(editor, node);
      return [[id, { ...node.position, width, height }] as const];
    }),
  );
}
