// Lining boxes up, and spacing them evenly.

import type { Bounds, NodeId, Point } from "./graph";

/** Where boxes are lined up: at an edge, or at their middles (centre: left to right, middle: top to bottom). */
export type Edge = "left" | "centre" | "right" | "top" | "middle" | "bottom";
export type Axis = "x" | "y";

export type Boxes = ReadonlyMap<NodeId, Bounds>;

const GAP = 24; // pixels between boxes that have no room for equal gaps

/** The box around all of them; null where there are none. */
export function around(boxes: Iterable<Bounds>): Bounds | null {
  const all = [...boxes];
  if (!all.length) return null;
  const least = (read: (box: Bounds) => number): number => all.reduce((found, box) => Math.min(found, read(box)), Infinity);
  const [x, y] = [least((box) => box.x), least((box) => box.y)];
  const [right, bottom] = [-least((box) => -box.x - box.width), -least((box) => -box.y - box.height)];
  return { x, y, width: right - x, height: bottom - y };
}

/** Where each box goes so that all have one edge, or their middles, in one line. */
export function align(boxes: Boxes, edge: Edge): Map<NodeId, Point> {
  const frame = around(boxes.values());
  if (!frame) return new Map();
  return new Map([...boxes].map(([id, box]) => [id, rounded(aligned(box, frame, edge))]));
}

function aligned({ x, y, width, height }: Bounds, frame: Bounds, edge: Edge): Point {
  switch (edge) {
    case "left":
      return { x: frame.x, y };
    case "centre":
      return { x: frame.x + (frame.width - width) / 2, y };
    case "right":
      return { x: frame.x + frame.width - width, y };
    case "top":
      return { x, y: frame.y };
    case "middle":
      return { x, y: frame.y + (frame.height - height) / 2 };
    case "bottom":
      return { x, y: frame.y + frame.height - height };
  }
}

/** Where each box goes so that the gaps between them are equal. The first and the last stay, unless
 * there is no room between them for all. */
export function distribute(boxes: Boxes, axis: Axis): Map<NodeId, Point> {
  const frame = around(boxes.values());
  if (!frame || boxes.size < 2) return new Map();
  const side = axis === "x" ? "width" : "height";
  const filled = [...boxes.values()].reduce((sum, box) => sum + box[side], 0);
  const even = (frame[side] - filled) / (boxes.size - 1);
  const gap = even < 0 ? GAP : even;
  let at = frame[axis];
  const order = [...boxes].toSorted(([, a], [, b]) => a[axis] - b[axis]);
  return new Map(
    order.map(([id, box]) => {
      const place = rounded({ x: box.x, y: box.y, [axis]: at });
      at += box[side] + gap;
      return [id, place];
    }),
  );
}

function rounded({ x, y }: Point): Point {
  return { x: Math.round(x), y: Math.round(y) };
}
