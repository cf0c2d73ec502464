// A stroke of a brush over a mask. However often it goes over a pixel, that is covered once, as much
// as where the brush was nearest: a stroke of half the strength covers half.

import type { Bounds } from "./graph";
import type { Mask } from "./mask";
import { FULL, common, tileAt, tilesIn } from "./mask";

export interface Brush {
  /** Its diameter, in pixels of the picture. */
  readonly size: number;
  /** 0: a hard edge; 1: it fades from the middle on. */
  readonly softness: number;
  /** How much a stroke covers, from 0 to 1. */
  readonly strength: number;
  /** It takes from the mask. */
  readonly erase: boolean;
}

/** Where the brush is, in pixels of the picture. pressure: the share of its size that it has there. */
export interface Dab {
  readonly x: number;
  readonly y: number;
  readonly pressure: number;
}

const EDGE = 1; // pixels that a hard edge takes
const THINNEST = 0.5; // the least radius

export class Stroke {
  private readonly tiles: Uint8Array[];
  /** What of each pixel is covered, by tile, from 0 to FULL. */
  private readonly covered = new Map<number, Uint8Array>();
  private readonly painted = new Set<number>();
  private last: Dab | null = null;

  constructor(
    private readonly base: Mask,
    private readonly brush: Brush,
  ) {
    this.tiles = [...base.tiles];
  }

  /** The mask with the stroke so far. It goes on changing until the stroke has ended. */
  get mask(): Mask {
    return this.painted.size ? { ...this.base, tiles: this.tiles } : this.base;
  }

  /** Draws the brush to a point. Where the mask may have changed. */
  to(dab: Dab): Bounds {
    const from = this.last ?? dab;
    this.last = dab;
    const reach = Math.max(this.radius(from), this.radius(dab)) + EDGE;
    const x = Math.floor(Math.min(from.x, dab.x) - reach);
    const y = Math.floor(Math.min(from.y, dab.y) - reach);
    const right = Math.ceil(Math.max(from.x, dab.x) + reach);
    const bottom = Math.ceil(Math.max(from.y, dab.y) + reach);
    const whole = { x: 0, y: 0, width: this.base.width, height: this.base.height };
    const area = common({ x, y, width: right - x, height: bottom - y }, whole);
    for (const index of tilesIn(this.base, area)) this.cover(index, from, dab, area);
    return area;
  }

  private radius({ pressure }: Dab): number {
    return Math.max(THINNEST, (this.brush.size / 2) * pressure);
  }

  /** Covers what of a tile is near the line between two points. */
  private cover(index: number, from: Dab, to: Dab, area: Bounds): void {
    const bounds = tileAt(this.base, index);
    const part = common(bounds, area);
    const covered = this.covered.get(index) ?? new Uint8Array(bounds.width * bounds.height);
    this.covered.set(index, covered);
    const dx = to.x - from.x;
    const dy = to.y - from.y;
    const length = dx * dx + dy * dy;
    const start = this.radius(from);
    const more = this.radius(to) - start;
    const farthest = (Math.max(start, start + more) + EDGE) ** 2;
    for (let y = part.y; y < part.y + part.height; y += 1) {
      let at = (y - bounds.y) * bounds.width + part.x - bounds.x;
      // For each of millions of pixels: nothing is made here, and what is known is left out.
      for (let x = part.x; x < part.x + part.width; x += 1, at += 1) {
        const before = covered[at] ?? FULL;
        if (before === FULL) continue;
        const px = x + 0.5 - from.x;
        const py = y + 0.5 - from.y;
        const along = length ? Math.min(1, Math.max(0, (px * dx + py * dy) / length)) : 1;
        const away = (px - along * dx) ** 2 + (py - along * dy) ** 2;
        if (away > farthest) continue;
        const amount = Math.round(FULL * profile(Math.sqrt(away), start + along * more, this.brush.softness));
        if (amount <= before) continue;
        covered[at] = amount;
        this.paint(index, at, amount);
      }
    }
  }

  private paint(index: number, at: number, amount: number): void {
    const before = this.base.tiles[index]?.[at] ?? 0;
    const share = (amount / FULL) * this.brush.strength;
    const after = Math.round(this.brush.erase ? before * (1 - share) : before + (FULL - before) * share);
    if (after === before) return;
    const tile = this.tiles[index];
    if (!tile) return;
    if (this.painted.has(index)) tile[at] = after;
    else {
      const own = tile.slice();
      own[at] = after;
      this.tiles[index] = own;
      this.painted.add(index);
    }
  }
}

/** How much a brush of a radius covers at a distance from its middle, from 0 to 1. */
function profile(distance: number, radius: number, softness: number): number {
  const outer = radius + EDGE / 2;
  const share = Math.min(1, Math.max(0, (outer - distance) / Math.max(EDGE, outer * softness)));
  return share * share * (3 - 2 * share);
}

/** The mask after a stroke through some points. */
export function stroked(mask: Mask, brush: Brush, dabs: readonly Dab[]): Mask {
  const stroke = new Stroke(mask, brush);
  for (const dab of dabs) stroke.to(dab);
  return stroke.mask;
}
