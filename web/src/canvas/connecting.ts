// What a cable that is being drawn may do. It is drawn from an output, from a free input, or it is
// taken out of the input that it feeds and goes to another one.

import type { Connection } from "@xyflow/react";

import type { Catalogue } from "../doc/catalogue";
import type { Drawn } from "../doc/connect";
import { disconnect, givers, inputsFor, moveEnd, refusal, takers } from "../doc/connect";
import type { Graph, InputRef, NodeId, Source } from "../doc/graph";
import { sourceType, wantedTypes } from "../doc/ports";
import { cableId, lay } from "../state/actions";
import type { Editor } from "../state/editor";
import { layoutOf } from "../state/sizes";
import type { Drawing } from "../state/ui";
import { t } from "../i18n/t";
import type { End } from "./adapter";
import { endOf, inHandle, outHandle } from "./adapter";

/** What feeds an input. */
function feeder(graph: Graph, to: InputRef): Source | undefined {
  return graph.nodes.get(to.node)?.links[to.input];
}

/** What is shown while a cable is drawn from this end. */
export function drawingFrom(editor: Editor, end: End): Drawing {
  const { graph, catalogue } = editor;
  const picked = end.kind === "in" ? feeder(graph, end.to) : undefined;
  const source = end.kind === "out" ? end.source : picked;
  const ports = new Map<NodeId, Set<string>>();
  const mark = (node: NodeId, handle: string): void => {
    ports.set(node, (ports.get(node) ?? new Set()).add(handle));
  };
  if (source) for (const to of takers(graph, source, catalogue)) mark(to.node, inHandle(to.input));
  else if (end.kind === "in") {
    for (const from of givers(graph, end.to, catalogue)) mark(from.node, outHandle(from.output));
  }
  const type = source ? sourceType(graph, source, catalogue) : wanted(graph, end, catalogue);
  return {
    type,
    ports,
    cable: picked && end.kind === "in" ? cableId(end.to) : null,
    start: picked ? startOf(editor, picked) : null,
  };
}

function wanted(graph: Graph, end: End, catalogue: Catalogue): string {
  return end.kind === "in" ? (wantedTypes(graph, end.to.node, end.to.input, catalogue)[0] ?? "*") : "*";
}

function startOf(editor: Editor, source: Source): Drawing["start"] {
  const node = editor.graph.nodes.get(source.node);
  if (!node) return null;
  const { handles } = layoutOf(editor, node);
  const handle = handles.find((each) => each.kind === "out" && each.id === source.output);
  return handle ? { x: node.position.x + handle.x, y: node.position.y + handle.y } : null;
}

/** A drawn cable as what it would do: lay one, or move the end of one. */
type Wish =
  | { readonly kind: "lay"; readonly source: Source; readonly to: InputRef }
  | { readonly kind: "move"; readonly source: Source; readonly from: InputRef; readonly to: InputRef };

function wish(graph: Graph, a: End | null, b: End | null): Wish | null {
  if (!a || !b) return null;
  if (a.kind === "out" && b.kind === "in") return { kind: "lay", source: a.source, to: b.to };
  if (a.kind === "in" && b.kind === "out") return { kind: "lay", source: b.source, to: a.to };
  if (a.kind === "out" || b.kind === "out") return null;
  // Drawn from an input, React Flow has that one as the target and the other as the source.
  const source = feeder(graph, b.to);
  return source ? { kind: "move", source, from: b.to, to: a.to } : null;
}

function ends(connection: Pick<Connection, "source" | "sourceHandle" | "target" | "targetHandle">): [End | null, End | null] {
  return [
    endOf(connection.source, connection.sourceHandle),
    endOf(connection.target, connection.targetHandle),
  ];
}

/** Why a cable drawn from one end may not go to another, as a sentence; null if it may. */
export function endRefusal(editor: Editor, from: End | null, to: End | null): string | null {
  return from?.kind === "in" ? wishRefusal(editor, to, from) : wishRefusal(editor, from, to);
}

function wishRefusal({ graph, catalogue }: Editor, a: End | null, b: End | null): string | null {
  const wished = wish(graph, a, b);
  if (!wished) return "A cable goes from an output to an input";
  return refusal(graph, wished.source, wished.to, catalogue);
}

export function mayConnect(editor: Editor, connection: Connection): boolean {
  return wishRefusal(editor, ...ends(connection)) === null;
}

/** Makes a connection that React Flow found valid. */
export function makeConnection(editor: Editor, connection: Connection): void {
  const wished = wish(editor.graph, ...ends(connection));
  if (!wished) return;
  if (wished.kind === "lay") return lay(editor, wished.source, wished.to);
  editor.document.apply(t("do.connect"), (graph) => moveEnd(graph, wished.from, wished.to));
  editor.runtime.forgiveFault(wished.to.node, wished.to.input);
}

/** What a cable let go over empty space asks the palette for; null if it only comes off. */
export function drawnFrom({ graph }: Editor, end: End): Drawn | null {
  if (end.kind === "out") return { from: end.source };
  return feeder(graph, end.to) ? null : { to: end.to };
}

/** Takes the cable out of the input that it was drawn from. */
export function comeOff(editor: Editor, end: End): void {
  if (end.kind === "in") editor.document.apply(t("do.disconnect"), (graph) => disconnect(graph, end.to));
}

/** Connects a cable let go over a node with the port that fits best; whether there is one. */
export function dropOnNode(editor: Editor, end: End, node: NodeId): boolean {
  const { graph, catalogue } = editor;
  const picked = end.kind === "in" ? feeder(graph, end.to) : undefined;
  if (end.kind === "in" && node === end.to.node) return true;
  if (end.kind === "in" && !picked) {
    const source = givers(graph, end.to, catalogue).find((each) => each.node === node);
    if (source) lay(editor, source, end.to);
    return source !== undefined;
  }
  const source = end.kind === "out" ? end.source : picked;
  const to = source && inputsFor(graph, source, node, catalogue)[0];
  if (!source || !to) return false;
  if (end.kind === "out") lay(editor, source, to);
  else editor.document.apply(t("do.connect"), (before) => moveEnd(before, end.to, to));
  return true;
}
