// A mask over a picture: a value for each pixel, 0 where the picture stays and 255 where it is
// painted anew. A file keeps it as transparency, the other way round: LoadImage's mask is 1 - alpha.
//
// The values lie in tiles, and a change makes only those anew that it touches, so that many states
// can be kept to go back to.

import type { Bounds, Size } from "./graph";

export interface Mask extends Size {
  /** Row by row; those at the right and at the bottom may be smaller. Never written to. */
  readonly tiles: readonly Uint8Array[];
}

/** Which value of a file is the mask. */
export type Channel = "alpha" | "red" | "green" | "blue";

export const TILE = 128; // pixels of a side
export const FULL = 255;
const NONE = new Uint8Array(0);
const CHANNELS: readonly Channel[] = ["red", "green", "blue", "alpha"];

/** A mask of one value. */
export function blank(width: number, height: number, value = 0): Mask {
  const known = new Map<number, Uint8Array>();
  const tiles = tileBounds({ width, height }).map((bounds) => {
    const size = bounds.width * bounds.height;
    const tile = known.get(size) ?? new Uint8Array(size).fill(value);
    known.set(size, tile);
    return tile;
  });
  return { width, height, tiles };
}

/** The mask in a picture's pixels (RGBA): where it is transparent, or one of its colours. */
export function readMask(pixels: Uint8ClampedArray, { width, height }: Size, channel: Channel = "alpha"): Mask {
  const offset = CHANNELS.indexOf(channel);
  const flip = channel === "alpha" ? FULL : 0;
  const tiles = tileBounds({ width, height }).map((bounds) => {
    const tile = new Uint8Array(bounds.width * bounds.height);
    let at = 0;
    for (let y = bounds.y; y < bounds.y + bounds.height; y += 1) {
      for (let x = bounds.x; x < bounds.x + bounds.width; x += 1) {
        tile[at] = (pixels[4 * (y * width + x) + offset] ?? 0) ^ flip;
        at += 1;
      }
    }
    return tile;
  });
  return { width, height, tiles };
}

/** The pixels (RGBA) of a picture that has the mask as its transparency; it is black. */
export function asTransparency(mask: Mask): Uint8ClampedArray<ArrayBuffer> {
  return pixelsOf(mask, { x: 0, y: 0, width: mask.width, height: mask.height }, [0, 0, 0], FULL);
}

/** The pixels (RGBA) of a part of the mask in a colour: opaque where the mask is full. */
export function tinted(
  mask: Mask,
  area: Bounds,
  colour: readonly [number, number, number],
): Uint8ClampedArray<ArrayBuffer> {
  return pixelsOf(mask, area, colour, 0);
}

function pixelsOf(
  mask: Mask,
  area: Bounds,
  [red, green, blue]: readonly [number, number, number],
  flip: number,
): Uint8ClampedArray<ArrayBuffer> {
  const pixels = new Uint8ClampedArray(4 * area.width * area.height);
  for (const index of tilesIn(mask, area)) {
    const tile = mask.tiles[index] ?? NONE;
    const bounds = tileAt(mask, index);
    const part = common(bounds, area);
    for (let y = part.y; y < part.y + part.height; y += 1) {
      let from = (y - bounds.y) * bounds.width + part.x - bounds.x;
      let to = 4 * ((y - area.y) * area.width + part.x - area.x);
      for (let x = 0; x < part.width; x += 1) {
        pixels[to] = red;
        pixels[to + 1] = green;
        pixels[to + 2] = blue;
        pixels[to + 3] = (tile[from] ?? 0) ^ flip;
        from += 1;
        to += 4;
      }
    }
  }
  return pixels;
}

/** Masked what was not, and the other way round. */
export function inverted(mask: Mask): Mask {
  return { ...mask, tiles: mask.tiles.map((tile) => tile.map((value) => FULL - value)) };
}

/** One value everywhere. */
export function filled(mask: Mask, value: number): Mask {
  if (mask.tiles.every((tile) => tile.every((each) => each === value))) return mask;
  return blank(mask.width, mask.height, value);
}

const sums = new WeakMap<Uint8Array, number>();

/** How much of the picture is masked, from 0 to 1. Not for a stroke that has not ended: what is known of
 * a tile is remembered. */
export function share({ width, height, tiles }: Mask): number {
  return tiles.reduce((sum, tile) => sum + sumOf(tile), 0) / (FULL * width * height);
}

function sumOf(tile: Uint8Array): number {
  const known = sums.get(tile);
  if (known !== undefined) return known;
  let sum = 0;
  for (const value of tile) sum += value;
  sums.set(tile, sum);
  return sum;
}

/** The value of a pixel; 0 outside. */
export function valueAt(mask: Mask, x: number, y: number): number {
  if (x < 0 || y < 0 || x >= mask.width || y >= mask.height) return 0;
  const index = Math.floor(y / TILE) * columns(mask) + Math.floor(x / TILE);
  const bounds = tileAt(mask, index);
  return mask.tiles[index]?.[(y - bounds.y) * bounds.width + x - bounds.x] ?? 0;
}

/** Where two masks of one size may differ; null if they are the same. */
export function difference(a: Mask, b: Mask): Bounds | null {
  const changed = tileBounds(a).filter((_, index) => a.tiles[index] !== b.tiles[index]);
  return changed.reduce<Bounds | null>((whole, bounds) => (whole ? joined(whole, bounds) : bounds), null);
}

// -- tiles and rectangles ---------------------------------------------------------------------------

function columns({ width }: Size): number {
  return Math.ceil(width / TILE);
}

/** Where a tile of a picture is. */
export function tileAt(size: Size, index: number): Bounds {
  const x = (index % columns(size)) * TILE;
  const y = Math.floor(index / columns(size)) * TILE;
  return { x, y, width: Math.min(TILE, size.width - x), height: Math.min(TILE, size.height - y) };
}

function tileBounds(size: Size): Bounds[] {
  const count = columns(size) * Math.ceil(size.height / TILE);
  return Array.from({ length: count }, (_, index) => tileAt(size, index));
}

/** The tiles that a rectangle touches, which may reach out of the picture. */
export function tilesIn(size: Size, area: Bounds): number[] {
  const inside = common(area, { x: 0, y: 0, ...size });
  const found: number[] = [];
  if (inside.width <= 0 || inside.height <= 0) return found;
  const [left, right] = [Math.floor(inside.x / TILE), Math.floor((inside.x + inside.width - 1) / TILE)];
  const [top, bottom] = [Math.floor(inside.y / TILE), Math.floor((inside.y + inside.height - 1) / TILE)];
  for (let row = top; row <= bottom; row += 1) {
    for (let column = left; column <= right; column += 1) found.push(row * columns(size) + column);
  }
  return found;
}

/** What two rectangles have in common: its width or height is not above 0 if that is nothing. */
export function common(a: Bounds, b: Bounds): Bounds {
  const [x, y] = [Math.max(a.x, b.x), Math.max(a.y, b.y)];
  return { x, y, width: Math.min(a.x + a.width, b.x + b.width) - x, height: Math.min(a.y + a.height, b.y + b.height) - y };
}

/** The smallest rectangle around two. */
export function joined(a: Bounds, b: Bounds): Bounds {
  const [x, y] = [Math.min(a.x, b.x), Math.min(a.y, b.y)];
  return { x, y, width: Math.max(a.x + a.width, b.x + b.width) - x, height: Math.max(a.y + a.height, b.y + b.height) - y };
}
