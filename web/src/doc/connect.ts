// Cables: what may be connected, and why not; connecting, moving ends, putting nodes in between.

import type { Catalogue, InputPort, NodeDef } from "./catalogue";
import type { Made } from "./edit";
import type { Graph, GraphNode, InputRef, NodeId, Point, Source } from "./graph";
import { NOTES, PRIMITIVE, REROUTE, cablesFrom, dependsOn, idMaker, makeNode, withNodes, without } from "./graph";
import { portsOf, sourceType, wantedTypes } from "./ports";
import { ANYTHING, accepts, typeRefusal } from "./types";

/** Why a cable may not go from an output to an input, as a sentence; null if it may. */
export function refusal(graph: Graph, source: Source, to: InputRef, catalogue: Catalogue): string | null {
  const why = misfit(graph, source, to, catalogue);
  if (why !== null) return why;
  return dependsOn(graph, source.node, to.node) ? "This would make a circle: the node waits for itself" : null;
}

/** The same, but for circles. */
function misfit(graph: Graph, source: Source, to: InputRef, catalogue: Catalogue): string | null {
  const from = graph.nodes.get(source.node);
  const node = graph.nodes.get(to.node);
  if (!from || !node) return "The node is gone";
  if (source.node === to.node) return "A node cannot feed itself";
  if (!portsOf(from, catalogue).outputs.some((port) => port.key === source.output)) {
    return `${from.type} has no output ${source.output}`;
  }
  const port = portsOf(node, catalogue).inputs.find(({ name }) => name === to.input);
  if (!port) return `${node.type} has no input ${to.input}`;
  if (from.type === PRIMITIVE && !port.widget && node.type !== REROUTE) {
    return "A value can feed a widget only";
  }
  const given = sourceType(graph, source, catalogue);
  for (const wanted of wantedTypes(graph, to.node, to.input, catalogue)) {
    const why = typeRefusal(wanted, given);
    if (why) return why;
  }
  return null;
}

/** All inputs that may take an output, to be shown while a cable is drawn from it. */
export function takers(graph: Graph, source: Source, catalogue: Catalogue): InputRef[] {
  const before = behind(graph, source.node);
  return [...graph.nodes.values()].flatMap((node) =>
    before.has(node.id)
      ? []
      : portsOf(node, catalogue)
          .inputs.map(({ name }) => ({ node: node.id, input: name }))
          .filter((to) => misfit(graph, source, to, catalogue) === null),
  );
}

/** All outputs that may feed an input, to be shown while a cable is drawn from it. */
export function givers(graph: Graph, to: InputRef, catalogue: Catalogue): Source[] {
  const waiting = new Map<NodeId, boolean>();
  return [...graph.nodes.values()].flatMap((node) =>
    waits(graph, node.id, to.node, waiting)
      ? []
      : portsOf(node, catalogue)
          .outputs.map(({ key }) => ({ node: node.id, output: key }))
          .filter((source) => misfit(graph, source, to, catalogue) === null),
  );
}

/** A node and all that it gets something from, however far behind. */
export function behind(graph: Graph, id: NodeId): ReadonlySet<NodeId> {
  const found = new Set([id]);
  for (const each of found) {
    for (const { node } of Object.values(graph.nodes.get(each)?.links ?? {})) found.add(node);
  }
  return found;
}

/** Whether a node is the target or gets something from it. known: what was found out before. */
function waits(graph: Graph, id: NodeId, target: NodeId, known: Map<NodeId, boolean>): boolean {
  const answer = known.get(id);
  if (answer !== undefined) return answer;
  const all = behind(graph, id);
  const found = all.has(target);
  if (!found) for (const each of all) known.set(each, false);
  known.set(id, found);
  return found;
}

/** Lays a cable; what fed the input before no longer does. It does not ask `refusal`. */
export function connect(graph: Graph, source: Source, to: InputRef): Graph {
  const node = graph.nodes.get(to.node);
  if (!node || !graph.nodes.has(source.node)) return graph;
  const old = node.links[to.input];
  if (old?.node === source.node && old.output === source.output) return graph;
  const link = { node: source.node, output: source.output };
  return withNodes(graph, [{ ...node, links: { ...node.links, [to.input]: link } }]);
}

/** Takes the cable out of an input. */
export function disconnect(graph: Graph, { node: id, input }: InputRef): Graph {
  const node = graph.nodes.get(id);
  if (!node || !Object.hasOwn(node.links, input)) return graph;
  return withNodes(graph, [{ ...node, links: without(node.links, input) }]);
}

/** Moves the end of a cable to another input. */
export function moveEnd(graph: Graph, from: InputRef, to: InputRef): Graph {
  const source = graph.nodes.get(from.node)?.links[from.input];
  if (!source || (from.node === to.node && from.input === to.input)) return graph;
  return connect(disconnect(graph, from), source, to);
}

/** Lets another output feed all that one feeds, as far as it may. */
export function moveStart(graph: Graph, from: Source, to: Source, catalogue: Catalogue): Graph {
  return cablesFrom(graph, from.node, from.output).reduce(
    (result, cable) => (refusal(result, to, cable, catalogue) ? result : connect(result, to, cable)),
    graph,
  );
}

