// Changes that React Flow reports, made in the document: selection, positions, sizes.

import type { NodeChange, NodePositionChange } from "@xyflow/react";

import { changeGroup, placeNodes, resizeNode } from "../doc/edit";
import type { Graph, GroupId, NodeId, Point } from "../doc/graph";
import { t } from "../i18n/t";
import { insideOf } from "../state/chosen";
import type { Editor } from "../state/editor";
import type { AnyNode } from "./adapter";
import { groupOf } from "./adapter";

/** What moves along with each group, as it was when the drag began. */
export type Along = ReadonlyMap<GroupId, readonly NodeId[]>;

/** The nodes in the groups, which move along with them. */
export function alongWith(editor: Editor, frames: readonly { readonly id: string }[]): Along {
  return new Map(
    frames.flatMap(({ id }) => {
      const group = groupOf(id);
      return group === null ? [] : [[group, insideOf(editor, group)] as const];
    }),
  );
}

/** Makes the changes. along: of the drag that is going on; empty while keys move what is selected. */
export function takeChanges(editor: Editor, changes: readonly NodeChange<AnyNode>[], along: Along): void {
  takeSelection(editor, changes);
  const moved = changes.filter((change) => change.type === "position");
  if (moved.length) {
    const inside = along.size ? along : alongWith(editor, moved);
    editor.document.apply(t("do.move"), (graph) => moveAll(graph, moved, inside), { merge: "move" });
  }
  for (const change of changes) {
    if (change.type === "dimensions" && change.dimensions && change.setAttributes) {
      resize(editor, change.id, change.dimensions);
    }
  }
}

function takeSelection({ ui }: Editor, changes: readonly NodeChange<AnyNode>[]): void {
  const picks = changes.filter((change) => change.type === "select");
  if (!picks.length) return;
  const { nodes, groups } = ui.getState();
  const [now, frames] = [new Set(nodes), new Set(groups)];
  for (const { id, selected } of picks) {
    const group = groupOf(id);
    const set = group === null ? now : frames;
    if (selected) set.add(group ?? id);
    else set.delete(group ?? id);
  }
  ui.setState({ nodes: now, groups: frames });
}

function moveAll(graph: Graph, changes: readonly NodePositionChange[], along: Along): Graph {
  const places = new Map<NodeId, Point>();
  let result = graph;
  for (const { id, position } of changes) {
    if (!position || Number.isNaN(position.x)) continue;
    const to = { x: Math.round(position.x), y: Math.round(position.y) };
    const group = groupOf(id);
    if (group === null) {
      places.set(id, to);
      continue;
    }
    const bounds = result.groups.get(group)?.bounds;
    if (!bounds) continue;
    const by = { x: to.x - bounds.x, y: to.y - bounds.y };
    result = changeGroup(result, group, { bounds: { ...bounds, ...to } });
    for (const inside of along.get(group) ?? []) {
      const at = result.nodes.get(inside);
      if (!at || at.pinned || places.has(inside)) continue;
      places.set(inside, { x: at.position.x + by.x, y: at.position.y + by.y });
    }
  }
  return placeNodes(result, places);
}

function resize({ document }: Editor, id: string, { width, height }: { width: number; height: number }): void {
  const size = { width: Math.round(width), height: Math.round(height) };
  const group = groupOf(id);
  document.apply(t("do.resize"), (graph) => {
    if (group === null) return resizeNode(graph, id, size);
    const bounds = graph.groups.get(group)?.bounds;
    return bounds ? changeGroup(graph, group, { bounds: { ...bounds, ...size } }) : graph;
  }, { merge: `resize ${id}` });
}
