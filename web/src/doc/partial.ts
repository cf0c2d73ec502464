// Running a part of a graph: what leads to a node, and nothing else.

import type { Catalogue, NodeDef } from "./catalogue";
import { behind } from "./connect";
import type { Graph, NodeId, Source } from "./graph";
import { VIRTUAL, cablesFrom } from "./graph";
import { formatJson } from "./json";
import { isSubgraph } from "./open";
import { originOf } from "./sources";

/** What the server is asked for to run up to a node; why: a sentence, where it cannot be. */
export type Part = { readonly targets: readonly NodeId[] } | { readonly why: string };

/** The node, and those beside it that only show what it gives, so that one sees it. */
export function runTo(graph: Graph, id: NodeId, catalogue: Catalogue): Part {
  const node = graph.nodes.get(id);
  if (!node) return { why: "The node is gone" };
  if (isSubgraph(node, graph)) return { why: "A subgraph can only run with the whole graph" };
  if (node.mode === "muted") return { why: "The node is muted, so that nothing leads to it" };
  if (VIRTUAL.has(node.type) || node.mode === "bypassed") {
    const targets = origins(graph, Object.values(node.links), catalogue);
    return targets.length ? { targets } : { why: "Nothing that runs leads to this node" };
  }
  const shown = cablesFrom(graph, id)
    .map((cable) => graph.nodes.get(cable.node))
    .filter((each) => each !== undefined && each.mode === "normal" && isViewer(catalogue.get(each.type)));
  return { targets: [...new Set([id, ...shown.flatMap((each) => (each ? [each.id] : []))])] };
}

function origins(graph: Graph, sources: readonly Source[], catalogue: Catalogue): NodeId[] {
  const found = sources.map((source) => originOf(graph, source, catalogue));
  return [...new Set(found.flatMap((origin) => (origin.kind === "node" ? [origin.source.node] : [])))];
}

/** Whether a type only shows what comes in, and keeps nothing: all its inputs are cables. */
export function isViewer(def: NodeDef | undefined): boolean {
  return def !== undefined && def.output && def.inputs.every(({ widget }) => widget === null);
}

/** All nodes that some get something from, however far behind, and those themselves. */
export function leadingTo(graph: Graph, ids: Iterable<NodeId>): ReadonlySet<NodeId> {
  return new Set([...ids].flatMap((id) => [...behind(graph, id)]));
}

/** A text that changes whenever what leads to these nodes would give something else. */
export function fingerprint(graph: Graph, ids: Iterable<NodeId>): string {
  const nodes = [...leadingTo(graph, ids)].sort().flatMap((id) => {
    const node = graph.nodes.get(id);
    if (!node) return [];
    const links = Object.entries(node.links).map(([name, { node: from, output }]) => [name, from, output]);
    return [[id, node.type, node.mode, Object.entries(node.values), links.sort(), [...node.unnamed]]];
  });
  return formatJson(nodes);
}
