import fc from "fast-check";
import { expect, test } from "vitest";

import { renumbered, shifted } from "../../src/doc/turns";

const turn = (id: string, priority: number) => ({ id, priority });

test("a job that is moved between two gets one number between theirs", () => {
  expect(renumbered([turn("a", 1), turn("c", 3), turn("b", 2)], "c")).toEqual([turn("c", 1.5)]);
  expect(renumbered([turn("c", 3), turn("a", 1), turn("b", 2)], "c")).toEqual([turn("c", 0)]);
  expect(renumbered([turn("b", 2), turn("c", 3.5), turn("a", 1)], "a")).toEqual([turn("a", 4)]);
});

test("where no number fits between, those behind get others as well", () => {
  expect(renumbered([turn("a", 1), turn("c", 2), turn("b", 1)], "c")).toEqual([turn("c", 2), turn("b", 3)]);
});

test("wherever a job is moved, the new numbers give that order", () => {
  const numbers = fc.array(fc.oneof(fc.integer({ min: -5, max: 5 }), fc.double({ min: -3, max: 3, noNaN: true })), { minLength: 2, maxLength: 9 });
  fc.assert(
    fc.property(numbers, fc.nat(), fc.integer({ min: -9, max: 9 }), (given, which, by) => {
      const list = given.toSorted((a, b) => a - b).map((priority, index) => turn(`j${index}`, priority));
      const id = list[which % list.length]?.id ?? "";
      const wanted = shifted(list, id, by);
      const changed = new Map(renumbered(wanted, id).map((each) => [each.id, each.priority]));
      const after = wanted.map(({ id: one, priority }) => changed.get(one) ?? priority);
      const at = wanted.findIndex((each) => each.id === id);
      expect(after.every((number, index) => index === 0 || number >= (after[index - 1] ?? 0))).toBe(true);
      if (at > 0) expect(after[at]).toBeGreaterThan(after[at - 1] ?? 0);
      if (at + 1 < after.length) expect(after[at]).toBeLessThan(after[at + 1] ?? 0);
    }),
  );
});

test("what is shifted past an end stays there, and what is not there changes nothing", () => {
  const list = [turn("a", 1), turn("b", 2), turn("c", 3)];
  const ids = (id: string, by: number) => shifted(list, id, by).map((each) => each.id).join("");

  expect([ids("a", 1), ids("c", -3), ids("b", 5), ids("x", 1)]).toEqual(["bac", "cab", "acb", "abc"]);
});
