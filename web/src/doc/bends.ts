// Reroutes that newer files of the editor draw on cables: a cable names the one nearest its end, and
// each names the one before it. On this canvas a reroute is a node, so they become nodes.

import type { Graph, NodeId, Point, Source } from "./graph";
import { REROUTE, idMaker, makeNode, withNodes } from "./graph";
import type { JsonObject } from "./json";
import { asList, asNumber, asObject, isObject } from "./json";

/** before: the next one towards the cable's beginning. */
export interface ReadBend {
  readonly id: string;
  readonly before: string | null;
  readonly position: Point;
}

/** The reroutes drawn on a file's cables, by id. */
export function bendsOf(file: JsonObject): Map<string, ReadBend> {
  const own = asList(file["reroutes"]);
  const listed = own.length ? own : asList(asObject(file["extra"])["reroutes"]);
  const found = new Map<string, ReadBend>();
  for (const entry of listed.filter(isObject)) {
    const [x, y] = asList(entry["pos"]);
    const before = entry["parentId"];
    const id = String(entry["id"]);
    found.set(id, {
      id,
      before: before === undefined || before === null ? null : String(before),
      position: { x: asNumber(x, 0), y: asNumber(y, 0) },
    });
  }
  return found;
}

/** The graph with nodes for the reroutes on its cables. ends: the one next to the end of a cable, by
 * node and input. */
export function withBends(
  graph: Graph,
  bends: ReadonlyMap<string, ReadBend>,
  ends: ReadonlyMap<NodeId, ReadonlyMap<string, string>>,
): Graph {
  if (!ends.size) return graph;
  const fresh = idMaker(graph.nodes.keys());
  const made = new Map<string, NodeId>(); // by source and reroute: cables of one source share them
  let result = graph;
  const through = (bend: string, source: Source, seen: ReadonlySet<string>): Source => {
    const { before, position } = bends.get(bend) ?? { before: null, position: { x: 0, y: 0 } };
    const known = made.get(JSON.stringify([bend, source]));
    if (known !== undefined) return { node: known, output: "" };
    const behind =
      before !== null && bends.has(before) && !seen.has(before)
        ? through(before, source, new Set([...seen, before]))
        : source;
    const id = fresh();
    made.set(JSON.stringify([bend, source]), id);
    result = withNodes(result, [makeNode(id, REROUTE, { position, links: { "": behind } })]);
    return { node: id, output: "" };
  };
  for (const [id, inputs] of ends) {
    for (const [input, bend] of inputs) {
      const node = result.nodes.get(id);
      const source = node?.links[input];
      if (!node || !source) continue;
      const links = { ...node.links, [input]: through(bend, source, new Set([bend])) };
      result = withNodes(result, [{ ...node, links }]);
    }
  }
  const extra = asObject(graph.extra["extra"]);
  const rest = Object.entries(extra).filter(([key]) => key !== "reroutes" && key !== "linkExtensions");
  return { ...result, extra: { ...graph.extra, extra: Object.fromEntries(rest) } };
}
