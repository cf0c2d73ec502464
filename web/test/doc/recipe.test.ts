import { describe, expect, test } from "vitest";

import { setLook, setSeedMode, setValue } from "../../src/doc/edit";
import type { Graph } from "../../src/doc/graph";
import { makeNode, withNodes } from "../../src/doc/graph";
import { openData } from "../../src/doc/open";
import { recallSeeds, recallTexts } from "../../src/doc/recall";
import { NO_RECIPE, differences, hasWords, recipeOf, wordsOf } from "../../src/doc/recipe";
import { CATALOGUE, defOf, graphWith, nodeOf, wired, workflowOf } from "../support";

const simple = openData(workflowOf("text_to_image"), CATALOGUE).graph;

/** 1 checkpoint, 2 and 3 texts, 4 sampler, 5 decoder, 6 saving. */
const other = wired(
  graphWith("CheckpointLoaderSimple", "CLIPTextEncode", "CLIPTextEncode", "KSampler", "VAEDecode", "SaveImage"),
  ["2:CONDITIONING", "4:positive"], ["3:CONDITIONING", "4:negative"], ["4:LATENT", "5:samples"], ["5:IMAGE", "6:images"],
);

const held = (list: readonly { readonly node: string; readonly input: string; readonly value: unknown }[]): unknown[] =>
  list.map(({ node, input, value }) => [node, input, value]);

describe("what a picture was made with", () => {
  test("is its seed, its texts by the part they play, and how it was sampled", () => {
    const recipe = recipeOf(setValue(simple, "3", "text", "ugly"), CATALOGUE, "7");

    expect(held(recipe.seeds)).toEqual([["5", "seed", 7]]);
    expect(held(recipe.positive)).toEqual([["2", "text", "cat face"]]);
    expect(held(recipe.negative)).toEqual([["3", "text", "ugly"]]);
    expect(recipe.settings.slice(0, 5)).toEqual([
      { name: "steps", value: 30 }, { name: "cfg", value: 4 }, { name: "sampler_name", value: "ddim" },
      { name: "scheduler", value: "ddim_uniform" }, { name: "denoise", value: 1 },
    ]);
  });

  test("is found through reroutes, bypassed nodes, and values that a cable brings", () => {
    const value = makeNode("90", "PrimitiveNode", { values: { value: "a dog" } });
    const seed = makeNode("91", "PrimitiveNode", { values: { value: 2n ** 60n } });
    const bend = makeNode("92", "Reroute", { links: { "": { node: "2", output: "CONDITIONING" } } });
    const given = withNodes(simple, [value, seed, bend]);
    const graph = wired(given, ["90:", "2:text"], ["91:", "5:seed"], ["92:", "5:positive"]);

    const recipe = recipeOf(graph, CATALOGUE);

    expect(held(recipe.positive)).toEqual([["90", "value", "a dog"]]);
    expect(held(recipe.seeds)).toEqual([["91", "value", 2n ** 60n]]);
  });

  test("leaves out other branches, and texts of the other part behind nodes that hand both on", () => {
    const both = wired(
      graphWith("CLIPTextEncode", "CLIPTextEncode", "ControlNetApplyAdvanced", "KSampler", "VAEDecode", "SaveImage", "KSampler", "VAEDecode", "SaveImage"),
      ["1:CONDITIONING", "3:positive"], ["2:CONDITIONING", "3:negative"], ["3:positive", "4:positive"],
      ["3:negative", "4:negative"], ["4:LATENT", "5:samples"], ["5:IMAGE", "6:images"],
      ["2:CONDITIONING", "7:positive"], ["7:LATENT", "8:samples"], ["8:IMAGE", "9:images"],
    );
    const graph = setValue(setValue(both, "1", "text", "good"), "2", "text", "bad");

    const [first, second] = [recipeOf(graph, CATALOGUE, "6"), recipeOf(graph, CATALOGUE, "9")];

    expect([held(first.positive), held(first.negative)]).toEqual([[["1", "text", "good"]], [["2", "text", "bad"]]]);
    expect([held(second.positive), held(second.seeds)]).toEqual([[["2", "text", "bad"]], [["7", "seed", 0]]]);
    expect(recipeOf(setLook(graph, ["4"], { mode: "muted" }), CATALOGUE, "6").seeds).toEqual([]);
  });

  test("has the seeds of what draws alone, and no texts of what conditions are made from", () => {
    const text = defOf("CLIPTextEncode").inputs.filter(({ widget }) => widget?.kind === "text");
    const catalogue = new Map([...CATALOGUE, ["Words", { ...defOf("LoadImage"), type: "Words", inputs: text }]]);
    const made = graphWith("NewUNet", "CLIPTextEncode", "ControlNetApplyAdvanced", "KSampler", "VAEDecode", "SaveImage");
    const words = makeNode("9", "Words", { values: { text: "on the hint" } });
    const graph = wired(
      withNodes(setValue(made, "2", "text", "dog"), [words]),
      ["1:MODEL", "4:model"], ["2:CONDITIONING", "3:positive"], ["9:IMAGE", "3:image"], ["3:positive", "4:positive"],
      ["4:LATENT", "5:samples"], ["5:IMAGE", "6:images"],
    );

    const recipe = recipeOf(graph, catalogue);

    expect(held(recipe.seeds)).toEqual([["4", "seed", 0]]);
    expect(held(recipe.positive)).toEqual([["2", "text", "dog"]]);
  });

  test("names a text that plays both parts once, and has words for lists and searching", () => {
    const graph = wired(setValue(simple, "2", "text", " a red\n  cat "), ["2:CONDITIONING", "5:negative"]);

    const recipe = recipeOf(graph, CATALOGUE);

    expect([wordsOf(recipe), recipe.negative]).toEqual(["a red cat", []]);
    expect([hasWords(recipe, "CAT red"), hasWords(recipe, "cat dog"), hasWords(recipe, "")]).toEqual([true, false, true]);
  });

  test("differs from another's by name", () => {
    const changed = setValue(setValue(simple, "5", "seed", 8), "2", "text", "dog");
    const [a, b] = [recipeOf(simple, CATALOGUE), recipeOf(changed, CATALOGUE)];

    expect(differences(a, b)).toEqual([{ name: "prompt", a: "cat face", b: "dog" }, { name: "seed", a: "7", b: "8" }]);
    expect(differences(a, a)).toEqual([]);
  });
});

