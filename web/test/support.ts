// What the tests share: the catalogue of the example workflows, graphs at random, fixtures.

import { readFileSync } from "node:fs";
import { join } from "node:path";

import fc from "fast-check";

import type { NodeDef } from "../src/doc/catalogue";
import { readCatalogue } from "../src/doc/catalogue";
import { connect, refusal } from "../src/doc/connect";
import { addGroup, addNode, setLook, setSeedMode, setTitle, setValue } from "../src/doc/edit";
import type { Graph, GraphNode, InputRef, Source } from "../src/doc/graph";
import { EMPTY, cables, makeNode, withNodes } from "../src/doc/graph";
import type { Json, JsonObject } from "../src/doc/json";
import { asObject, parseJson } from "../src/doc/json";
import { portsOf } from "../src/doc/ports";

const FIXTURES = join(import.meta.dirname, "fixtures");

export function bytesOf(name: string): Uint8Array {
  return new Uint8Array(readFileSync(join(FIXTURES, name)));
}

export function jsonOf(name: string): JsonObject {
  return asObject(parseJson(readFileSync(join(FIXTURES, name), "utf8")));
}

export function workflowOf(name: string): Json {
  return parseJson(readFileSync(join(import.meta.dirname, "../../workflows", `${name}.json`), "utf8"));
}

export const CATALOGUE = readCatalogue(jsonOf("catalogue.json"));

export function defOf(type: string): NodeDef {
  const def = CATALOGUE.get(type);
  if (!def) throw new Error(`the fixtures have no ${type}`);
  return def;
}

/** A graph of nodes of these types, with the ids 1, 2, ... */
export function graphWith(...types: string[]): Graph {
  return types.reduce((graph, type, index) => addNode(graph, defOf(type), { x: 300 * index, y: 0 }).graph, EMPTY);
}

export function nodeOf(graph: Graph, id: string): GraphNode {
  const node = graph.nodes.get(id);
  if (!node) throw new Error(`there is no node ${id}`);
  return node;
}

/** The graph with a cable, as "1:LATENT" -> "2:samples". */
export function wired(graph: Graph, ...pairs: readonly (readonly [string, string])[]): Graph {
  return pairs.reduce((result, [from, to]) => connect(result, sourceOf(from), refOf(to)), graph);
}

export function sourceOf(text: string): Source {
  const [node = "", output = ""] = text.split(":");
  return { node, output };
}

export function refOf(text: string): InputRef {
  const [node = "", input = ""] = text.split(":");
  return { node, input };
}

/** The cables of a graph as text, sorted. */
export function drawn(graph: Graph): string[] {
  return cables(graph)
    .map(({ node, input, source }) => `${source.node}:${source.output} -> ${node}:${input}`)
    .sort();
}

// -- at random ------------------------------------------------------------------------------------

// A list of its own, so that graphs at random stay the same when the catalogue grows.
const TYPES = [
  "CheckpointLoaderSimple", "CLIPTextEncode", "ControlNetApplyAdvanced", "EmptyLatentImage", "ImageScale",
  "InvertMask", "KSampler", "KSamplerAdvanced", "LoadImage", "LoraLoader", "MarkdownNote", "Note", "Reroute",
  "SaveImage", "VAEDecode", "VAELoader",
];
const UNKNOWN = "Sparkle";

function valueFor(def: NodeDef | undefined, name: string): fc.Arbitrary<Json> {
  const widget = def?.inputs.find((port) => port.name === name)?.widget;
  switch (widget?.kind) {
    case "int":
      return fc.oneof(fc.nat(), fc.constant(2n ** 64n - 1n));
    case "float":
      return fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 }).map((x) => x + 0);
    case "toggle":
      return fc.boolean();
    default:
      return fc.oneof(fc.string(), fc.constantFrom("fixed", "randomize", "image", "(a:1.1)"));
  }
}

const pick = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });

function at<T>(list: readonly T[], share: number): T | undefined {
  return list[Math.floor(share * list.length)];
}

const unknownNode = fc.record({
  list: fc.array(fc.oneof(fc.integer(), fc.string(), fc.boolean()), { maxLength: 3 }),
  named: fc.dictionary(fc.constantFrom("amount", "colour"), fc.oneof(fc.integer(), fc.string())),
});

