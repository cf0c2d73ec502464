import { describe, expect, test } from "vitest";

import { readCatalogue } from "../../src/doc/catalogue";
import type { Catalogue } from "../../src/doc/catalogue";
import { fittingModel, pictureOutput, preprocessors, steer, steerable } from "../../src/doc/controlnet";
import { addNode, removeNodes, setLook } from "../../src/doc/edit";
import type { Graph, GraphNode, NodeId, Size } from "../../src/doc/graph";
import { dependsOn } from "../../src/doc/graph";
import { hasPictureRow, layoutNode } from "../../src/doc/layout";
import type { Json } from "../../src/doc/json";
import { asObject } from "../../src/doc/json";
import { openData, toRun } from "../../src/doc/open";
import { graphWith, jsonOf, nodeOf, wired, workflowOf } from "../support";

function info(inputs: Json, outputs: readonly string[], category: string, more = {}): Json {
  return { input: { required: inputs }, output: [...outputs], output_name: [...outputs], category, ...more };
}

const FILES = ["animals-depth.safetensors", "emoji-edges.safetensors"];
const known = serving(FILES);

/** The catalogue of a server with these ControlNets. */
function serving(files: readonly string[]): Catalogue {
  const fixture = jsonOf("catalogue.json");
  const loader = info({ control_net_name: [[...files], {}] }, ["CONTROL_NET"], "loaders");
  return readCatalogue({
    ...fixture,
    LoadControlNet: loader,
    PreviewImage: info({ images: ["IMAGE", {}] }, [], "image", { output_node: true }),
    DepthFromImage: info({ image: ["IMAGE", {}], model: ["DEPTH_MODEL", {}] }, ["IMAGE"], "image/depth"),
    ArtLines: info({ image: ["IMAGE", {}] }, ["IMAGE"], "ControlNet Preprocessors/Line", { display_name: "Art" }),
    SegmentByColor: info({ image: ["IMAGE", {}] }, ["SEGMENTS", "IMAGE"], "image/segmentation"),
  });
}

function workflow(name: string): Graph {
  return openData(workflowOf(name), known).graph;
}

/** The graph with a LoadImage. */
function withPicture(graph: Graph): { readonly graph: Graph; readonly id: NodeId } {
  const def = known.get("LoadImage");
  if (!def) throw new Error("no LoadImage");
  return addNode(graph, def, { x: 0, y: 900 });
}

function sizeOf(node: GraphNode): Size {
  const { width, height } = layoutNode(node, known, hasPictureRow(known.get(node.type)));
  return { width, height };
}

/** Steers the samplers that are found, with the preprocessor of a type. */
function steered(start: Graph, type: string | null = "Canny", catalogue = known) {
  const { graph, id } = withPicture(start);
  const found = steerable(graph, catalogue, new Set(), id);
  if (!("samplers" in found)) throw new Error(found.why);
  const def = type === null ? null : (catalogue.get(type) ?? null);
  const made = steer(graph, { node: id, output: "IMAGE" }, def, found.samplers, catalogue, sizeOf);
  if (!made) throw new Error("nothing was added");
  return { ...made, before: graph, picture: id, samplers: found.samplers };
}

describe("what makes a hint", () => {
  test("is found in the catalogue, Canny first, other people's nodes among it", () => {
    const types = preprocessors(known).map(({ type }) => type);

    expect(types[0]).toBe("Canny");
    expect(types).toEqual(expect.arrayContaining(["EdgesSoft", "EdgesScribble", "ImageQuantize", "ArtLines", "SegmentByColor"]));
  });

  test("needs a picture and nothing else", () => {
    const types = preprocessors(known).map(({ type }) => type);

    for (const type of ["DepthFromImage", "ImageScale", "ImageInvert", "LoadImage", "ImageBatch"]) {
      expect(types).not.toContain(type);
    }
  });
});

