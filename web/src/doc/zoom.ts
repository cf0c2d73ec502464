// Looking at a picture in a frame: how large it is drawn, and where its corner is. Points of the
// frame and of the picture are in pixels of each.

import type { Point, Size } from "./graph";

export interface View {
  readonly x: number;
  readonly y: number;
  readonly scale: number;
}

export const MOST = 64; // of the scale

/** The whole picture, in the middle; small ones are magnified by whole numbers. */
export function fitted(picture: Size, frame: Size): View {
  if (!picture.width || !picture.height) return { scale: 1, x: 0, y: 0 };
  const exact = Math.min(frame.width / picture.width, frame.height / picture.height) || 1;
  const scale = exact >= 2 ? Math.min(MOST, Math.floor(exact)) : exact;
  return kept({ scale, x: 0, y: 0 }, picture, frame);
}

/** Larger or smaller; the point of the picture that is at a point of the frame stays there. */
export function zoomed({ x, y, scale: before }: View, at: Point, factor: number, smallest: number): View {
  const scale = Math.min(Math.max(MOST, smallest), Math.max(smallest, before * factor));
  const by = scale / before;
  return { scale, x: at.x - (at.x - x) * by, y: at.y - (at.y - y) * by };
}

export function moved(view: View, x: number, y: number): View {
  return { ...view, x: view.x + x, y: view.y + y };
}

/** Two fingers moved: what was under each is under it again, as far as their turning allows. */
export function pinched(view: View, before: readonly [Point, Point], after: readonly [Point, Point], smallest: number): View {
  const [from, to] = [middle(before), middle(after)];
  const factor = apart(after) / (apart(before) || 1);
  return moved(zoomed(view, from, factor, smallest), to.x - from.x, to.y - from.y);
}

function middle([a, b]: readonly [Point, Point]): Point {
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
}

function apart([a, b]: readonly [Point, Point]): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

/** The same with the picture in the middle where it fits, and else without a gap at an edge. */
export function kept({ scale, x, y }: View, picture: Size, frame: Size): View {
  return { scale, x: along(x, picture.width * scale, frame.width), y: along(y, picture.height * scale, frame.height) };
}

function along(at: number, length: number, room: number): number {
  if (length <= room) return Math.round((room - length) / 2);
  return Math.min(0, Math.max(room - length, at));
}

/** A point of the frame, in the picture. */
export function inPicture({ x, y, scale }: View, at: Point): Point {
  return { x: (at.x - x) / scale, y: (at.y - y) / scale };
}

/** A point of the picture, in the frame. */
export function inFrame({ x, y, scale }: View, at: Point): Point {
  return { x: at.x * scale + x, y: at.y * scale + y };
}

/** From where to where the picture can be seen, from left to right in the frame. */
export function span({ scale, x }: View, picture: Size, frame: Size): readonly [number, number] {
  return [Math.max(0, x), Math.min(frame.width, x + picture.width * scale)];
}
