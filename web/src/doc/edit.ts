// Changes of a graph, as functions from a graph to a graph. Nothing is changed in place; where
// there is nothing to change, the same graph comes back. Cables are in connect.ts.

import type { Catalogue, NodeDef } from "./catalogue";
import type {
  Bounds, Graph, GraphNode, Group, GroupId, Mode, NodeId, Point, SeedMode, Size, Source,
} from "./graph";
import { VIRTUAL, idMaker, makeNode, withNodes, without } from "./graph";
import type { Json } from "./json";
import { sameJson } from "./json";
import { passedThrough } from "./sources";
import { initialSeeds, initialValues } from "./widgets";

/** A change and what it made. */
export interface Made {
  readonly graph: Graph;
  readonly id: string;
}

/** Adds a node of a type, with the values that its widgets hold at first. */
export function addNode(graph: Graph, def: NodeDef, position: Point): Made {
  const id = idMaker(graph.nodes.keys())();
  const node = makeNode(id, def.type, {
    position,
    values: VIRTUAL.has(def.type) ? {} : initialValues(def),
    seeds: initialSeeds(def),
  });
  return { graph: withNodes(graph, [node]), id };
}

/** Adds nodes as they are; those with the ids of others take their places. */
export function putNodes(graph: Graph, nodes: Iterable<GraphNode>): Graph {
  return withNodes(graph, nodes);
}

/**
 * Removes nodes and their cables. heal: what came into a removed node goes on to those that it fed,
 * where the types allow it, as if it had been bypassed.
 */
export function removeNodes(
  graph: Graph,
  ids: Iterable<NodeId>,
  catalogue: Catalogue,
  { heal = false }: { heal?: boolean } = {},
): Graph {
  const gone = new Set([...ids].filter((id) => graph.nodes.has(id)));
  if (!gone.size) return graph;
  const kept = [...graph.nodes.values()].filter((node) => !gone.has(node.id));
  const behind = (source: Source): Source | undefined => {
    let at: Source | undefined = source;
    for (const seen = new Set<NodeId>(); at && gone.has(at.node); ) {
      const node = graph.nodes.get(at.node);
      if (!heal || !node || seen.has(node.id)) return undefined;
      seen.add(node.id);
      at = passedThrough(node, at.output, catalogue);
    }
    return at;
  };
  const nodes = kept.map((node) => relinked(node, behind));
  return { ...graph, nodes: new Map(nodes.map((node) => [node.id, node])) };
}

/** The node with each of its links as `change` has it; undefined for none. */
export function relinked(node: GraphNode, change: (source: Source) => Source | undefined): GraphNode {
  const entries = Object.entries(node.links);
  const changed = entries.map(([name, source]) => [name, change(source)] as const);
  if (changed.every(([, source], index) => source === entries[index]?.[1])) return node;
  const links = Object.fromEntries(
    changed.filter((entry): entry is readonly [string, Source] => entry[1] !== undefined),
  );
  return { ...node, links };
}

/** Sets what a widget holds; null: what it holds at first. */
export function setValue(graph: Graph, id: NodeId, name: string, value: Json): Graph {
  return change(graph, id, (node) => {
    if (value === null) return { values: without(node.values, name) };
    if (sameJson(node.values[name], value)) return {};
    return { values: { ...node.values, [name]: value } };
  });
}

/** Sets what becomes of a seed at each run. */
export function setSeedMode(graph: Graph, id: NodeId, name: string, mode: SeedMode): Graph {
  return change(graph, id, ({ seeds }) => {
    if (mode === "fixed") return { seeds: without(seeds, name) };
    return seeds[name] === mode ? {} : { seeds: { ...seeds, [name]: mode } };
  });
}

/** Puts nodes at positions. */
export function placeNodes(graph: Graph, positions: ReadonlyMap<NodeId, Point>): Graph {
  const moved = [...positions].flatMap(([id, { x, y }]) => {
    const node = graph.nodes.get(id);
    if (!node || (node.position.x === x && node.position.y === y)) return [];
    return [{ ...node, position: { x, y } }];
  });
  return withNodes(graph, moved);
}

/** Moves nodes by so much; pinned ones stay. */
export function moveNodes(graph: Graph, ids: Iterable<NodeId>, by: Point): Graph {
  const positions = new Map<NodeId, Point>();
  for (const id of ids) {
    const node = graph.nodes.get(id);
    if (node && !node.pinned) {
      positions.set(id, { x: node.position.x + by.x, y: node.position.y + by.y });
    }
  }
  return placeNodes(graph, positions);
}

/** Sets a node's size; null: as large as its contents. */
export function resizeNode(graph: Graph, id: NodeId, size: Size | null): Graph {
  return change(graph, id, () => ({ size }));
}

export function setTitle(graph: Graph, id: NodeId, title: string): Graph {
  return change(graph, id, () => ({ title }));
}

type Look = Partial<Pick<GraphNode, "color" | "mode" | "collapsed" | "pinned">>;

