import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { Size } from "../../src/doc/graph";
import type { Mask } from "../../src/doc/mask";
import {
  FULL, TILE, asTransparency, blank, difference, filled, inverted, readMask, share, tinted, valueAt,
} from "../../src/doc/mask";
import type { Brush, Dab } from "../../src/doc/mask-stroke";
import { stroked } from "../../src/doc/mask-stroke";
import { MaskDocument } from "../../src/doc/mask-history";

const HARD: Brush = { size: 10, softness: 0, strength: 1, erase: false };
const at = (x: number, y: number, pressure = 1): Dab => ({ x, y, pressure });

/** All values, row by row. */
function values(mask: Mask): number[] {
  return Array.from({ length: mask.width * mask.height }, (_, index) =>
    valueAt(mask, index % mask.width, Math.floor(index / mask.width)),
  );
}

const sizes = fc.record({ width: fc.integer({ min: 1, max: 300 }), height: fc.integer({ min: 1, max: 140 }) });
const brushes = fc.record({
  size: fc.double({ min: 1, max: 200, noNaN: true }),
  softness: fc.double({ min: 0, max: 1, noNaN: true }),
  strength: fc.double({ min: 0.01, max: 1, noNaN: true }),
  erase: fc.boolean(),
});
const dabs = fc.array(
  fc.record({
    x: fc.double({ min: -50, max: 350, noNaN: true }),
    y: fc.double({ min: -50, max: 200, noNaN: true }),
    pressure: fc.double({ min: 0, max: 1, noNaN: true }),
  }),
  { minLength: 1, maxLength: 5 },
);

describe("a mask", () => {
  test("is what a picture's transparency says, and the same transparency again", () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 255 }), (size, seed) => {
        const pixels = new Uint8ClampedArray(4 * size.width * size.height).map((_, index) => (index * seed) % 256);

        const mask = readMask(pixels, size);
        const again = asTransparency(mask);

        const alphas = (all: Uint8ClampedArray): number[] => [...all].filter((_, index) => index % 4 === 3);
        expect(alphas(again)).toEqual(alphas(pixels));
        expect(valueAt(mask, size.width - 1, size.height - 1)).toBe(FULL - (pixels.at(-1) ?? 0));
      }),
      { numRuns: 20 },
    );
  });

  test("may be a colour of the picture, as it is", () => {
    const pixels = new Uint8ClampedArray([10, 20, 30, 40, 50, 60, 70, 80]);
    const read = (channel: "red" | "green" | "blue" | "alpha"): number[] =>
      values(readMask(pixels, { width: 2, height: 1 }, channel));

    expect(read("red")).toEqual([10, 50]);
    expect(read("green")).toEqual([20, 60]);
    expect(read("blue")).toEqual([30, 70]);
    expect(read("alpha")).toEqual([215, 175]);
  });

  test("is shown in a colour, by any part of it", () => {
    const mask = stroked(blank(TILE + 40, TILE + 9), HARD, [at(TILE, TILE), at(TILE + 30, TILE + 2)]);

    const area = { x: TILE - 7, y: TILE - 6, width: 20, height: 15 };
    const pixels = tinted(mask, area, [1, 2, 3]);

    for (let index = 0; index < area.width * area.height; index += 1) {
      const [x, y] = [area.x + (index % area.width), area.y + Math.floor(index / area.width)];
      expect([...pixels.slice(4 * index, 4 * index + 4)]).toEqual([1, 2, 3, valueAt(mask, x, y)]);
    }
  });

  test("turned round twice is what it was, and one half of it is half masked", () => {
    const mask = stroked(blank(200, 150), { ...HARD, size: 60, softness: 0.7 }, [at(30, 40), at(190, 90)]);

    expect(values(inverted(inverted(mask)))).toEqual(values(mask));
    expect(share(mask) + share(inverted(mask))).toBeCloseTo(1);
    expect(share(filled(mask, FULL))).toBe(1);
    expect(share(blank(1, 1))).toBe(0);
  });

  test("that is filled with what it has is the same mask", () => {
    const mask = blank(300, 10);
    expect(filled(mask, 0)).toBe(mask);
    expect(filled(mask, 1)).not.toBe(mask);
  });
});

