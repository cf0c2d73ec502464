// A picture that steers a graph: from the picture over a preprocessor, which makes the hint, and a
// ControlNet to the prompts of a sampler. All of it is added at once.

import { arrange } from "./arrange";
import type { Catalogue, NodeDef } from "./catalogue";
import { behind, connect } from "./connect";
import { addNode, placeNodes, setValue } from "./edit";
import type { Bounds, Graph, GraphNode, NodeId, Point, Size, Source } from "./graph";
import { cablesFrom } from "./graph";
import type { JsonObject } from "./json";
import { portsOf, titleOf } from "./ports";

const APPLY = "ControlNetApplyAdvanced";
const LOADERS = ["LoadControlNet", "ControlNetLoader"];
const VIEWER = "PreviewImage";
const GAP = 64; // pixels between what was there and what is added

/** Where preprocessors are in the catalogue, those of other people's packs among them. */
const CATEGORY = /preprocessor|\b(edges?|depth|segmentation|pose|line ?art|hints?)\b/i;
/** Those that are listed elsewhere. */
const OTHERS: ReadonlySet<string> = new Set(["ImageQuantize"]);
/** Values with which a first look shows something. */
const VALUES: Readonly<Record<string, JsonObject>> = {
  Canny: { low_threshold: 0.1, high_threshold: 0.3 },
};
/** What hints and the files of ControlNets are called: words of one line are much the same, the
 * last ones the most particular. */
const KINDS = [
  ["edge", "canny", "softedge", "hed", "pidi", "sobel", "line", "sketch", "scribble"],
  ["depth"],
  ["seg", "quantize", "color", "colour", "shuffle"],
  ["pose"],
  ["normal"],
  ["silhouette", "mask"],
  ["tile", "blur"],
  ["inpaint"],
];

/** The node types that make a hint of a picture, and need nothing else: Canny first. */
export function preprocessors(catalogue: Catalogue): readonly NodeDef[] {
  const rank = ({ type, module }: NodeDef): number => (type === "Canny" ? 0 : module.startsWith("nodes.") ? 1 : 2);
  return [...catalogue.values()]
    .filter((def) => (CATEGORY.test(def.category) || OTHERS.has(def.type)) && !def.deprecated && makesHint(def))
    .sort((a, b) => rank(a) - rank(b) || (a.title < b.title ? -1 : 1));
}

function makesHint({ inputs, outputs }: NodeDef): boolean {
  const cables = inputs.filter(({ widget, optional }) => widget === null && !optional);
  return cables.length === 1 && cables[0]?.type === "IMAGE" && outputs.some(({ type }) => type === "IMAGE");
}

/** What can be steered, as the ids of samplers that share their prompts; why: what is missing. */
export type Steerable = { readonly samplers: readonly NodeId[] } | { readonly why: string };

/**
 * The samplers that a hint would steer: those chosen, or else those with the prompts that most of
 * them share. picture: where the hint comes from; it must not come from such a sampler itself.
 */
export function steerable(
  graph: Graph,
  catalogue: Catalogue,
  chosen: ReadonlySet<NodeId> = new Set(),
  picture: NodeId | null = null,
): Steerable {
  const missing = [APPLY, VIEWER].find((type) => !catalogue.has(type));
  if (missing !== undefined || !loaderOf(catalogue)) return { why: `The server has no ${missing ?? LOADERS[0]}` };
  const all = [...graph.nodes.values()].filter((node) => isSampler(node, catalogue));
  if (!all.length) return { why: "The graph has no sampler that takes a positive and a negative prompt" };
  const wanted = all.some(({ id }) => chosen.has(id)) ? all.filter(({ id }) => chosen.has(id)) : all;
  const fed = wanted.filter(({ links }) => links["positive"] && links["negative"]);
  const [first] = wanted;
  if (!fed.length && first) {
    const side = first.links["positive"] ? "negative" : "positive";
    return { why: `${titleOf(first, catalogue.get(first.type))} has no ${side} prompt yet: connect one` };
  }
  const earlier = picture === null ? new Set<NodeId>() : behind(graph, picture);
  const free = fed.filter(({ id }) => !earlier.has(id));
  if (!free.length) return { why: "The picture is made by the sampler that it would steer" };
  const groups = new Map<string, NodeId[]>();
  for (const node of free) groups.set(promptsOf(node), [...(groups.get(promptsOf(node)) ?? []), node.id]);
  const [samplers = []] = [...groups.values()].sort((a, b) => b.length - a.length);
  return { samplers };
}

