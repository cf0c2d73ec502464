import { describe, expect, test } from "vitest";

import { setLook, setTitle, setValue, placeNodes } from "../../src/doc/edit";
import { openData } from "../../src/doc/open";
import { fingerprint, leadingTo, runTo } from "../../src/doc/partial";
import { reseed } from "../../src/doc/seed";
import { readCatalogue } from "../../src/doc/catalogue";
import { addNode, setSeedMode } from "../../src/doc/edit";
import { CATALOGUE, graphWith, jsonOf, nodeOf, wired, workflowOf } from "../support";

const PREVIEW = {
  input: { required: { images: ["IMAGE", {}] } }, output: [], output_name: [], output_node: true, display_name: "Preview",
};
const known = readCatalogue({ ...jsonOf("catalogue.json"), PreviewImage: PREVIEW });
const control = openData(workflowOf("controlnet"), known).graph; // 4 LoadImage, 5 Canny, 7 apply, 9 KSampler

/** The graph with a PreviewImage at an output. */
function watched(from: string): typeof control {
  const def = known.get("PreviewImage");
  if (!def) throw new Error("no PreviewImage");
  return wired(addNode(control, def, { x: 0, y: 0 }).graph, [from, "12:images"]);
}

describe("running to a node", () => {
  test("wants the node, and what only shows its result", () => {
    expect(runTo(control, "5", known)).toEqual({ targets: ["5"] });
    expect(runTo(watched("5:IMAGE"), "5", known)).toEqual({ targets: ["5", "12"] });
    expect(runTo(watched("5:IMAGE"), "4", known)).toEqual({ targets: ["4"] });
  });

  test("does not save pictures that it is not asked to save", () => {
    expect(runTo(control, "10", known)).toEqual({ targets: ["10"] });
    expect(runTo(control, "11", known)).toEqual({ targets: ["11"] });
  });

  test("a preview that is muted is not run", () => {
    expect(runTo(setLook(watched("5:IMAGE"), ["12"], { mode: "muted" }), "5", known)).toEqual({ targets: ["5"] });
  });

  test("of a bend and of a bypassed node it is what feeds it", () => {
    const bent = wired(graphWith("LoadImage", "Reroute", "ImageScale"), ["1:IMAGE", "2:"], ["2:", "3:image"]);

    expect(runTo(bent, "2", CATALOGUE)).toEqual({ targets: ["1"] });
    expect(runTo(setLook(bent, ["3"], { mode: "bypassed" }), "3", CATALOGUE)).toEqual({ targets: ["1"] });
    expect(runTo(graphWith("Reroute"), "1", CATALOGUE)).toMatchObject({ why: expect.stringContaining("Nothing") });
  });

  test("of what cannot run alone it says so", () => {
    expect(runTo(control, "99", known)).toMatchObject({ why: expect.stringContaining("gone") });
    expect(runTo(setLook(control, ["5"], { mode: "muted" }), "5", known)).toMatchObject({ why: expect.stringContaining("muted") });
    const inside = { ...graphWith("VAEDecode"), extra: { definitions: { subgraphs: [{ id: "VAEDecode" }] } } };
    expect(runTo(inside, "1", CATALOGUE)).toMatchObject({ why: expect.stringContaining("subgraph") });
  });

  test("changes the seeds only of nodes that run", () => {
    const rolling = setSeedMode(control, "9", "seed", "increment");

    expect(reseed(rolling, known, undefined, leadingTo(rolling, ["5"])).graph).toBe(rolling);
    const { graph } = reseed(rolling, known, undefined, leadingTo(rolling, ["9"]));
    expect(nodeOf(graph, "9").values["seed"]).toBe(8);
  });
});

test("what leads to a node is the node and all behind it", () => {
  expect([...leadingTo(control, ["5"])].sort()).toEqual(["4", "5"]);
  expect([...leadingTo(control, ["5", "8"])].sort()).toEqual(["4", "5", "8"]);
});

describe("the fingerprint of what leads to a node", () => {
  const before = fingerprint(control, ["5"]);

  test.each([
    ["a value", setValue(control, "5", "low_threshold", 0.2)],
    ["a value far behind", setValue(control, "4", "image", "other.png")],
    ["a cable", wired(control, ["10:IMAGE", "5:image"])],
    ["a mode", setLook(control, ["4"], { mode: "muted" })],
  ])("changes with %s", (_what, graph) => {
    expect(fingerprint(graph, ["5"])).not.toBe(before);
  });

  test("changes with cables that change places", () => {
    const swapped = wired(control, ["2:CONDITIONING", "7:negative"], ["3:CONDITIONING", "7:positive"]);
    expect(fingerprint(swapped, ["7"])).not.toBe(fingerprint(control, ["7"]));
  });

  test.each([
    ["where nodes are", placeNodes(control, new Map([["5", { x: 9, y: 9 }]]))],
    ["a title", setTitle(control, "5", "New")],
    ["what comes after it", setValue(control, "9", "steps", 3)],
  ])("does not change with %s", (_what, graph) => {
    expect(fingerprint(graph, ["5"])).toBe(before);
  });
});
