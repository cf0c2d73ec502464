import { describe, expect, test } from "vitest";

import { fromEditor } from "../../src/doc/editor-read";
import { hasInside, insideOf } from "../../src/doc/inside";
import type { Json } from "../../src/doc/json";
import { sourceType } from "../../src/doc/ports";
import { along, lookingAt } from "../../src/state/looking";
import { editorWith } from "../state/editing";
import { CATALOGUE, drawn, nodeOf } from "../support";

const INNER = "1b2f6f0e-0000-4000-8000-000000000001";
const OUTER = "1b2f6f0e-0000-4000-8000-000000000002";
const NAMES = { inputs: "In", outputs: "Out" };

const FILE: Json = {
  nodes: [
    { id: 1, type: OUTER, pos: [0, 0], title: "Decoding", inputs: [{ name: "latent", type: "LATENT", link: null }], outputs: [{ name: "picture", type: "IMAGE" }] },
    { id: 2, type: "workflow>old", pos: [0, 300], inputs: [], outputs: [] },
  ],
  links: [],
  definitions: {
    subgraphs: [
      {
        id: OUTER,
        name: "Decode and turn",
        inputNode: { id: -10, bounding: [-300, 10, 120, 60] },
        outputNode: { id: -20, bounding: [900, 10, 120, 60] },
        inputs: [{ id: "a", name: "latent", type: "LATENT", linkIds: [1] }],
        outputs: [{ id: "b", name: "picture", type: "IMAGE", linkIds: [3] }],
        nodes: [
          { id: 5, type: "VAEDecode", pos: [0, 0], inputs: [{ name: "samples", type: "LATENT", link: 1 }, { name: "vae", type: "VAE", link: null }], outputs: [{ name: "IMAGE", type: "IMAGE", links: [2] }] },
          { id: 6, type: INNER, pos: [400, 0], inputs: [{ name: "image", type: "IMAGE", link: 2 }], outputs: [{ name: "image", type: "IMAGE", links: [3] }] },
        ],
        links: [
          { id: 1, origin_id: -10, origin_slot: 0, target_id: 5, target_slot: 0, type: "LATENT" },
          { id: 2, origin_id: 5, origin_slot: 0, target_id: 6, target_slot: 0, type: "IMAGE" },
          { id: 3, origin_id: 6, origin_slot: 0, target_id: -20, target_slot: 0, type: "IMAGE" },
        ],
        groups: [],
      },
      {
        id: INNER,
        name: "Turn",
        inputs: [{ name: "image", type: "IMAGE" }],
        outputs: [{ name: "image", type: "IMAGE" }],
        nodes: [{ id: 9, type: "ImageInvert", inputs: [{ name: "image", type: "IMAGE", link: 1 }], outputs: [{ name: "IMAGE", type: "IMAGE", links: [2] }] }],
        links: [[1, -10, 0, 9, 0, "IMAGE"], [2, 9, 0, -20, 0, "IMAGE"]],
      },
    ],
  },
};
const { graph } = fromEditor(FILE, CATALOGUE);

describe("what is in a subgraph", () => {
  test("are its nodes, and its inputs and outputs as nodes with typed ports", () => {
    const inside = insideOf(graph, nodeOf(graph, "1"), CATALOGUE, NAMES);

    expect(inside?.name).toBe("Decode and turn");
    expect(inside && drawn(inside.graph)).toEqual(["-10:latent -> 5:samples", "5:IMAGE -> 6:image", "6:image -> -20:picture"]);
    expect(inside && sourceType(inside.graph, { node: "-10", output: "latent" }, inside.catalogue)).toBe("LATENT");
    expect(inside && nodeOf(inside.graph, "-20").position).toEqual({ x: 900, y: 10 });
  });

  test("may hold others, which are found from in there, and are laid out if their file does not say where they are", () => {
    const levels = along(editorWith(graph), ["1", "6"]);

    expect(levels.map(({ name }) => name)).toEqual(["Decode and turn", "Turn"]);
    const turn = levels[1];
    expect(turn && drawn(turn.graph)).toEqual(["-10:image -> 9:image", "9:IMAGE -> -20:image"]);
    expect(turn && nodeOf(turn.graph, "9").position.x).toBeGreaterThan((turn && nodeOf(turn.graph, "-10").position.x) ?? 0);
  });

  test("is not there in other nodes", () => {
    expect(hasInside(graph, nodeOf(graph, "1"))).toBe(true);
    expect(hasInside(graph, nodeOf(graph, "2"))).toBe(false);
    expect(insideOf(graph, nodeOf(graph, "2"), CATALOGUE, NAMES)).toBeNull();
    expect(along(editorWith(graph), ["2"])).toEqual([]);
  });

  test("cannot be changed, and looking at it changes nothing outside", () => {
    const outer = editorWith(graph);
    const [level] = along(outer, ["1"]);
    if (!level) throw new Error("there is nothing in it");
    const looking = lookingAt(outer, level);

    expect(looking.document.apply("Delete", () => graph)).toBe(false);

    expect(looking.graph).toBe(level.graph);
    expect(looking.catalogue.size).toBe(CATALOGUE.size + 2);
    expect([outer.graph, outer.document.length]).toEqual([graph, 0]);
  });
});
