// The ports of a node as it stands: those of its type, or, where the type is unknown, those that
// its file gave it; and any others that cables lead to, so that no cable is ever without an end.

import type { Catalogue, InputPort, NodeDef, OutputPort } from "./catalogue";
import { outputKeys } from "./catalogue";
import type { Graph, GraphNode, NodeId, Source, StoredPort } from "./graph";
import { PRIMITIVE, REROUTE, cablesFrom } from "./graph";
import { ANYTHING } from "./types";

export interface Ports {
  readonly inputs: readonly InputPort[];
  readonly outputs: readonly OutputPort[];
}

const PLAIN = { required: false, optional: true, widget: null, tooltip: "", lazy: false, options: {} };

/** The inputs and outputs of a node. */
export function portsOf(node: GraphNode, catalogue: Catalogue): Ports {
  const def = catalogue.get(node.type);
  const listed = def ?? storedPorts(node);
  const known = new Set(listed.inputs.map((port) => port.name));
  const strange = Object.keys(node.links).filter((name) => !known.has(name));
  if (!strange.length) return listed;
  const added = strange.map((name) => ({ ...PLAIN, name, type: ANYTHING }));
  return { inputs: [...listed.inputs, ...added], outputs: listed.outputs };
}

function storedPorts(node: GraphNode): Ports {
  const { inputs, outputs } = node.ports ?? { inputs: [], outputs: [] };
  const keys = outputKeys(outputs.map((port) => port.name));
  return {
    inputs: inputs.map((port) => ({ ...PLAIN, name: inputName(port), type: port.type })),
    outputs: outputs.map(({ name, type }, index) => ({
      key: keys[index] ?? name,
      name,
      type,
      isList: false,
      tooltip: "",
    })),
  };
}

/** What an input of a file is called: after the widget that it stands for, if it is one. */
export function inputName(port: StoredPort): string {
  return port.widget || port.name;
}

/** The key of the output at a place; "#7" where nothing is known to be there. */
export function outputKey(outputs: readonly OutputPort[], slot: number): string {
  return outputs[slot]?.key ?? `#${slot}`;
}

/** The place of an output; null if there is none with this key. */
export function outputSlot(outputs: readonly OutputPort[], key: string): number | null {
  const at = outputs.findIndex((port) => port.key === key);
  if (at >= 0) return at;
  const match = /^#(\d{1,5})$/.exec(key);
  return match ? Number(match[1]) : null;
}

export function inputPort(node: GraphNode, name: string, catalogue: Catalogue): InputPort | undefined {
  return portsOf(node, catalogue).inputs.find((port) => port.name === name);
}

/** The type of what an output gives; of a reroute, that of what feeds it. */
export function sourceType(graph: Graph, source: Source, catalogue: Catalogue): string {
  let at: Source | undefined = source;
  for (const seen = new Set<NodeId>(); at !== undefined && !seen.has(at.node); ) {
    seen.add(at.node);
    const node = graph.nodes.get(at.node);
    if (node?.type === REROUTE) {
      at = node.links[""];
      continue;
    }
    if (!node || node.type === PRIMITIVE) return ANYTHING;
    const key = at.output;
    return portsOf(node, catalogue).outputs.find((port) => port.key === key)?.type ?? ANYTHING;
  }
  return ANYTHING;
}

/** The types that an input takes: of a reroute, all that the inputs behind it take. */
export function wantedTypes(graph: Graph, id: NodeId, input: string, catalogue: Catalogue): string[] {
  const found = new Set<string>();
  const todo: (readonly [NodeId, string])[] = [[id, input]];
  const seen = new Set<NodeId>();
  for (let next = todo.pop(); next; next = todo.pop()) {
    const node = graph.nodes.get(next[0]);
    if (!node) continue;
    if (node.type !== REROUTE) {
      found.add(inputPort(node, next[1], catalogue)?.type ?? ANYTHING);
    } else if (!seen.has(node.id)) {
      seen.add(node.id);
      for (const cable of cablesFrom(graph, node.id)) todo.push([cable.node, cable.input]);
    }
  }
  return found.size ? [...found] : [ANYTHING];
}

/** An input as the editor's files list it: cables that may come in, in order. */
export interface ListedInput {
  readonly name: string;
  readonly type: string;
  readonly widget: boolean;
}

/** The inputs that are no widgets, then the widgets that a cable feeds. */
export function listedInputs(node: GraphNode, catalogue: Catalogue): ListedInput[] {
  const all = portsOf(node, catalogue).inputs;
  const shown = ({ name, type, widget }: InputPort): ListedInput => ({
    name,
    type,
    widget: widget !== null,
  });
  const sockets = all.filter((port) => port.widget === null).map(shown);
  const fed = all.filter((port) => port.widget !== null && Object.hasOwn(node.links, port.name));
  return [...sockets, ...fed.map(shown)];
}

/** What a node is called on the canvas. */
export function titleOf(node: GraphNode, def: NodeDef | undefined): string {
  return node.title || def?.title || node.type;
}
