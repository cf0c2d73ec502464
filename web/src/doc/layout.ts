// How large a node is and where its ports are, from its type and its texts alone, so that the canvas
// can place cables of nodes that it has not drawn. The stylesheet draws rows of exactly these heights.

import type { Catalogue, InputPort, NodeDef } from "./catalogue";
import type { GraphNode, Size } from "./graph";
import { NOTES, REROUTE } from "./graph";
import type { Json } from "./json";
import { portsOf } from "./ports";
import { isSeed, valueOf } from "./widgets";

/** Heights of what nodes are made of, in pixels: the header, a row of ports, a row with a widget, one
 * with a text of some lines, a line of it. */
export interface Measures {
  readonly header: number;
  readonly row: number;
  readonly widget: number;
  readonly text: number;
  readonly line: number;
}

/** As in canvas.css. Widths are the same, so that nodes stay side by side as they were laid out. */
export const NORMAL: Measures = { header: 32, row: 24, widget: 30, text: 92, line: 16 };
export const COMPACT: Measures = { header: 26, row: 20, widget: 24, text: 82, line: 15 };

export const HEADER = NORMAL.header;
export const ROW = NORMAL.row;
export const WIDGET = NORMAL.widget;
export const TEXT = NORMAL.text;
export const LINE = NORMAL.line;
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
  readonly measures: Measures;
}

/** Whether a type always has room for a picture: it shows one, or names one of the input folder. */
export function hasPictureRow(def: NodeDef | undefined): boolean {
  if (!def) return false;
  const shows = def.output && def.inputs.some(({ type }) => type === "IMAGE");
  return shows || def.inputs.some(({ widget }) => widget?.kind === "choice" && widget.upload);
}

/** The layout of a node. picture: there is one to show, a preview or a result. */
export function layoutNode(
  node: GraphNode,
  catalogue: Catalogue,
  picture = false,
  measures: Measures = NORMAL,
): NodeLayout {
  const { inputs, outputs } = portsOf(node, catalogue);
  if (node.type === REROUTE) return reroute(measures);
  const { header } = measures;
  const width = Math.max(node.size?.width ?? usualWidth(node, inputs), NARROWEST);
  const lines = (port: InputPort): number => linesOf(valueOf(node, port), width);
  const rows = rowsOf(inputs, outputs.map((port) => port.key), picture, lines, measures);
  const bottom = rows.reduce((y, row) => Math.max(y, row.y + row.height), header) + PADDING;
  if (node.collapsed) return collapsed(width, rows, measures);
  const height = Math.max(node.size?.height ?? 0, bottom);
  const stretched = stretch(rows, height - bottom, header);
  return { width, height, rows: stretched, handles: handlesOf(stretched, width, measures), measures };
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
  measures: Measures,
): Row[] {
  const rows: Row[] = [];
  let y = measures.header;
  const add = (kind: Row["kind"], height: number, input: string | null, output: string | null): void => {
    rows.push({ kind, y, height, input, output });
    y += height;
  };
  const sockets = inputs.filter((port) => port.widget === null);
  for (let index = 0; index < Math.max(sockets.length, outputs.length); index += 1) {
    add("ports", measures.row, sockets[index]?.name ?? null, outputs[index] ?? null);
  }
  for (const port of inputs) {
    const { name, widget } = port;
    if (widget === null) continue;
    const more = Math.max(0, lines(port) - LINES);
    if (widget.kind === "text" && widget.multiline) add("text", measures.text + more * measures.line, name, null);
    else add("widget", measures.widget, name, null);
  }
  if (picture) add("picture", PICTURE, null, null);
  return rows;
}

/** What the user made the node higher goes to its texts and its picture, in equal parts. */
function stretch(rows: readonly Row[], more: number, header: number): readonly Row[] {
  const elastic = rows.filter((row) => row.kind === "text" || row.kind === "picture").length;
  if (more <= 0 || !elastic) return rows;
  let y = header;
  return rows.map((row) => {
    const grows = row.kind === "text" || row.kind === "picture";
    const height = grows ? row.height + more / elastic : row.height;
    const placed = { ...row, y, height };
    y += height;
    return placed;
  });
}

function handlesOf(rows: readonly Row[], width: number, { widget }: Measures): Handle[] {
  return rows.flatMap((row) => {
    const y = row.y + (row.kind === "text" ? widget : row.height) / 2;
    const ends: Handle[] = [];
    if (row.input !== null) ends.push({ kind: "in", id: row.input, x: 0, y });
    if (row.output !== null) ends.push({ kind: "out", id: row.output, x: width, y });
    return ends;
  });
}

function collapsed(width: number, rows: readonly Row[], measures: Measures): NodeLayout {
  const { header } = measures;
  const handles = handlesOf(rows, width, measures).map((handle) => ({ ...handle, y: header / 2 }));
  return { width, height: header, rows: [], handles, measures };
}

function reroute(measures: Measures): NodeLayout {
  const [width, height] = [40, 24];
  const handles: Handle[] = [
    { kind: "in", id: "", x: 0, y: height / 2 },
    { kind: "out", id: "", x: width, y: height / 2 },
  ];
  return { width, height, rows: [], handles, measures };
}
