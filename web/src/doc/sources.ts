// Where the value of a cable comes from, once what exists on the canvas only is gone: cables are
// followed backwards through reroutes and bypassed nodes until they end at a node that runs, at a
// value, or at nothing. The same rules as nodegraph/workflow/sources.py.

import type { Catalogue } from "./catalogue";
import type { Graph, GraphNode, NodeId, Source } from "./graph";
import { NOTES, PRIMITIVE, REROUTE } from "./graph";
import type { Json } from "./json";
import { listedInputs, outputSlot, portsOf } from "./ports";
import { ANYTHING, meet } from "./types";

/** muted: the muted node that would have given the value, if it is that. */
export type Origin =
  | { readonly kind: "node"; readonly source: Source }
  | { readonly kind: "value"; readonly value: Json }
  | { readonly kind: "nothing"; readonly muted: NodeId | null };

const NOTHING: Origin = { kind: "nothing", muted: null };

/** What a cable that begins at `source` brings. */
export function originOf(graph: Graph, source: Source, catalogue: Catalogue): Origin {
  let at: Source | undefined = source;
  const passed = new Set<string>();
  while (at !== undefined) {
    const place = JSON.stringify([at.node, at.output]);
    if (passed.has(place)) return NOTHING;
    passed.add(place);
    const node = graph.nodes.get(at.node);
    if (!node || NOTES.has(node.type)) return NOTHING;
    if (node.mode === "muted") return { kind: "nothing", muted: node.id };
    if (node.mode === "bypassed") at = passedThrough(node, at.output, catalogue);
    else if (node.type === REROUTE) at = node.links[""];
    else if (node.type === PRIMITIVE) return held(node);
    else return { kind: "node", source: at };
  }
  return NOTHING;
}

function held(node: GraphNode): Origin {
  const value = node.values["value"] ?? null;
  return value === null ? NOTHING : { kind: "value", value };
}

/** What a bypassed node hands on at an output: what comes in at the same place if it is of the
 * output's type, else at the first input that is. */
export function passedThrough(node: GraphNode, output: string, catalogue: Catalogue): Source | undefined {
  const { outputs } = portsOf(node, catalogue);
  const inputs = listedInputs(node, catalogue);
  const slot = outputSlot(outputs, output) ?? 0;
  const wanted = outputs[slot]?.type ?? ANYTHING;
  const here = inputs[slot];
  const found =
    here && meet(wanted, here.type)
      ? here
      : wanted.split(",").includes(ANYTHING)
        ? inputs[0]
        : inputs.find((input) => meet(wanted, input.type));
  return found && node.links[found.name];
}