/** A step that builds a graph: from a graph to a graph, by shares of what is there. */
const step: fc.Arbitrary<(graph: Graph) => Graph> = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fc.constantFrom(...TYPES), fc.integer({ min: -2000, max: 2000 }), fc.integer({ min: -999, max: 999 })).map(
    ([type, x, y]) => (graph: Graph) => addNode(graph, defOf(type), { x, y }).graph,
  ) },
  unknownNode.map(({ list, named }) => (graph: Graph) => {
    const values = list.length ? {} : named;
    const id = String(graph.nodes.size + 100);
    const ports = {
      inputs: [{ name: "image", type: "IMAGE" }, { name: "x", type: "INT", widget: "amount" }],
      outputs: [{ name: "IMAGE", type: "IMAGE" }, { name: "IMAGE", type: "IMAGE" }, { name: "n", type: "INT" }],
    };
    return withNodes(graph, [makeNode(id, UNKNOWN, { ports, unnamed: list, values })]);
  }),
  { weight: 8, arbitrary: fc.tuple(pick, pick, pick, pick).map((shares) => (graph: Graph) => randomCable(graph, shares)) },
  fc.tuple(pick, fc.string({ maxLength: 12 })).map(([share, title]) => (graph: Graph) => {
    const node = at([...graph.nodes.values()], share);
    return node && title !== CATALOGUE.get(node.type)?.title ? setTitle(graph, node.id, title) : graph;
  }),
  fc.tuple(pick, fc.constantFrom("muted" as const, "bypassed" as const), fc.boolean(), fc.constantFrom("", "#234")).map(
    ([share, mode, collapsed, color]) => (graph: Graph) => {
      const node = at([...graph.nodes.keys()], share);
      return node === undefined ? graph : setLook(graph, [node], { mode, collapsed, color });
    },
  ),
  fc.tuple(pick, fc.constantFrom("randomize" as const, "increment" as const)).map(([share, mode]) => (graph: Graph) => {
    const seeds = [...graph.nodes.values()].filter((node) => defInputs(node).includes("seed"));
    const node = at(seeds, share);
    return node ? setSeedMode(graph, node.id, "seed", mode) : graph;
  }),
  fc.tuple(fc.string({ maxLength: 9 }), fc.nat(500), fc.nat(500)).map(
    ([title, x, y]) => (graph: Graph) => addGroup(graph, title, { x, y, width: 300, height: 200 }, "#345").graph,
  ),
);

function defInputs(node: GraphNode): string[] {
  return (CATALOGUE.get(node.type)?.inputs ?? []).filter((port) => port.widget).map((port) => port.name);
}

function randomCable(graph: Graph, [a, b, c, d]: readonly [number, number, number, number]): Graph {
  const from = at([...graph.nodes.values()], a);
  const to = at([...graph.nodes.values()], b);
  if (!from || !to) return graph;
  const output = at(portsOf(from, CATALOGUE).outputs, c);
  const source = { node: from.id, output: output?.key ?? "" };
  const inputs = portsOf(to, CATALOGUE).inputs.filter(
    (port) => refusal(graph, source, { node: to.id, input: port.name }, CATALOGUE) === null,
  );
  const input = at(inputs, d);
  return output && input ? connect(graph, source, { node: to.id, input: input.name }) : graph;
}

/** Graphs of known and unknown nodes, reroutes, notes and groups, with cables that are allowed. */
export const graphs: fc.Arbitrary<Graph> = fc
  .array(step, { maxLength: 40 })
  .map((steps) => steps.reduce((graph, each) => each(graph), EMPTY))
  .chain((graph) => {
    const places = [...graph.nodes.values()].flatMap((node) => defInputs(node).map((name) => [node, name] as const));
    if (!places.length) return fc.constant(graph);
    const one = fc.constantFrom(...places).chain(([node, name]) =>
      valueFor(CATALOGUE.get(node.type), name).map((value) => [node.id, name, value] as const),
    );
    return fc
      .array(one, { maxLength: 8 })
      .map((values) => values.reduce((result, [id, name, value]) => setValue(result, id, name, value), graph));
  });

export { pick, at };
