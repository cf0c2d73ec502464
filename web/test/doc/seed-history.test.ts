import fc from "fast-check";
import { expect, test } from "vitest";

import { setLook, setValue } from "../../src/doc/edit";
import { remembered, seedsOf } from "../../src/doc/seed";
import { CATALOGUE, graphWith, wired } from "../support";

test("seeds are remembered once each, the newest first, and not endlessly many", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1 }), (used) => {
      const seeds = used.reduce<readonly (number | bigint)[]>((all, seed) => remembered(all, seed), []);
      expect(seeds).toEqual([...new Set(used.toReversed())].slice(0, 20));
    }),
  );
});

test("the seeds of a run are those that are seen, of the nodes that run", () => {
  const two = graphWith("KSampler", "KSampler", "PrimitiveNode", "KSampler");
  const graph = wired(setValue(setValue(two, "1", "seed", 7), "2", "seed", 2n ** 60n), ["3:", "4:seed"]);
  const seeds = (only: ReadonlySet<string> | null = null): unknown =>
    seedsOf(graph, CATALOGUE, only).map(({ node, input, seed }) => [node, input, seed]);

  expect(seeds()).toEqual([["1", "seed", 7], ["2", "seed", 2n ** 60n]]);
  expect(seeds(new Set(["2"]))).toEqual([["2", "seed", 2n ** 60n]]);
  expect(seedsOf(setLook(graph, ["1"], { mode: "muted" }), CATALOGUE)).toHaveLength(1);
});
