// What pointers do on the picture: one paints, two fingers or the middle button move and zoom.

import type { Point } from "../../doc/graph";
import type { View } from "../../doc/zoom";
import { moved, pinched } from "../../doc/zoom";

/** A pointer, in the frame of the picture. */
export interface Contact {
  readonly pointerId: number;
  /** "mouse", "pen" or "touch". */
  readonly pointerType: string;
  readonly button: number;
  readonly at: Point;
  /** From 0 to 1. */
  readonly pressure: number;
}

/** What is done: painting, at points of the frame, and moving the picture. */
export interface Hands {
  readonly begin: (at: Point, pressure: number, erase: boolean) => void;
  readonly to: (at: Point, pressure: number) => void;
  readonly end: () => void;
  /** Takes the stroke back. */
  readonly drop: () => void;
  readonly view: () => View;
  readonly look: (view: View) => void;
  /** The least scale that one may zoom out to. */
  readonly smallest: () => number;
}

const MIDDLE = 1;
const RIGHT = 2;
const PEN_ERASER = 5;
const MEANT = 24; // pixels: a longer stroke is kept when a second finger comes

type Doing = "nothing" | "painting" | "moving" | "pinching" | "done";

export class Gestures {
  private readonly fingers = new Map<number, Point>();
  private doing: Doing = "nothing";
  private by: number | null = null;
  private from: Point = { x: 0, y: 0 };
  private length = 0;

  constructor(private readonly hands: Hands) {}

  /** Whether something is being done, painting or moving. */
  get busy(): boolean {
    return this.doing !== "nothing";
  }

  /** A pointer comes down. move: the picture is to be moved, whatever the button. */
  down(contact: Contact, move = false): void {
    if (contact.pointerType === "touch" && this.touch(contact)) return;
    if (this.doing !== "nothing") return;
    const { pointerId, button, at } = contact;
    [this.by, this.from, this.length] = [pointerId, at, 0];
    if (move || button === MIDDLE) {
      this.doing = "moving";
      return;
    }
    if (button > RIGHT && button !== PEN_ERASER) return;
    this.doing = "painting";
    this.hands.begin(at, pressed(contact), button === RIGHT || button === PEN_ERASER);
  }

  move(contact: Contact): void {
    const { pointerId, at } = contact;
    const before = this.pair();
    if (this.fingers.has(pointerId)) this.fingers.set(pointerId, at);
    const after = this.pair();
    if (this.doing === "pinching" && before && after) {
      this.hands.look(pinched(this.hands.view(), before, after, this.hands.smallest()));
    }
    if (pointerId !== this.by) return;
    if (this.doing === "painting") {
      this.length += Math.hypot(at.x - this.from.x, at.y - this.from.y);
      this.hands.to(at, pressed(contact));
    }
    if (this.doing === "moving") this.hands.look(moved(this.hands.view(), at.x - this.from.x, at.y - this.from.y));
    this.from = at;
  }

  /** A pointer goes up, or is lost: then what it painted is kept as well. */
  up(pointerId: number): void {
    this.fingers.delete(pointerId);
    if (pointerId === this.by) {
      if (this.doing === "painting") this.hands.end();
      this.by = null;
      this.doing = "done";
    }
    // A finger that is left over after a pinch paints nothing.
    if (this.doing === "pinching" && this.fingers.size < 2) this.doing = "done";
    if (this.doing === "done" && !this.fingers.size) this.doing = "nothing";
  }

  /** Takes a finger in. Whether there is nothing more to do with it. */
  private touch({ pointerId, at }: Contact): boolean {
    if (this.by !== null && !this.fingers.has(this.by)) return true; // the palm of the hand with the pen
    this.fingers.set(pointerId, at);
    if (this.fingers.size < 2) return false;
    if (this.doing === "painting") {
      if (this.length > MEANT) this.hands.end();
      else this.hands.drop();
    }
    this.by = null;
    if (this.fingers.size === 2) this.doing = "pinching";
    return true;
  }

  private pair(): [Point, Point] | null {
    const [a, b] = this.fingers.values();
    return a && b ? [a, b] : null;
  }
}

/** Only a pen knows how much it presses. */
function pressed({ pointerType, pressure }: Contact): number {
  return pointerType === "pen" ? pressure : 1;
}