describe("what is steered", () => {
  test.each([
    ["text_to_image", ["5"]],
    ["compare_samplers", 4],
    ["sampling_in_parts", 1],
    ["two_stage", 1],
  ])("in %s are the samplers of one pair of prompts", (name, expected) => {
    const found = steerable(workflow(name), known);

    if (!("samplers" in found)) throw new Error(found.why);
    if (typeof expected === "number") expect(found.samplers).toHaveLength(expected);
    else expect(found.samplers).toEqual(expected);
  });

  test("are the samplers whose prompts most of them share", () => {
    const graph = workflow("compare_samplers");
    const [first = "", ...others] = [...graph.nodes.values()].filter(({ type }) => type === "KSampler").map(({ id }) => id);
    const negative = nodeOf(graph, first).links["negative"];
    const odd = wired(graph, [`${negative?.node ?? ""}:${negative?.output ?? ""}`, `${first}:positive`]);

    expect(steerable(odd, known)).toEqual({ samplers: others });
  });

  test("is what is selected, where samplers are", () => {
    const graph = workflow("two_stage");
    const stages = [...graph.nodes.values()].filter(({ type }) => type === "KSamplerAdvanced").map(({ id }) => id);

    for (const id of stages) expect(steerable(graph, known, new Set([id]))).toEqual({ samplers: [id] });
    expect(steerable(graph, known, new Set(["1"]))).toEqual({ samplers: [stages[0]] });
  });

  test.each([
    ["no sampler", workflow("hints"), "no sampler"],
    ["only a node that trains", removeNodes(workflow("train_lora"), ["5", "11"], known), "no sampler"],
    ["a sampler without prompts", graphWith("KSampler"), "KSampler has no positive prompt"],
    ["a sampler without a negative prompt", wired(graphWith("CLIPTextEncode", "KSampler"), ["1:CONDITIONING", "2:positive"]), "no negative prompt"],
  ])("of a graph with %s it is said why there is nothing", (_what, graph, why) => {
    expect(steerable(graph, known)).toMatchObject({ why: expect.stringContaining(why) });
  });

  test("is never the sampler that makes the picture", () => {
    const graph = workflow("text_to_image");

    expect(pictureOutput(graph, "6", known)).toEqual({ node: "6", output: "IMAGE" });
    expect(steerable(graph, known, new Set(), "6")).toMatchObject({ why: expect.stringContaining("made by the sampler") });
    expect(pictureOutput(graph, "5", known)).toBeNull();
  });

  test("is nothing where the server lacks the nodes, and it says which", () => {
    const poor = new Map([...known].filter(([type]) => type !== "ControlNetApplyAdvanced"));

    expect(steerable(workflow("text_to_image"), poor)).toEqual({ why: "The server has no ControlNetApplyAdvanced" });
  });
});

