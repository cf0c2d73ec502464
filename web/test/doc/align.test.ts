import fc from "fast-check";
import { expect, test } from "vitest";

import { align, around, distribute } from "../../src/doc/align";
import type { Edge } from "../../src/doc/align";
import type { Bounds } from "../../src/doc/graph";

const whole = fc.integer({ min: -2000, max: 2000 });
const side = fc.integer({ min: 20, max: 400 });
const boxes = fc
  .uniqueArray(fc.tuple(fc.nat(99).map(String), whole, whole, side, side), { selector: ([id]) => id, maxLength: 9 })
  .map((rows) => new Map(rows.map(([id, x, y, width, height]) => [id, { x, y, width, height }])));

function placed(all: ReadonlyMap<string, Bounds>, places: ReadonlyMap<string, { x: number; y: number }>): Bounds[] {
  return [...all].map(([id, box]) => ({ ...box, ...places.get(id) }));
}

const LINES: Readonly<Record<Edge, (box: Bounds) => number>> = {
  left: ({ x }) => x,
  centre: ({ x, width }) => x + width / 2,
  right: ({ x, width }) => x + width,
  top: ({ y }) => y,
  middle: ({ y, height }) => y + height / 2,
  bottom: ({ y, height }) => y + height,
};

test.each(Object.entries(LINES))("aligned at %s all are in one line, and none has moved along it", (edge, line) => {
  fc.assert(
    fc.property(boxes, (all) => {
      const after = placed(all, align(all, edge as Edge));
      const lines = after.map(line);
      expect(Math.max(0, ...lines) - Math.min(0, ...lines)).toBeLessThanOrEqual(
        Math.max(0, ...[...all.values()].map(line)) - Math.min(0, ...[...all.values()].map(line)) + 1,
      );
      for (const each of lines) expect(Math.abs(each - (lines[0] ?? each))).toBeLessThanOrEqual(1);
      const across = LINES[edge as Edge] === LINES.left || edge === "centre" || edge === "right" ? "y" : "x";
      [...all.values()].forEach((box, index) => expect(after[index]?.[across]).toBe(box[across]));
    }),
  );
});

test.each(["x", "y"] as const)("spaced along %s the gaps are equal, and nothing lies over anything else", (axis) => {
  const size = axis === "x" ? "width" : "height";
  fc.assert(
    fc.property(boxes, (all) => {
      const after = placed(all, distribute(all, axis)).toSorted((a, b) => a[axis] - b[axis]);
      const gaps = after.slice(1).map((box, index) => {
        const before = after[index];
        return before ? box[axis] - before[axis] - before[size] : 0;
      });
      for (const gap of gaps) {
        expect(gap).toBeGreaterThanOrEqual(all.size > 1 ? -1 : -Infinity);
        expect(Math.abs(gap - (gaps[0] ?? gap))).toBeLessThanOrEqual(2);
      }
    }),
  );
});

test("the first and the last stay where there is room between them", () => {
  const all = new Map([
    ["a", { x: 0, y: 0, width: 10, height: 10 }],
    ["b", { x: 12, y: 0, width: 20, height: 10 }],
    ["c", { x: 90, y: 0, width: 10, height: 10 }],
  ]);

  expect([...distribute(all, "x")]).toEqual([["a", { x: 0, y: 0 }], ["b", { x: 40, y: 0 }], ["c", { x: 90, y: 0 }]]);
});

test("the box around boxes holds all of them, and there is none around nothing", () => {
  expect(around([])).toBeNull();
  expect(around([{ x: -5, y: 2, width: 10, height: 4 }, { x: 1, y: -3, width: 20, height: 1 }])).toEqual({
    x: -5, y: -3, width: 26, height: 9,
  });
});