function isSampler(node: GraphNode, catalogue: Catalogue): boolean {
  const { inputs, outputs } = portsOf(node, catalogue);
  const takes = (name: string): boolean => inputs.some((port) => port.name === name && port.type === "CONDITIONING");
  const samples = outputs.some(({ type }) => type === "LATENT" || type === "GUIDER");
  return takes("positive") && takes("negative") && samples && !outputs.some(({ type }) => type === "CONDITIONING");
}

function promptsOf({ links }: GraphNode): string {
  const { positive, negative } = links;
  return JSON.stringify([positive?.node, positive?.output, negative?.node, negative?.output]);
}

function loaderOf(catalogue: Catalogue): NodeDef | undefined {
  return LOADERS.map((type) => catalogue.get(type)).find((def) => def !== undefined);
}

/** The output of a node that is a picture; null if it has none. */
export function pictureOutput(graph: Graph, id: NodeId, catalogue: Catalogue): Source | null {
  const node = graph.nodes.get(id);
  const port = node && portsOf(node, catalogue).outputs.find(({ type }) => type === "IMAGE");
  return port ? { node: id, output: port.key } : null;
}

/** Of ControlNets' files the one that a hint is meant for; fits: it is called like the hint. */
export function fittingModel(
  files: readonly string[],
  hint: string,
): { readonly file: string; readonly fits: boolean } | null {
  const words = KINDS.find((line) => line.some((word) => hint.toLowerCase().includes(word))) ?? [];
  const own = words.filter((word) => hint.toLowerCase().includes(word));
  for (const word of [...own.toReversed(), ...words]) {
    const file = files.find((name) => name.toLowerCase().includes(word));
    if (file !== undefined) return { file, fits: true };
  }
  const [first] = files;
  return first === undefined ? null : { file: first, fits: false };
}

/** What was added. hint: what gives it, the picture itself if there is no preprocessor. */
export interface Steered {
  readonly graph: Graph;
  readonly added: readonly NodeId[];
  readonly hint: NodeId;
  readonly preview: NodeId;
  readonly loader: NodeId;
  readonly apply: NodeId;
  /** The ControlNet that was chosen; null: the server has none. */
  readonly model: { readonly file: string; readonly fits: boolean } | null;
}

/**
 * Lets a picture steer samplers, as `steerable` found them. preprocessor: what makes the hint of
 * it; null: the picture is one already. sizeOf: of a node, so that what is added covers none. A
 * picture that nothing else reads is laid out with it.
 */
