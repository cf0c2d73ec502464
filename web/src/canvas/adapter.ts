// The document as React Flow takes it: nodes with declared sizes and handles, so that none has to be
// mounted to be measured, and edges. What did not change stays the same object.

import type { Edge, Node, NodeHandle } from "@xyflow/react";
import { Position } from "@xyflow/react";

import type { Catalogue, NodeDef } from "../doc/catalogue";
import type { Graph, GraphNode, Group, InputRef, Source } from "../doc/graph";
import { NOTES, REROUTE, cables } from "../doc/graph";
import type { Measures, NodeLayout } from "../doc/layout";
import { hasPictureRow, layoutNode } from "../doc/layout";
import type { Ports } from "../doc/ports";
import { portsOf, sourceType, titleOf } from "../doc/ports";
import { t } from "../i18n/t";
import { cableId } from "../state/actions";
import { lookOf } from "./looks";

export const HANDLE = 14; // pixels, as in canvas.css
const GROUP = "group:";

export interface NodeData extends Record<string, unknown> {
  readonly node: GraphNode;
  readonly def: NodeDef | undefined;
  readonly ports: Ports;
  readonly layout: NodeLayout;
}

export type CanvasNode = Node<NodeData, "node" | "reroute">;
export type FrameNode = Node<{ group: Group }, "group">;
export type AnyNode = CanvasNode | FrameNode;

/** An end of a cable, as a handle names it. */
export type End =
  | { readonly kind: "out"; readonly source: Source }
  | { readonly kind: "in"; readonly to: InputRef };

export const inHandle = (input: string): string => `i:${input}`;
export const outHandle = (output: string): string => `o:${output}`;

export function endOf(node: string | null, handle: string | null | undefined): End | null {
  if (node === null || !handle) return null;
  const name = handle.slice(2);
  return handle.startsWith("o:")
    ? { kind: "out", source: { node, output: name } }
    : { kind: "in", to: { node, input: name } };
}

export const frameId = (id: string): string => GROUP + id;
/** The group that a frame stands for; null for a node. */
export const groupOf = (id: string): string | null => (id.startsWith(GROUP) ? id.slice(GROUP.length) : null);

/** What of the page the nodes show. pictured: those that have a picture. */
export interface Shown {
  readonly nodes: ReadonlySet<string>;
  readonly groups: ReadonlySet<string>;
  readonly cables: ReadonlySet<string>;
  readonly pictured: ReadonlySet<string>;
  /** Whether nodes are drawn as boxes. React Flow then forgets where the handles are, so that all
   * nodes are new objects on the way back. */
  readonly far: boolean;
  readonly measures: Measures;
  /** Those that stay mounted out of sight, as React Flow names them. */
  readonly held: ReadonlySet<string>;
}

type Cable = InputRef & { readonly source: Source };

interface Kept<Key extends readonly unknown[], Value> {
  readonly key: Key;
  readonly value: Value;
}

export class Adapter {
  private keptNodes = new Map<string, Kept<readonly unknown[], AnyNode>>();
  private keptEdges = new Map<string, Kept<readonly unknown[], Edge>>();

  nodes(graph: Graph, catalogue: Catalogue, shown: Shown): AnyNode[] {
    const before = this.keptNodes;
    const now: typeof before = new Map();
    for (const group of graph.groups.values()) {
      const selected = shown.groups.has(group.id);
      const id = frameId(group.id);
      const held = shown.held.has(id);
      now.set(id, kept(before.get(id), [group, selected, held], () => mounted(frame(group, selected), held)));
    }
    for (const node of graph.nodes.values()) {
      const selected = shown.nodes.has(node.id);
      const picture = shown.pictured.has(node.id) || hasPictureRow(catalogue.get(node.type));
      const held = shown.held.has(node.id);
      const key = [node, catalogue, selected, picture, shown.far, shown.measures, held];
      const make = (): AnyNode => mounted(canvasNode(node, catalogue, selected, picture, shown.measures), held);
      now.set(node.id, kept(before.get(node.id), key, make));
    }
    this.keptNodes = now;
    return [...now.values()].map(({ value }) => value);
  }

