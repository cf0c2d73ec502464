// The graph document: what the user made, and nothing of what happens while it runs.
//
// Every value here is immutable; a change makes a new Graph that shares the rest with the old one,
// so that history is a list of graphs and equality of an unchanged part is `===`.

import type { Json, JsonObject } from "./json";

export type NodeId = string;
export type GroupId = string;
export type Mode = "normal" | "muted" | "bypassed";
export type SeedMode = "fixed" | "randomize" | "increment" | "decrement";

/** Pixels of the canvas at zoom 1; y grows downwards. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Bounds extends Point, Size {}

/** The output that feeds an input. `output` is the key of an output port (see ports.ts). */
export interface Source {
  readonly node: NodeId;
  readonly output: string;
}

/** A cable, named by its end: an input takes one cable at most. */
export interface InputRef {
  readonly node: NodeId;
  readonly input: string;
}

export interface StoredPort {
  readonly name: string;
  readonly type: string;
  /** The name of the widget that an input stands for. */
  readonly widget?: string;
}

/** The ports a file gave a node; they are used where its type is unknown. */
export interface StoredPorts {
  readonly inputs: readonly StoredPort[];
  readonly outputs: readonly StoredPort[];
}

export interface GraphNode {
  readonly id: NodeId;
  readonly type: string;
  /** What the widgets hold, by input name; a missing one stands for the default. */
  readonly values: JsonObject;
  /** What becomes of a seed at each run, by input name; a missing one is fixed. */
  readonly seeds: Readonly<Record<string, SeedMode>>;
  readonly links: Readonly<Record<string, Source>>;
  readonly position: Point;
  /** What the user made it; null: as large as its contents. */
  readonly size: Size | null;
  /** "" shows the type's own name. */
  readonly title: string;
  /** A CSS colour, "" for the usual. */
  readonly color: string;
  readonly mode: Mode;
  readonly collapsed: boolean;
  readonly pinned: boolean;
  readonly ports: StoredPorts | null;
  /** Values by position of a node whose type is unknown, so that nothing is lost. */
  readonly unnamed: readonly Json[];
  /** What else a file said of it; written back as it was. */
  readonly extra: JsonObject;
}

export interface Group {
  readonly id: GroupId;
  readonly title: string;
  readonly bounds: Bounds;
  readonly color: string;
  readonly extra: JsonObject;
}

/** nodes: by id, those drawn last last. extra: what else a file said. */
export interface Graph {
  readonly nodes: ReadonlyMap<NodeId, GraphNode>;
  readonly groups: ReadonlyMap<GroupId, Group>;
  readonly extra: JsonObject;
}

export const EMPTY: Graph = { nodes: new Map(), groups: new Map(), extra: {} };

export const REROUTE = "Reroute";
export const PRIMITIVE = "PrimitiveNode";
export const NOTE = "Note";
export const NOTES: ReadonlySet<string> = new Set([NOTE, "MarkdownNote"]);
/** Types that exist on the canvas only; what runs does not know them. */
export const VIRTUAL: ReadonlySet<string> = new Set([...NOTES, REROUTE, PRIMITIVE]);

/** A node with nothing set but these. */
export function makeNode(
  id: NodeId,
  type: string,
  rest: Partial<Omit<GraphNode, "id" | "type">> = {},
): GraphNode {
  return {
    id,
    type,
    values: {},
    seeds: {},
    links: {},
    position: { x: 0, y: 0 },
    size: null,
    title: "",
    color: "",
    mode: "normal",
    collapsed: false,
    pinned: false,
    ports: null,
    unnamed: [],
    extra: {},
    ...rest,
  };
}

export function graphOf(nodes: Iterable<GraphNode>, groups: Iterable<Group> = [], extra = {}): Graph {
  return {
    nodes: new Map([...nodes].map((node) => [node.id, node])),
    groups: new Map([...groups].map((group) => [group.id, group])),
    extra,
  };
}

/** A cable: from `source` into the input `input` of `node`. */
export interface Cable extends InputRef {
  readonly source: Source;
}

/** All cables, in the order of the nodes they lead to. */
export function cables(graph: Graph): Cable[] {
  const found: Cable[] = [];
  for (const node of graph.nodes.values()) {
    for (const [input, source] of Object.entries(node.links)) {
      found.push({ node: node.id, input, source });
    }
  }
  return found;
}

/** The cables that begin at a node, or at one of its outputs. */
export function cablesFrom(graph: Graph, node: NodeId, output?: string): Cable[] {
  return cables(graph).filter(
    ({ source }) => source.node === node && (output === undefined || source.output === output),
  );
}

/** Whether `node` is `target`, or gets something from it, however far behind. */
export function dependsOn(graph: Graph, node: NodeId, target: NodeId): boolean {
  const todo = [node];
  const seen = new Set(todo);
  for (let id = todo.pop(); id !== undefined; id = todo.pop()) {
    if (id === target) return true;
    for (const source of Object.values(graph.nodes.get(id)?.links ?? {})) {
      if (!seen.has(source.node)) {
        seen.add(source.node);
        todo.push(source.node);
      }
    }
  }
  return false;
}

/** Makes ids that are in no use: whole numbers, ascending. */
export function idMaker(taken: Iterable<string>): () => string {
  const used = new Set(taken);
  let next = 1;
  for (const id of used) {
    if (/^\d{1,15}$/.test(id)) next = Math.max(next, Number(id) + 1);
  }
  return () => {
    while (used.has(String(next))) next += 1;
    const id = String(next);
    used.add(id);
    return id;
  };
}

/** The graph with some nodes replaced; the same graph if none of them differs. */
export function withNodes(graph: Graph, changed: Iterable<GraphNode>): Graph {
  let nodes: Map<NodeId, GraphNode> | null = null;
  for (const node of changed) {
    if (graph.nodes.get(node.id) === node) continue;
    nodes ??= new Map(graph.nodes);
    nodes.set(node.id, node);
  }
  return nodes ? { ...graph, nodes } : graph;
}

/** The object without one name; the same object if it has none such. */
export function without<T>(record: Readonly<Record<string, T>>, name: string): Readonly<Record<string, T>> {
  if (!Object.hasOwn(record, name)) return record;
  return Object.fromEntries(Object.entries(record).filter(([each]) => each !== name));
}