describe("a stroke", () => {
  test("covers what is under a hard brush, and nothing beside it", () => {
    const mask = stroked(blank(60, 40), HARD, [at(15, 20), at(45, 20)]);

    const away = (index: number): number => {
      const [x, y] = [(index % 60) + 0.5, Math.floor(index / 60) + 0.5];
      return Math.hypot(x - Math.min(45, Math.max(15, x)), y - 20);
    };
    const all = values(mask);
    expect(all.filter((_, index) => away(index) < 4.5).every((value) => value === FULL)).toBe(true);
    expect(all.filter((_, index) => away(index) < 5).every((value) => value > 0)).toBe(true);
    expect(all.filter((_, index) => away(index) > 5.5).every((value) => value === 0)).toBe(true);
  });

  test("of a soft brush fades from its middle on, without a step", () => {
    const mask = stroked(blank(80, 80), { ...HARD, size: 60, softness: 1 }, [at(40.5, 40.5)]);

    const row = Array.from({ length: 35 }, (_, x) => valueAt(mask, 40 + x, 40));
    expect(row[0]).toBe(FULL);
    expect(row[15]).toBeGreaterThan(100);
    expect(row[15]).toBeLessThan(160);
    expect(row[32]).toBe(0);
    for (const [index, value] of row.entries()) {
      expect(value).toBeLessThanOrEqual(row[index - 1] ?? FULL);
      expect((row[index - 1] ?? FULL) - value).toBeLessThan(16);
    }
  });

  test("never covers less for going on", () => {
    const soft = { ...HARD, size: 40, softness: 1 };
    const before = values(stroked(blank(60, 40), soft, [at(20, 20)]));
    const after = values(stroked(blank(60, 40), soft, [at(20, 20), at(30, 20), at(45, 20)]));

    expect(after.every((value, index) => value >= (before[index] ?? 0))).toBe(true);
  });

  test("covers what it goes over again only once, and another stroke covers more", () => {
    const half = { ...HARD, strength: 0.5 };
    const once = stroked(blank(40, 40), half, [at(10, 20), at(30, 20), at(10, 20), at(30, 20)]);
    const twice = stroked(once, half, [at(10, 20), at(30, 20)]);

    expect(valueAt(once, 20, 20)).toBe(128);
    expect(valueAt(twice, 20, 20)).toBe(192);
    expect(valueAt(stroked(twice, { ...half, erase: true }, [at(20, 20)]), 20, 20)).toBe(96);
  });

  test("is as thick as the pen presses", () => {
    const mask = stroked(blank(100, 60), { ...HARD, size: 40 }, [at(10, 30, 0.1), at(90, 30, 1)]);
    const thickness = (x: number): number =>
      Array.from({ length: 60 }, (_, y) => valueAt(mask, x, y)).filter((value) => value === FULL).length;

    expect(thickness(12)).toBeLessThan(8);
    expect(thickness(50)).toBeGreaterThan(15);
    expect(thickness(50)).toBeLessThan(30);
    expect(thickness(88)).toBeGreaterThan(35);
  });

  test("never leaves its side, changes nothing it does not report, and never the mask it began on", () => {
    fc.assert(
      fc.property(sizes, brushes, brushes, dabs, dabs, (size, brush, other, points, more) => {
        const before = stroked(blank(size.width, size.height), { ...brush, erase: false }, points);
        const held = values(before);
        const document = new MaskDocument(before);
        const areas: { x: number; y: number; width: number; height: number }[] = [];
        document.subscribe((area) => areas.push(area));

        document.begin(other, more[0] ?? at(0, 0));
        for (const dab of more.slice(1)) document.to(dab);
        document.end();

        expect(values(before)).toEqual(held);
        for (const [index, value] of values(document.mask).entries()) {
          const old = held[index] ?? 0;
          expect(other.erase ? old - value : value - old).toBeGreaterThanOrEqual(0);
          if (value === old) continue;
          const [x, y] = [index % size.width, Math.floor(index / size.width)];
          const reported = areas.some((area) =>
            x >= area.x && y >= area.y && x < area.x + area.width && y < area.y + area.height);
          expect(reported).toBe(true);
        }
      }),
      { numRuns: 20 },
    );
  });

  test("over nothing that it could change is no step", () => {
    const document = new MaskDocument(blank(50, 50));

    document.begin({ ...HARD, erase: true }, at(20, 20));
    document.to(at(40, 40));
    document.end();

    expect([document.canUndo, document.changed]).toEqual([false, false]);
  });
});