describe("a picture that steers", () => {
  const made = steered(workflow("text_to_image"));
  const { graph } = made;

  test("stands between the prompts and the sampler, with its hint and a ControlNet for it", () => {
    expect(nodeOf(graph, made.apply).links).toEqual({
      positive: { node: "2", output: "CONDITIONING" },
      negative: { node: "3", output: "CONDITIONING" },
      control_net: { node: made.loader, output: "CONTROL_NET" },
      image: { node: made.hint, output: "IMAGE" },
    });
    expect(nodeOf(graph, "5").links).toMatchObject({
      positive: { node: made.apply, output: "positive" },
      negative: { node: made.apply, output: "negative" },
    });
    expect(nodeOf(graph, made.hint)).toMatchObject({ type: "Canny", links: { image: { node: made.picture } } });
    expect(nodeOf(graph, made.preview).links).toEqual({ images: { node: made.hint, output: "IMAGE" } });
    expect(nodeOf(graph, made.loader).values).toEqual({ control_net_name: "emoji-edges.safetensors" });
    expect(made.model).toEqual({ file: "emoji-edges.safetensors", fits: true });
  });

  test("changes nothing but what it adds, the sampler's two cables and where the picture lies", () => {
    for (const [id, node] of made.before.nodes) if (!["5", made.picture].includes(id)) expect(nodeOf(graph, id)).toBe(node);
    const { position } = nodeOf(graph, made.picture);
    expect(nodeOf(graph, made.picture)).toEqual({ ...nodeOf(made.before, made.picture), position });
    expect(graph.nodes.size).toBe(made.before.nodes.size + 4);
    expect(nodeOf(graph, "5")).toEqual({ ...nodeOf(made.before, "5"), links: nodeOf(graph, "5").links });
  });

  test("can be run: nothing waits for itself and every needed input is fed", () => {
    expect(dependsOn(graph, made.picture, made.apply)).toBe(false);
    const { prompt, warnings } = toRun(graph, known);
    expect(warnings).toEqual([]);
    for (const id of made.added) {
      const given = Object.keys(asObject(asObject((prompt as Record<string, Json>)[id])["inputs"]));
      const needed = known.get(nodeOf(graph, id).type)?.inputs.filter((port) => port.required).map(({ name }) => name);
      expect(given).toEqual(expect.arrayContaining(needed ?? ["?"]));
    }
  });

  test("lies over no other node", () => {
    const boxes = [...graph.nodes.values()].map((node) => ({ id: node.id, ...node.position, ...sizeOf(node) }));
    for (const id of [...made.added, made.picture]) {
      const box = boxes.find((each) => each.id === id);
      const hits = boxes.filter(
        (each) =>
          box && each.id !== id && each.x < box.x + box.width && box.x < each.x + each.width &&
          each.y < box.y + box.height && box.y < each.y + each.height,
      );
      expect(hits).toEqual([]);
    }
  });

  test("lies before the sampler, from left to right", () => {
    const places = [made.picture, made.hint, made.apply, "5"].map((id) => nodeOf(graph, id).position.x);
    expect(places).toEqual(places.toSorted((a, b) => a - b));
  });

  test("stays where it is if something else needs it there", () => {
    const start = withPicture(workflow("image_to_image")).graph;
    const [loader = ""] = [...start.nodes.values()].filter(({ type }) => type === "LoadImage").map(({ id }) => id);
    const { samplers } = steerable(start, known) as { samplers: NodeId[] };
    const after = steer(start, { node: loader, output: "IMAGE" }, null, samplers, known, sizeOf);
    expect(after && nodeOf(after.graph, loader)).toBe(nodeOf(start, loader));

    const { graph: apart, id } = withPicture(workflow("text_to_image"));
    const pinned = setLook(apart, [id], { pinned: true });
    const beside = steer(pinned, { node: id, output: "IMAGE" }, null, ["5"], known, sizeOf);
    expect(beside && nodeOf(beside.graph, id)).toBe(nodeOf(pinned, id));
  });

  test("can be a hint already", () => {
    const plain = steered(workflow("text_to_image"), null);

    expect(plain.hint).toBe(plain.picture);
    expect(plain.added).toHaveLength(3);
    expect(nodeOf(plain.graph, plain.apply).links["image"]).toEqual({ node: plain.picture, output: "IMAGE" });
    expect(nodeOf(plain.graph, plain.preview).links["images"]).toEqual({ node: plain.picture, output: "IMAGE" });
  });

  test("takes the preprocessor's output that is a picture", () => {
    const parts = steered(workflow("text_to_image"), "SegmentByColor");
    expect(nodeOf(parts.graph, parts.apply).links["image"]).toEqual({ node: parts.hint, output: "IMAGE" });
  });

  test("comes after one that steers already", () => {
    const twice = steered(workflow("controlnet"));

    expect(nodeOf(twice.graph, twice.apply).links["positive"]).toEqual({ node: "7", output: "positive" });
    expect(nodeOf(twice.graph, "9").links["positive"]).toEqual({ node: twice.apply, output: "positive" });
  });

  test("steers all samplers that share the prompts", () => {
    const all = steered(workflow("compare_samplers"));

    expect(all.samplers).toHaveLength(4);
    for (const id of all.samplers) {
      expect(nodeOf(all.graph, id).links["negative"]).toEqual({ node: all.apply, output: "negative" });
    }
  });

  test("waits for a ControlNet where the server has none", () => {
    const none = serving([]);
    expect(steered(workflow("text_to_image"), "Canny", none).model).toBeNull();
  });
});

test.each([
  [["a.pth", "control_v11p_sd15_canny.pth"], "Canny Canny image/preprocessors", "control_v11p_sd15_canny.pth", true],
  [["depth.pth", "Emoji-EDGES.safetensors"], "Canny Canny image/preprocessors", "Emoji-EDGES.safetensors", true],
  [["edges.pth", "scribble.pth"], "EdgesScribble Scribble image/edges", "scribble.pth", true],
  [["edges.pth", "seg.pth"], "ImageQuantize Quantize Image", "seg.pth", true],
  [["edges.pth"], "DepthFromImage", "edges.pth", false],
  [["one.pth"], "", "one.pth", false],
])("of %j a hint by %s takes %s", (files, hint, file, fits) => {
  expect(fittingModel(files, hint)).toEqual({ file, fits });
});

test("where there is no ControlNet none fits", () => {
  expect(fittingModel([], "Canny")).toBeNull();
});
