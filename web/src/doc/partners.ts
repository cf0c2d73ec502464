// The ports that a port can be joined with, as a list to choose from.

import type { Catalogue } from "./catalogue";
import type { Drawn } from "./connect";
import { givers, takers } from "./connect";
import type { Graph, InputRef, NodeId, Source } from "./graph";
import { portsOf, titleOf } from "./ports";

/** The other end of a cable that may be laid. taken: the input has a cable, which would go. here: it is
 * this very cable. */
export interface Partner {
  readonly node: NodeId;
  readonly port: string;
  readonly type: string;
  readonly title: string;
  readonly taken: boolean;
  readonly here: boolean;
  readonly source: Source;
  readonly to: InputRef;
}

/** All that may be joined with a port: sockets that are free first, then widgets, then what has a cable
 * already; each from left to right. */
export function partners(graph: Graph, drawn: Drawn, catalogue: Catalogue): Partner[] {
  const found =
    "from" in drawn
      ? takers(graph, drawn.from, catalogue).map((to) => ({ source: drawn.from, to, end: to.node, port: to.input }))
      : givers(graph, drawn.to, catalogue).map((source) => ({
          source,
          to: drawn.to,
          end: source.node,
          port: source.output,
        }));
  const listed = found.flatMap(({ source, to, end, port }) => {
    const node = graph.nodes.get(end);
    if (!node) return [];
    const { inputs, outputs } = portsOf(node, catalogue);
    const input = "from" in drawn ? inputs.find(({ name }) => name === port) : undefined;
    const type = input?.type ?? outputs.find(({ key }) => key === port)?.type ?? "*";
    const fed = graph.nodes.get(to.node)?.links[to.input];
    const here = fed?.node === source.node && fed.output === source.output;
    const taken = "from" in drawn && fed !== undefined;
    const title = titleOf(node, catalogue.get(node.type));
    const rank = (taken ? 2 : 0) + (input?.widget ? 1 : 0);
    return [{ partner: { node: end, port, type, title, taken, here, source, to }, rank, place: node.position }];
  });
  return listed
    .toSorted((a, b) => a.rank - b.rank || a.place.x - b.place.x || a.place.y - b.place.y)
    .map(({ partner }) => partner);
}