describe("what is recalled", () => {
  const recipe = recipeOf(setValue(setValue(simple, "5", "seed", 99), "3", "text", "ugly"), CATALOGUE);

  test("goes to the widgets that held it, and a seed stays from then on", () => {
    const now = setSeedMode(setValue(simple, "2", "text", "dog"), "5", "seed", "randomize");

    const [seed, texts] = [recallSeeds(now, recipe, CATALOGUE), recallTexts(now, recipe, CATALOGUE)];

    expect([nodeOf(seed.graph, "5").values["seed"], nodeOf(seed.graph, "5").seeds]).toEqual([99, {}]);
    expect(nodeOf(seed.graph, "2").values["text"]).toBe("dog");
    expect(held(texts.set)).toEqual([["2", "text", "cat face"], ["3", "text", "ugly"]]);
    expect(nodeOf(texts.graph, "5")).toBe(nodeOf(now, "5"));
  });

  test("goes to the widgets of the same part in another graph", () => {
    const [seed, texts] = [recallSeeds(other, recipe, CATALOGUE), recallTexts(other, recipe, CATALOGUE)];

    expect(held(seed.set)).toEqual([["4", "seed", 99]]);
    expect(held(texts.set)).toEqual([["2", "text", "cat face"], ["3", "text", "ugly"]]);
    expect([seed.left, texts.left]).toEqual([0, 0]);
  });

  test("finds its own widgets whichever comes first, and an empty text needs no place", () => {
    const two = wired(graphWith("KSampler", "KSampler", "VAEDecode", "SaveImage"), ["1:LATENT", "2:latent_image"], ["2:LATENT", "3:samples"], ["3:IMAGE", "4:images"]);
    const [near, far] = [{ node: "2", input: "seed", value: 22 }, { node: "1", input: "seed", value: 11 }];

    const { graph } = recallSeeds(two, { ...NO_RECIPE, seeds: [far, near] }, CATALOGUE);

    expect([nodeOf(graph, "1").values["seed"], nodeOf(graph, "2").values["seed"]]).toEqual([11, 22]);
    const negative = [{ node: "3", input: "text", value: "" }];
    expect(recallTexts(two, { ...NO_RECIPE, negative }, CATALOGUE).left).toBe(0);
  });

  test("that finds no place is counted, and the graph stays the same", () => {
    const empty: Graph = graphWith("LoadImage", "SaveImage");

    expect(recallSeeds(empty, recipe, CATALOGUE)).toEqual({ graph: empty, set: [], left: 1 });
    expect(recallTexts(empty, recipe, CATALOGUE)).toMatchObject({ set: [], left: 2 });
    expect(recallSeeds(simple, NO_RECIPE, CATALOGUE)).toEqual({ graph: simple, set: [], left: 0 });
  });
});
