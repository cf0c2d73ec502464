// How large a node is and where its ports are, from its type and its texts alone, so that the canvas
// can place cables of nodes that it has not drawn. The stylesheet draws rows of exactly these heights.

import type { Catalogue, InputPort } from "./catalogue";
import type { GraphNode, Size } from "./graph";
import { NOTES, REROUTE } from "./graph";
import type { Json } from "./json";
import { portsOf } from "./ports";
import { isSeed, valueOf } from "./widgets";

export const HEADER = 32;
export const ROW = 24;
export const WIDGET = 30;
export const TEXT = 92;
export const LINE = 16;
/** Lines of a text that have room in a row of TEXT pixels, and those it grows to. */
export const LINES = 4;
export const MOST_LINES = 16;
export const PICTURE = 200;
export const PADDING = 8;
export const WIDTH = 240;
export const WIDE = 320;
export const NARROWEST = 160;

/** A band of a node, over its whole width. A socket row may have an input, an output, or both. */
export interface Row {
  readonly kind: "ports" | "widget" | "text" | "picture";
  readonly y: number;
  readonly height: number;
  readonly input: string | null;
  readonly output: string | null;
}

/** A point where cables end (in) or begin (out), from the node's upper left corner. */
export interface Handle {
  readonly kind: "in" | "out";
  readonly id: string;
  readonly x: number;
  readonly y: number;
}

export interface NodeLayout extends Size {
  readonly rows: readonly Row[];
  readonly handles: readonly Handle[];
}

/** The layout of a node. picture: there is one to show, a preview or a result. */
export function layoutNode(node: GraphNode, catalogue: Catalogue, picture = false): NodeLayout {
  const { inputs, outputs } = portsOf(node, catalogue);
  if (node.type === REROUTE) return reroute();
  const width = Math.max(node.size?.width ?? usualWidth(node, inputs), NARROWEST);
  const lines = (port: InputPort): number => linesOf(valueOf(node, port), width);
  const rows = rowsOf(inputs, outputs.map((port) => port.key), picture, lines);
  const bottom = rows.reduce((y, row) => Math.max(y, row.y + row.height), HEADER) + PADDING;
  if (node.collapsed) return collapsed(width, rows);
  const height = Math.max(node.size?.height ?? 0, bottom);
  const stretched = stretch(rows, height - bottom);
  return { width, height, rows: stretched, handles: handlesOf(stretched, width) };
}

function usualWidth(node: GraphNode, inputs: readonly InputPort[]): number {
  const wide = inputs.some(({ widget }) => (widget?.kind === "text" && widget.multiline) || isSeed(widget));
  return NOTES.has(node.type) || wide ? WIDE : WIDTH;
}

const LETTER = 6.5; // pixels, on average
const MARGINS = 44; // beside a text

/** How many lines a text takes, more or less, where there is room for it. */
function linesOf(text: Json, width: number): number {
  if (typeof text !== "string") return 1;
  const letters = Math.max(1, Math.floor((width - MARGINS) / LETTER));
  const lines = text.split("\n").map((line) => Math.max(1, Math.ceil(line.length / letters)));
  return Math.min(MOST_LINES, lines.reduce((sum, count) => sum + count, 0));
}

function rowsOf(
  inputs: readonly InputPort[],
  outputs: readonly string[],
  picture: boolean,
  lines: (port: InputPort) => number,
): Row[] {
  const rows: Row[] = [];
  let y = HEADER;
  const add = (kind: Row["kind"], height: number, input: string | null, output: string | null): void => {
    rows.push({ kind, y, height, input, output });
    y += height;
  };
  const sockets = inputs.filter((port) => port.widget === null);
  for (let index = 0; index < Math.max(sockets.length, outputs.length); index += 1) {
    add("ports", ROW, sockets[index]?.name ?? null, outputs[index] ?? null);
  }
  for (const port of inputs) {
    const { name, widget } = port;
    if (widget === null) continue;
    const more = Math.max(0, lines(port) - LINES);
    if (widget.kind === "text" && widget.multiline) add("text", TEXT + more * LINE, name, null);
    else add("widget", WIDGET, name, null);
  }
  if (picture) add("picture", PICTURE, null, null);
  return rows;
}

/** What the user made the node higher goes to its texts and its picture, in equal parts. */
function stretch(rows: readonly Row[], more: number): readonly Row[] {
  const elastic = rows.filter((row) => row.kind === "text" || row.kind === "picture").length;
  if (more <= 0 || !elastic) return rows;
  let y = HEADER;
  return rows.map((row) => {
    const grows = row.kind === "text" || row.kind === "picture";
    const height = grows ? row.height + more / elastic : row.height;
    const placed = { ...row, y, height };
    y += height;
    return placed;
  });
}

function handlesOf(rows: readonly Row[], width: number): Handle[] {
  return rows.flatMap((row) => {
    const y = row.y + (row.kind === "text" ? WIDGET : row.height) / 2;
    const ends: Handle[] = [];
    if (row.input !== null) ends.push({ kind: "in", id: row.input, x: 0, y });
    if (row.output !== null) ends.push({ kind: "out", id: row.output, x: width, y });
    return ends;
  });
}

function collapsed(width: number, rows: readonly Row[]): NodeLayout {
  const handles = handlesOf(rows, width).map((handle) => ({ ...handle, y: HEADER / 2 }));
  return { width, height: HEADER, rows: [], handles };
}

function reroute(): NodeLayout {
  const [width, height] = [40, 24];
  const handles: Handle[] = [
    { kind: "in", id: "", x: 0, y: height / 2 },
    { kind: "out", id: "", x: width, y: height / 2 },
  ];
  return { width, height, rows: [], handles };
}
