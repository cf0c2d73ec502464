// A mask that is being painted, with what was before.

import type { Bounds } from "./graph";
import type { Mask } from "./mask";
import { difference } from "./mask";
import type { Brush, Dab } from "./mask-stroke";
import { Stroke } from "./mask-stroke";

const KEPT = 8192; // tiles: 128 MB

export class MaskDocument {
  private current: Mask;
  private past: Mask[] = [];
  private future: Mask[] = [];
  private stroke: Stroke | null = null;
  private readonly listeners = new Set<(area: Bounds) => void>();

  /** kept: how many tiles of earlier states are remembered, more or less. */
  constructor(
    private readonly start: Mask,
    private readonly kept = KEPT,
  ) {
    this.current = start;
  }

  /** The mask, with the stroke that has begun. */
  get mask(): Mask {
    return this.stroke?.mask ?? this.current;
  }

  get canUndo(): boolean {
    return this.past.length > 0;
  }

  get canRedo(): boolean {
    return this.future.length > 0;
  }

  /** Whether it is another mask than at first. */
  get changed(): boolean {
    return this.mask !== this.start;
  }

  /** Whether a stroke has begun and not ended. */
  get stroking(): boolean {
    return this.stroke !== null;
  }

  /** Puts a brush down, and ends the stroke before. */
  begin(brush: Brush, dab: Dab): void {
    this.end();
    this.stroke = new Stroke(this.current, brush);
    this.to(dab);
  }

  /** Draws the brush to a point. */
  to(dab: Dab): void {
    const area = this.stroke?.to(dab);
    if (area) this.tell(area);
  }

  /** Takes the brush off: the stroke is a step. */
  end(): void {
    const { mask } = this;
    this.stroke = null;
    this.step(mask);
  }

  /** Takes the stroke back as if it had not begun. */
  drop(): void {
    const { mask } = this;
    this.stroke = null;
    this.tellOf(mask, this.current);
  }

  /** Makes a change of the whole mask, as a step. */
  apply(change: (mask: Mask) => Mask): void {
    this.end();
    const before = this.current;
    this.step(change(before));
    this.tellOf(before, this.current);
  }

  undo(): void {
    this.end();
    this.go(this.past, this.future);
  }

  redo(): void {
    this.end();
    this.go(this.future, this.past);
  }

  /** Calls the listener with the part of the mask that may have changed; the function returned ends that. */
  subscribe(listener: (area: Bounds) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private step(after: Mask): void {
    if (after === this.current) return;
    this.past.push(this.current);
    this.current = after;
    this.future = [];
    while (this.past.length > 1 && this.cost() > this.kept) this.past.shift();
    this.tell({ x: 0, y: 0, width: 0, height: 0 });
  }

  private go(from: Mask[], to: Mask[]): void {
    const mask = from.pop();
    if (!mask) return;
    const before = this.current;
    to.push(before);
    this.current = mask;
    this.tellOf(before, mask);
  }

  /** The tiles that are kept for earlier states alone. */
  private cost(): number {
    const states = [...this.past, this.current];
    return states
      .slice(1)
      .reduce((sum, { tiles }, index) => sum + tiles.filter((tile, at) => tile !== states[index]?.tiles[at]).length, 0);
  }

  private tellOf(before: Mask, after: Mask): void {
    const area = difference(before, after);
    if (area) this.tell(area);
  }

  private tell(area: Bounds): void {
    for (const listener of [...this.listeners]) listener(area);
  }
}
