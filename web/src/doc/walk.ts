// Going through a graph without a mouse: along its cables, and from node to node above or below.

import type { Graph, GraphNode, NodeId } from "./graph";
import { cables, cablesFrom } from "./graph";

export type Way = "on" | "back" | "up" | "down";

const ASIDE = 2; // a node aside counts as so many times further away

/** The node that one comes to: on, one that this feeds; back, one that feeds it; of several the
 * uppermost; up or down, the nearest there. null: there is none. */
export function stepFrom(graph: Graph, id: NodeId, way: Way): NodeId | null {
  const node = graph.nodes.get(id);
  if (!node) return null;
  switch (way) {
    case "on":
      return uppermost(graph, cablesFrom(graph, id).map((cable) => cable.node));
    case "back":
      return uppermost(graph, Object.values(node.links).map((source) => source.node));
    case "up":
    case "down":
      return nearest(graph, node, way === "down" ? 1 : -1);
  }
}

/** Where a walk begins: at the node furthest to the left. */
export function firstNode(graph: Graph): NodeId | null {
  const order = [...graph.nodes.values()].toSorted(
    ({ position: a }, { position: b }) => a.x - b.x || a.y - b.y,
  );
  return order[0]?.id ?? null;
}

function uppermost(graph: Graph, ids: readonly NodeId[]): NodeId | null {
  const nodes = ids.flatMap((id) => graph.nodes.get(id) ?? []);
  return nodes.toSorted((a, b) => a.position.y - b.position.y)[0]?.id ?? null;
}

function nearest(graph: Graph, { id, position }: GraphNode, sign: 1 | -1): NodeId | null {
  let best: NodeId | null = null;
  let least = Infinity;
  for (const other of graph.nodes.values()) {
    const down = (other.position.y - position.y) * sign;
    const far = down + ASIDE * Math.abs(other.position.x - position.x);
    if (other.id === id || down <= 0 || far >= least) continue;
    [best, least] = [other.id, far];
  }
  return best;
}

/** The nodes, and all that are joined to them by cables, however far. */
export function connectedTo(graph: Graph, ids: Iterable<NodeId>): Set<NodeId> {
  const next = new Map<NodeId, NodeId[]>();
  const note = (from: NodeId, to: NodeId): void => {
    const list = next.get(from);
    if (list) list.push(to);
    else next.set(from, [to]);
  };
  for (const { node, source } of cables(graph)) {
    if (!graph.nodes.has(source.node)) continue;
    note(node, source.node);
    note(source.node, node);
  }
  const found = new Set(ids);
  for (const id of found) for (const other of next.get(id) ?? []) found.add(other);
  return found;
}