/** The inputs of a node that may take an output: free ones first, then those of the very type. */
export function inputsFor(graph: Graph, source: Source, id: NodeId, catalogue: Catalogue): InputRef[] {
  const node = graph.nodes.get(id);
  if (!node) return [];
  const type = sourceType(graph, source, catalogue);
  const may = portsOf(node, catalogue).inputs.filter(
    (port) => refusal(graph, source, { node: id, input: port.name }, catalogue) === null,
  );
  const rank = (port: InputPort): number =>
    (Object.hasOwn(node.links, port.name) ? 4 : 0) + (port.widget ? 2 : 0) + (port.type === type ? 0 : 1);
  return may
    .toSorted((a, b) => rank(a) - rank(b))
    .map((port) => ({ node: id, input: port.name }));
}

/** Where a cable that is drawn may begin or end: at an output it comes from, or an input. */
export type Drawn = { readonly from: Source } | { readonly to: InputRef };

/** The port of a type that a cable of a type would go to; null if there is none. */
function fit(def: NodeDef, drawn: Drawn, types: readonly string[]): string | null {
  if ("from" in drawn) {
    const given = types[0] ?? ANYTHING;
    const may = def.inputs.filter((port) => accepts(port.type, given));
    const best =
      may.find((port) => port.type === given && !port.widget) ??
      may.find((port) => !port.widget && port.type !== ANYTHING) ??
      may.find((port) => port.type === given) ??
      may[0];
    return best ? best.name : null;
  }
  const may = def.outputs.filter((port) => types.every((wanted) => accepts(wanted, port.type)));
  return (may.find((port) => types.includes(port.type)) ?? may[0])?.key ?? null;
}

/** A node type that a cable could go to, and to which of its ports. */
export interface Fitting {
  readonly def: NodeDef;
  readonly port: string;
}

/** The node types that a drawn cable could go to when it is let go over empty space. */
export function fittingTypes(graph: Graph, drawn: Drawn, catalogue: Catalogue): Fitting[] {
  const types =
    "from" in drawn
      ? [sourceType(graph, drawn.from, catalogue)]
      : wantedTypes(graph, drawn.to.node, drawn.to.input, catalogue);
  return [...catalogue.values()].flatMap((def) => {
    if (NOTES.has(def.type) || (def.type === PRIMITIVE && !takesValue(graph, drawn, catalogue))) return [];
    const port = fit(def, drawn, types);
    return port === null ? [] : [{ def, port }];
  });
}

function takesValue(graph: Graph, drawn: Drawn, catalogue: Catalogue): boolean {
  if ("from" in drawn) return false;
  const node = graph.nodes.get(drawn.to.node);
  const ports = node ? portsOf(node, catalogue).inputs : [];
  return ports.some((port) => port.name === drawn.to.input && port.widget !== null);
}

/** Connects a drawn cable with a port of a node: an input or an output, as it needs. */
export function attach(graph: Graph, drawn: Drawn, node: NodeId, port: string): Graph {
  if ("from" in drawn) return connect(graph, drawn.from, { node, input: port });
  return connect(graph, { node, output: port }, drawn.to);
}

/** How a node can be put into a cable. */
export interface Insertion {
  readonly input: string;
  readonly output: string;
}

/** The ports by which a node can be put into a cable; null if it cannot. Its inputs that have
 * cables already are left alone. */
export function insertion(graph: Graph, cable: InputRef, id: NodeId, catalogue: Catalogue): Insertion | null {
  const node = graph.nodes.get(id);
  const source = graph.nodes.get(cable.node)?.links[cable.input];
  if (!node || !source || id === cable.node || id === source.node) return null;
  const free = inputsFor(graph, source, id, catalogue).filter(({ input }) => !Object.hasOwn(node.links, input));
  for (const { input } of free) {
    const fed = connect(graph, source, { node: id, input });
    const output = outputsFor(fed, node, cable, catalogue)[0];
    if (output !== undefined) return { input, output };
  }
  return null;
}

function outputsFor(graph: Graph, node: GraphNode, to: InputRef, catalogue: Catalogue): string[] {
  const wanted = wantedTypes(graph, to.node, to.input, catalogue);
  return portsOf(node, catalogue)
    .outputs.filter((port) => refusal(graph, { node: node.id, output: port.key }, to, catalogue) === null)
    .toSorted((a, b) => Number(wanted.includes(b.type)) - Number(wanted.includes(a.type)))
    .map((port) => port.key);
}

/** Puts a node into a cable; the same graph if it cannot be. */
export function insertNode(graph: Graph, cable: InputRef, id: NodeId, catalogue: Catalogue): Graph {
  const ports = insertion(graph, cable, id, catalogue);
  const source = graph.nodes.get(cable.node)?.links[cable.input];
  if (!ports || !source) return graph;
  const fed = connect(graph, source, { node: id, input: ports.input });
  return connect(fed, { node: id, output: ports.output }, cable);
}

/** Bends a cable: a reroute in the middle of it. */
export function addReroute(graph: Graph, cable: InputRef, position: Point): Made | null {
  const source = graph.nodes.get(cable.node)?.links[cable.input];
  if (!source) return null;
  const id = idMaker(graph.nodes.keys())();
  const bent = withNodes(graph, [makeNode(id, REROUTE, { position, links: { "": source } })]);
  return { graph: connect(bent, { node: id, output: "" }, cable), id };
}
