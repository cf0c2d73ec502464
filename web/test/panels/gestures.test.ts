import { beforeEach, describe, expect, test } from "vitest";

import type { View } from "../../src/doc/zoom";
import type { Contact } from "../../src/panels/mask/gestures";
import { Gestures } from "../../src/panels/mask/gestures";

let did: string[];
let view: View;
let gestures: Gestures;

beforeEach(() => {
  did = [];
  view = { x: 0, y: 0, scale: 1 };
  gestures = new Gestures({
    begin: ({ x, y }, pressure, erase) => did.push(`${erase ? "erase" : "paint"} ${x},${y} ${pressure}`),
    to: ({ x, y }, pressure) => did.push(`to ${x},${y} ${pressure}`),
    end: () => did.push("end"),
    drop: () => did.push("drop"),
    view: () => view,
    look: (next) => {
      view = next;
    },
    smallest: () => 0.1,
  });
});

function at(pointerId: number, x: number, y: number, more: Partial<Contact> = {}): Contact {
  return { pointerId, pointerType: "mouse", button: 0, pressure: 0.5, at: { x, y }, ...more };
}

const finger = (id: number, x: number, y: number): Contact => at(id, x, y, { pointerType: "touch" });

describe("the mouse", () => {
  test("paints while its button is down, at full size", () => {
    gestures.move(at(1, 5, 5));
    gestures.down(at(1, 10, 10));
    gestures.move(at(1, 20, 10));
    gestures.up(1);
    gestures.move(at(1, 30, 10));

    expect(did).toEqual(["paint 10,10 1", "to 20,10 1", "end"]);
    expect(gestures.busy).toBe(false);
  });

  test("erases with its right button, and moves the picture with the middle one or when that is wanted", () => {
    gestures.down(at(1, 10, 10, { button: 2 }));
    gestures.up(1);
    gestures.down(at(1, 10, 10, { button: 1 }));
    gestures.move(at(1, 15, 12));
    gestures.up(1);
    gestures.down(at(1, 0, 0), true);
    gestures.move(at(1, 1, 1));
    gestures.up(1);

    expect(did).toEqual(["erase 10,10 1", "end"]);
    expect(view).toEqual({ x: 6, y: 3, scale: 1 });
  });

  test("does one thing at a time, and nothing with other buttons", () => {
    gestures.down(at(1, 0, 0, { button: 4 }));
    expect(gestures.busy).toBe(false);
    gestures.down(at(1, 10, 10));
    gestures.down(at(1, 10, 10, { button: 2 }));

    expect(did).toEqual(["paint 10,10 1"]);
  });
});

describe("a pen", () => {
  test("paints as it presses, erases with its other end, and the hand with it does nothing", () => {
    gestures.down(at(1, 10, 10, { pointerType: "pen", pressure: 0.25 }));
    gestures.down(finger(2, 50, 50));
    gestures.down(finger(3, 60, 50));
    gestures.move(finger(3, 90, 50));
    gestures.move(at(1, 12, 10, { pointerType: "pen", pressure: 0.75 }));
    gestures.up(1);
    gestures.up(2);
    gestures.up(3);
    gestures.down(at(4, 1, 1, { pointerType: "pen", button: 5, pressure: 1 }));

    expect(did).toEqual(["paint 10,10 0.25", "to 12,10 0.75", "end", "erase 1,1 1"]);
    expect(view.scale).toBe(1);
  });
});

describe("fingers", () => {
  test("one of them paints", () => {
    gestures.down(finger(1, 10, 10));
    gestures.move(finger(1, 30, 10));
    gestures.up(1);

    expect(did).toEqual(["paint 10,10 1", "to 30,10 1", "end"]);
  });

  test("two of them move and zoom, and what the first one had begun to paint is taken back", () => {
    gestures.down(finger(1, 100, 100));
    gestures.move(finger(1, 101, 100));
    gestures.down(finger(2, 200, 100));
    gestures.move(finger(1, 50, 100));
    gestures.move(finger(2, 251, 100));
    gestures.up(2);
    expect(gestures.busy).toBe(true);
    gestures.move(finger(1, 0, 0));
    gestures.up(1);

    expect(did).toEqual(["paint 100,100 1", "to 101,100 1", "drop"]);
    expect(view.scale).toBeCloseTo(201 / 99);
    expect(gestures.busy).toBe(false);
    gestures.down(finger(3, 1, 1));
    expect(did.at(-1)).toBe("paint 1,1 1");
  });

  test("a long stroke is kept when a second one comes, and a third one changes nothing", () => {
    gestures.down(finger(1, 100, 100));
    gestures.move(finger(1, 140, 100));
    gestures.down(finger(2, 200, 100));
    gestures.down(finger(3, 300, 100));
    const before = view;
    gestures.move(finger(3, 400, 300));

    expect(did.at(-1)).toBe("end");
    expect(view).toEqual(before);
    for (const id of [1, 2, 3]) gestures.up(id);
    expect(gestures.busy).toBe(false);
  });
});