/** Sets the colour, the mode, or whether they are collapsed or pinned, of some nodes. */
export function setLook(graph: Graph, ids: Iterable<NodeId>, look: Look): Graph {
  return [...ids].reduce((result, id) => change(result, id, () => look), graph);
}

/** Mutes or bypasses nodes, or, if all of them are so already, makes them run again. */
export function toggleMode(graph: Graph, ids: Iterable<NodeId>, mode: Mode): Graph {
  const list = [...ids];
  const all = list.every((id) => graph.nodes.get(id)?.mode === mode);
  return setLook(graph, list, { mode: all ? "normal" : mode });
}

/** Draws nodes after all others, so that they lie on top. */
export function raiseNodes(graph: Graph, ids: Iterable<NodeId>): Graph {
  const raised = new Set([...ids].filter((id) => graph.nodes.has(id)));
  const order = [...graph.nodes.keys()];
  if (order.slice(order.length - raised.size).every((id) => raised.has(id))) return graph;
  const all = [...graph.nodes.values()];
  const sorted = [...all.filter(({ id }) => !raised.has(id)), ...all.filter(({ id }) => raised.has(id))];
  return { ...graph, nodes: new Map(sorted.map((node) => [node.id, node])) };
}

/**
 * Gives a node another type: links and values whose names and widgets are there stay, the others
 * go, and so do cables from outputs that the new type lacks.
 */
export function replaceType(graph: Graph, id: NodeId, def: NodeDef): Graph {
  const node = graph.nodes.get(id);
  if (!node || node.type === def.type) return graph;
  const names = new Set(def.inputs.map((port) => port.name));
  const stays = ([name]: readonly [string, unknown]): boolean => names.has(name);
  const keys = new Set(def.outputs.map((port) => port.key));
  const replaced: GraphNode = {
    ...node,
    type: def.type,
    values: { ...initialValues(def), ...Object.fromEntries(Object.entries(node.values).filter(stays)) },
    seeds: Object.fromEntries(Object.entries(node.seeds).filter(stays)),
    links: Object.fromEntries(Object.entries(node.links).filter(stays)),
    ports: null,
    unnamed: [],
    size: null,
  };
  const others = [...graph.nodes.values()].map((each) =>
    each.id === id
      ? replaced
      : relinked(each, (source) => (source.node !== id || keys.has(source.output) ? source : undefined)),
  );
  return withNodes(graph, others);
}

// -- groups ---------------------------------------------------------------------------------------

export function addGroup(graph: Graph, title: string, bounds: Bounds, color = ""): Made {
  const id = idMaker(graph.groups.keys())();
  const group: Group = { id, title, bounds, color, extra: {} };
  return { graph: { ...graph, groups: new Map(graph.groups).set(id, group) }, id };
}

export function changeGroup(
  graph: Graph,
  id: GroupId,
  changes: Partial<Pick<Group, "title" | "bounds" | "color">>,
): Graph {
  const group = graph.groups.get(id);
  if (!group) return graph;
  const changed = { ...group, ...changes };
  if (shallowSame(group, changed)) return graph;
  return { ...graph, groups: new Map(graph.groups).set(id, changed) };
}

/** Removes groups; what is in them stays. */
export function removeGroups(graph: Graph, ids: Iterable<GroupId>): Graph {
  const gone = new Set([...ids].filter((id) => graph.groups.has(id)));
  if (!gone.size) return graph;
  return { ...graph, groups: new Map([...graph.groups].filter(([id]) => !gone.has(id))) };
}

/** The nodes whose middle of the upper edge is in a group. width: of a node. */
export function nodesIn(graph: Graph, id: GroupId, width: (node: GraphNode) => number): NodeId[] {
  const group = graph.groups.get(id);
  if (!group) return [];
  const { x, y, width: w, height: h } = group.bounds;
  return [...graph.nodes.values()]
    .filter((node) => {
      const middle = node.position.x + width(node) / 2;
      return middle >= x && middle < x + w && node.position.y >= y && node.position.y < y + h;
    })
    .map((node) => node.id);
}

/** Moves a group with the nodes that are in it. */
export function moveGroup(graph: Graph, id: GroupId, by: Point, width: (node: GraphNode) => number): Graph {
  const group = graph.groups.get(id);
  if (!group || (!by.x && !by.y)) return graph;
  const bounds = { ...group.bounds, x: group.bounds.x + by.x, y: group.bounds.y + by.y };
  return changeGroup(moveNodes(graph, nodesIn(graph, id, width), by), id, { bounds });
}

function change(graph: Graph, id: NodeId, make: (node: GraphNode) => Partial<GraphNode>): Graph {
  const node = graph.nodes.get(id);
  if (!node) return graph;
  const changed = { ...node, ...make(node) };
  return shallowSame(node, changed) ? graph : withNodes(graph, [changed]);
}

function shallowSame<T extends object>(a: T, b: T): boolean {
  return (Object.keys(b) as (keyof T)[]).every((key) => a[key] === b[key]);
}
