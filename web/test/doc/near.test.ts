import fc from "fast-check";
import { expect, test } from "vitest";

import { likeness, nearNames, nearTypes } from "../../src/doc/near";
import { CATALOGUE } from "../support";

test("likeness is 1 for the same name, the same both ways, and never beyond 0 and 1", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (a, b) => {
      const alike = likeness(a, b);
      expect(alike).toBe(likeness(b, a));
      expect(alike).toBeGreaterThanOrEqual(0);
      expect(alike).toBeLessThanOrEqual(1);
    }),
  );
  expect(likeness("sd/v1-5_Pruned.safetensors", "v15-pruned.ckpt")).toBe(1);
});

test("a file that was renamed or lies elsewhere is near, others are not", () => {
  const models = ["embedded.safetensors", "sd15/v1-5-pruned-emaonly.safetensors", "flux.safetensors"];

  expect(nearNames("v1-5-pruned.ckpt", models)).toEqual(["sd15/v1-5-pruned-emaonly.safetensors"]);
  expect(nearNames("embeded.safetensors", models)).toEqual(["embedded.safetensors"]);
  expect(nearNames("quite another", models)).toEqual([]);
  expect(nearNames("embedded", ["embedded", "embedded 2", "embedded 3"], 2)).toEqual(["embedded", "embedded 2"]);
});

test("a node type that is spelled otherwise is near, and none of the canvas's own is", () => {
  const types = (name: string): string[] => nearTypes(name, CATALOGUE).map(({ type }) => type);

  expect(types("K_Sampler")[0]).toBe("KSampler");
  expect(types("VAE Decode (simple)")).toContain("VAEDecode");
  expect(types("Qwxzj")).toEqual([]);
  expect(types("Note")).not.toContain("Note");
});