export function steer(
  graph: Graph,
  picture: Source,
  preprocessor: NodeDef | null,
  samplers: readonly NodeId[],
  catalogue: Catalogue,
  sizeOf: (node: GraphNode) => Size,
): Steered | null {
  const [loading, applying, viewing] = [loaderOf(catalogue), catalogue.get(APPLY), catalogue.get(VIEWER)];
  const { positive, negative } = graph.nodes.get(samplers[0] ?? "")?.links ?? {};
  if (!loading || !applying || !viewing || !positive || !negative) return null;
  const added: NodeId[] = [];
  let result = graph;
  const put = (def: NodeDef, links: Readonly<Record<string, Source>>, values: JsonObject = {}): NodeId => {
    const made = addNode(result, def, { x: 0, y: 0 });
    result = Object.entries(values).reduce((each, [name, value]) => setValue(each, made.id, name, value), made.graph);
    for (const [name, source] of Object.entries(links)) result = connect(result, source, { node: made.id, input: name });
    added.push(made.id);
    return made.id;
  };

  let hint = picture;
  if (preprocessor) {
    const input = preprocessor.inputs.find(({ type, widget }) => type === "IMAGE" && widget === null);
    const made = put(preprocessor, input ? { [input.name]: picture } : {}, VALUES[preprocessor.type]);
    hint = { node: made, output: preprocessor.outputs.find(({ type }) => type === "IMAGE")?.key ?? "" };
  }
  const port = loading.inputs.find(({ widget }) => widget?.kind === "choice");
  const files = port?.widget?.kind === "choice" ? port.widget.options.filter((each) => typeof each === "string") : [];
  const words = preprocessor ? `${preprocessor.type} ${preprocessor.title} ${preprocessor.category}` : "";
  const model = fittingModel(files, words);
  const preview = put(viewing, { images: hint });
  const loader = put(loading, {}, port && model ? { [port.name]: model.file } : {});
  const control = { node: loader, output: loading.outputs[0]?.key ?? "" };
  const apply = put(applying, { positive, negative, control_net: control, image: hint });
  for (const id of samplers) {
    for (const side of ["positive", "negative"]) {
      result = connect(result, { node: apply, output: side }, { node: id, input: side });
    }
  }
  const laid = placed(result, movable(graph, picture.node) ? [picture.node, ...added] : added, samplers, sizeOf);
  return { graph: laid, added, hint: hint.node, preview, loader, apply, model };
}

/** Whether a picture may be laid out with what it feeds: nothing else needs it where it is. */
function movable(graph: Graph, id: NodeId): boolean {
  const node = graph.nodes.get(id);
  return node !== undefined && !node.pinned && !Object.keys(node.links).length && !cablesFrom(graph, id).length;
}

/** The graph with some nodes laid out before the samplers, where nothing else is. */
function placed(
  graph: Graph,
  ids: readonly NodeId[],
  samplers: readonly NodeId[],
  sizeOf: (node: GraphNode) => Size,
): Graph {
  const boxes = new Map([...graph.nodes.values()].map((node) => [node.id, { ...node.position, ...boxOf(sizeOf(node)) }]));
  const size = (id: NodeId): Size => boxes.get(id) ?? { width: 0, height: 0 };
  const inner = arrange(graph, size, { ids });
  const width = Math.max(0, ...[...inner].map(([id, { x }]) => x + size(id).width));
  const height = Math.max(0, ...[...inner].map(([id, { y }]) => y + size(id).height));
  const taken = [...boxes].flatMap(([id, box]) => (inner.has(id) ? [] : [box]));
  const after = samplers.flatMap((id) => boxes.get(id) ?? []);
  const x = Math.min(...after.map((box) => box.x)) - GAP - width;
  const y = Math.min(...after.map((box) => box.y));
  const at = freeBelow({ x, y, width, height }, taken);
  return placeNodes(graph, new Map([...inner].map(([id, place]) => [id, { x: at.x + place.x, y: at.y + place.y }])));
}

function boxOf({ width, height }: Size): Size {
  return { width, height };
}

/** The first place for a box, from where it is downwards, at which it lies over nothing. */
function freeBelow(box: Bounds, taken: readonly Bounds[]): Point {
  let { y } = box;
  for (;;) {
    const hit = taken.filter(
      (each) =>
        each.x < box.x + box.width + GAP / 2 && box.x < each.x + each.width + GAP / 2 &&
        each.y < y + box.height + GAP / 2 && y < each.y + each.height + GAP / 2,
    );
    if (!hit.length) return { x: box.x, y };
    y = Math.max(...hit.map((each) => each.y + each.height)) + GAP / 2;
  }
}