  edges(graph: Graph, catalogue: Catalogue, shown: Shown): Edge[] {
    const before = this.keptEdges;
    const now: typeof before = new Map();
    for (const cable of cables(graph)) {
      if (!graph.nodes.has(cable.source.node)) continue;
      const id = cableId(cable);
      const type = sourceType(graph, cable.source, catalogue);
      const off = isOff(graph, cable.node) || isOff(graph, cable.source.node);
      const selected = shown.cables.has(id);
      const label = cableLabel(graph, catalogue, cable);
      const key = [cable.source.node, cable.source.output, type, off, selected, label];
      now.set(id, kept(before.get(id), key, () => edge(id, cable, type, off, selected, label)));
    }
    this.keptEdges = now;
    return [...now.values()].map(({ value }) => value);
  }
}

function cableLabel(graph: Graph, catalogue: Catalogue, { node, input, source }: Cable): string {
  const title = (id: string): string => {
    const found = graph.nodes.get(id);
    return found ? titleOf(found, catalogue.get(found.type)) : id;
  };
  return t("cable.label", { output: source.output, from: title(source.node), input, to: title(node) });
}

function isOff(graph: Graph, id: string): boolean {
  return graph.nodes.get(id)?.mode !== "normal";
}

function kept<Value>(
  old: Kept<readonly unknown[], Value> | undefined,
  key: readonly unknown[],
  make: () => Value,
): Kept<readonly unknown[], Value> {
  return old && key.every((part, index) => part === old.key[index]) ? old : { key, value: make() };
}

/** React Flow keeps what is dragged mounted wherever it is; "dragging" means nothing else to it. */
function mounted(node: AnyNode, held: boolean): AnyNode {
  return held ? { ...node, dragging: true } : node;
}

function canvasNode(
  node: GraphNode,
  catalogue: Catalogue,
  selected: boolean,
  picture: boolean,
  measures: Measures,
): CanvasNode {
  const layout = layoutNode(node, catalogue, picture && !NOTES.has(node.type), measures);
  const { width, height } = layout;
  const def = catalogue.get(node.type);
  return {
    id: node.id,
    type: node.type === REROUTE ? "reroute" : "node",
    position: node.position,
    width,
    height,
    measured: { width, height },
    handles: layout.handles.map(handleOf),
    selected,
    draggable: !node.pinned,
    ariaLabel: titleOf(node, def),
    data: { node, def, ports: portsOf(node, catalogue), layout },
  };
}

function handleOf({ kind, id, x, y }: NodeLayout["handles"][number]): NodeHandle {
  return {
    id: kind === "in" ? inHandle(id) : outHandle(id),
    type: kind === "in" ? "target" : "source",
    position: kind === "in" ? Position.Left : Position.Right,
    x: x - HANDLE / 2,
    y: y - HANDLE / 2,
    width: HANDLE,
    height: HANDLE,
  };
}

function frame(group: Group, selected: boolean): FrameNode {
  const { x, y, width, height } = group.bounds;
  return {
    id: frameId(group.id),
    type: "group",
    position: { x, y },
    width,
    height,
    measured: { width, height },
    selected,
    zIndex: -1,
    dragHandle: ".frame-title",
    ariaLabel: group.title,
    data: { group },
  };
}

function edge(
  id: string,
  { node, input, source }: Cable,
  type: string,
  off: boolean,
  selected: boolean,
  label: string,
): Edge {
  return {
    id,
    source: source.node,
    sourceHandle: outHandle(source.output),
    target: node,
    targetHandle: inHandle(input),
    selected,
    className: off ? "cable cable-off" : "cable",
    style: { stroke: lookOf(type).color },
    interactionWidth: 16,
    ariaLabel: label,
    focusable: false,
    data: { type },
  };
}