describe("a mask that is painted", () => {
  const paint = (document: MaskDocument, x: number): void => {
    document.begin(HARD, at(x, 20));
    document.to(at(x + 10, 20));
    document.end();
  };

  test("goes back stroke by stroke and forth again, to the very masks it was", () => {
    const start = blank(300, 40);
    const document = new MaskDocument(start);
    const states = [document.mask];
    for (const x of [10, 140, 280]) {
      paint(document, x);
      states.push(document.mask);
    }
    document.apply(inverted);
    states.push(document.mask);

    for (const state of states.toReversed().slice(1)) {
      document.undo();
      expect(document.mask).toBe(state);
    }
    expect([document.canUndo, document.changed]).toEqual([false, false]);
    for (const state of states.slice(1)) {
      document.redo();
      expect(document.mask).toBe(state);
    }
    expect(document.canRedo).toBe(false);
  });

  test("forgets what was undone when it is painted on", () => {
    const document = new MaskDocument(blank(60, 40));
    paint(document, 10);
    document.undo();
    paint(document, 30);

    expect(document.canRedo).toBe(false);
    document.redo();
    expect(valueAt(document.mask, 12, 20)).toBe(0);
  });

  test("takes a dropped stroke back, and says where", () => {
    const document = new MaskDocument(blank(400, 40));
    paint(document, 300);
    const before = document.mask;
    document.begin(HARD, at(20, 20));
    document.to(at(60, 20));
    expect(valueAt(document.mask, 30, 20)).toBe(FULL);
    const areas: number[] = [];
    document.subscribe(({ x, width }) => areas.push(x, width));

    document.drop();

    expect(document.mask).toBe(before);
    expect(areas).toEqual([0, TILE]);
    document.undo();
    expect(share(document.mask)).toBe(0);
  });

  test("ends a stroke that is on before anything else is done", () => {
    const document = new MaskDocument(blank(60, 40));
    document.begin(HARD, at(20, 20));
    document.undo();
    expect([document.changed, document.stroking, document.canRedo]).toEqual([false, false, true]);

    document.begin(HARD, at(20, 20));
    document.apply((mask) => filled(mask, 0));
    document.undo();
    expect(valueAt(document.mask, 20, 20)).toBe(FULL);
  });

  test("remembers no more than it may, and always one step", () => {
    const document = new MaskDocument(blank(40, 40), 3);
    for (const x of [5, 10, 15, 20, 25]) paint(document, x);

    let steps = 0;
    while (document.canUndo) {
      document.undo();
      steps += 1;
    }
    expect(steps).toBe(3);

    const large = new MaskDocument(blank(TILE * 9, 40), 3);
    large.apply(inverted);
    large.apply(inverted);
    expect(large.canUndo).toBe(true);
    large.undo();
    expect(share(large.mask)).toBe(1);
  });
});

test("two masks differ where their tiles do", () => {
  const size: Size = { width: 3 * TILE, height: 2 * TILE };
  const mask = blank(size.width, size.height);

  expect(difference(mask, mask)).toBeNull();
  const other = stroked(mask, HARD, [at(TILE + 20, TILE + 20), at(2 * TILE + 20, TILE + 20)]);
  expect(difference(mask, other)).toEqual({ x: TILE, y: TILE, width: 2 * TILE, height: TILE });
});
