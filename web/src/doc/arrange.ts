// Automatic layout: layers from left to right by what depends on what, nodes of a layer ordered so
// that cables cross less (barycentres), columns centred on each other.

import type { Graph, NodeId, Point, Size } from "./graph";

const GAP_X = 64;
const GAP_Y = 32;
const SWEEPS = 6;

/** Positions for nodes (all of them, by default), the upper left corner of all at `at`. */
export function arrange(
  graph: Graph,
  sizeOf: (id: NodeId) => Size,
  { ids = graph.nodes.keys(), at = { x: 0, y: 0 } }: { ids?: Iterable<NodeId>; at?: Point } = {},
): Map<NodeId, Point> {
  const chosen = [...new Set(ids)].filter((id) => graph.nodes.has(id));
  const sources = new Map(chosen.map((id) => [id, [] as NodeId[]]));
  const readers = new Map(chosen.map((id) => [id, [] as NodeId[]]));
  for (const id of chosen) {
    for (const { node } of Object.values(graph.nodes.get(id)?.links ?? {})) {
      if (!sources.has(node) || node === id) continue;
      sources.get(id)?.push(node);
      readers.get(node)?.push(id);
    }
  }
  const layers = ordered(layersOf(chosen, sources, readers), sources, readers);
  return placed(layers, sizeOf, at);
}

type Neighbours = ReadonlyMap<NodeId, readonly NodeId[]>;

/** Nodes by layer: each right of all its sources, and as near to its readers as can be. */
function layersOf(ids: readonly NodeId[], sources: Neighbours, readers: Neighbours): NodeId[][] {
  const order = sorted(ids, sources, readers);
  const layer = new Map<NodeId, number>();
  for (const id of order) {
    const behind = (sources.get(id) ?? []).map((source) => layer.get(source) ?? -1);
    layer.set(id, behind.reduce((most, each) => Math.max(most, each), -1) + 1);
  }
  for (const id of order.toReversed()) {
    const before = (readers.get(id) ?? []).map((reader) => layer.get(reader) ?? 0);
    const least = before.reduce((a, b) => Math.min(a, b), Infinity);
    if (least !== Infinity) layer.set(id, Math.max(layer.get(id) ?? 0, least - 1));
  }
  const count = [...layer.values()].reduce((most, each) => Math.max(most, each), -1) + 1;
  const layers = Array.from({ length: count }, () => [] as NodeId[]);
  for (const id of ids) layers[layer.get(id) ?? 0]?.push(id);
  return layers.filter((each) => each.length);
}

/** Sources before readers; nodes of circles come last, as they stand. */
function sorted(ids: readonly NodeId[], sources: Neighbours, readers: Neighbours): NodeId[] {
  const waiting = new Map(ids.map((id) => [id, sources.get(id)?.length ?? 0]));
  const order = ids.filter((id) => waiting.get(id) === 0);
  const seen = new Set(order);
  for (const id of order) {
    for (const reader of readers.get(id) ?? []) {
      const left = (waiting.get(reader) ?? 0) - 1;
      waiting.set(reader, left);
      if (left === 0 && !seen.has(reader)) {
        seen.add(reader);
        order.push(reader);
      }
    }
  }
  return [...order, ...ids.filter((id) => !seen.has(id))];
}

function ordered(layers: NodeId[][], sources: Neighbours, readers: Neighbours): NodeId[][] {
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const forward = sweep % 2 === 0;
    const neighbours = forward ? sources : readers;
    const range = [...layers.keys()].slice(1);
    const place = new Map(layers.flatMap((layer) => layer.map((id, index) => [id, index / layer.length] as const)));
    for (const index of forward ? range : range.map((each) => layers.length - 1 - each)) {
      const layer = layers[index] ?? [];
      const centre = new Map(layer.map((id) => [id, barycentre(id, neighbours, place)]));
      const better = layer.toSorted((a, b) => (centre.get(a) ?? 0) - (centre.get(b) ?? 0));
      layers[index] = better;
      for (const [at, id] of better.entries()) place.set(id, at / better.length);
    }
  }
  return layers;
}

function barycentre(id: NodeId, neighbours: Neighbours, place: ReadonlyMap<NodeId, number>): number {
  const others = neighbours.get(id) ?? [];
  if (!others.length) return place.get(id) ?? 0;
  return others.reduce((sum, each) => sum + (place.get(each) ?? 0), 0) / others.length;
}

function placed(layers: readonly NodeId[][], sizeOf: (id: NodeId) => Size, at: Point): Map<NodeId, Point> {
  const heights = layers.map((layer) => layer.reduce((sum, id) => sum + sizeOf(id).height + GAP_Y, -GAP_Y));
  const tallest = heights.reduce((most, each) => Math.max(most, each), 0);
  const positions = new Map<NodeId, Point>();
  let { x } = at;
  for (const [index, layer] of layers.entries()) {
    let y = at.y + Math.round((tallest - (heights[index] ?? 0)) / 2);
    let width = 0;
    for (const id of layer) {
      const size = sizeOf(id);
      positions.set(id, { x, y });
      y += size.height + GAP_Y;
      width = Math.max(width, size.width);
    }
    x += width + GAP_X;
  }
  return positions;
}
