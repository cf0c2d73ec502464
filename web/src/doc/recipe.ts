// What a picture was made with: its seeds, its texts and how it was sampled, read from the graph that
// made it. What feeds the picture is followed backwards, so that other branches do not count.

import type { Catalogue, InputPort } from "./catalogue";
import type { Graph, GraphNode, NodeId } from "./graph";
import { NOTES, PRIMITIVE, REROUTE } from "./graph";
import type { Json } from "./json";
import { passedThrough } from "./sources";
import { portsOf } from "./ports";
import { isSeed, valueOf } from "./widgets";

/** A value and the widget that holds it. */
export interface Held<T extends Json = Json> {
  readonly node: NodeId;
  readonly input: string;
  readonly value: T;
}

export interface Setting {
  readonly name: string;
  readonly value: Json;
}

/** Of each list, what is nearest to the picture comes first. */
export interface Recipe {
  readonly seeds: readonly Held<number | bigint>[];
  readonly positive: readonly Held<string>[];
  readonly negative: readonly Held<string>[];
  readonly settings: readonly Setting[];
}

export const NO_RECIPE: Recipe = { seeds: [], positive: [], negative: [], settings: [] };

const TEXT = "STRING";
const CONDITIONS = "CONDITIONING";
/** Outputs of what draws: the seeds of other nodes, such as a new network's, are theirs alone. */
const DRAWN: ReadonlySet<string> = new Set(["LATENT", "NOISE"]);
const SETTINGS = [
  "steps", "cfg", "sampler_name", "scheduler", "denoise", "ckpt_name", "unet_name", "lora_name", "width", "height",
] as const;

type Role = "positive" | "negative";

interface Visit {
  readonly node: GraphNode;
  readonly role: Role | null;
}

/** What one input of a node comes from: a widget's value, or a node. */
type Feed = { readonly held: Held } | { readonly node: GraphNode } | null;

/** What the pictures of a node were made with; without a node, those of all nodes that save or show. */
export function recipeOf(graph: Graph, catalogue: Catalogue, from: NodeId | null = null): Recipe {
  const seeds: { held: Held<number | bigint>; draws: boolean }[] = [];
  const texts: Record<Role, Held<string>[]> = { positive: [], negative: [] };
  const settings = new Map<string, Json>();
  for (const { node, role } of visits(graph, catalogue, from)) {
    const { inputs, outputs } = portsOf(node, catalogue);
    for (const port of inputs) {
      if (port.widget === null) continue;
      const feed = feedOf(graph, node, port, catalogue);
      if (!feed || !("held" in feed)) continue;
      const { held } = feed;
      if (isSeed(port.widget)) {
        const draws = outputs.some(({ type }) => DRAWN.has(type));
        if (isNumber(held)) seeds.push({ held, draws });
      } else if (role !== null) {
        if (isText(held) && port.type === TEXT) texts[role].push(held);
      } else if (!settings.has(port.name)) settings.set(port.name, held.value);
    }
  }
  const drawing = seeds.filter(({ draws }) => draws);
  const positive = once(texts.positive);
  const known = new Set(positive.map(place));
  return {
    seeds: once((drawing.length ? drawing : seeds).map(({ held }) => held)),
    positive,
    negative: once(texts.negative).filter((held) => !known.has(place(held))),
    settings: SETTINGS.flatMap((name) => {
      const value = settings.get(name);
      return value === undefined ? [] : [{ name, value }];
    }),
  };
}

/** Backwards from where the pictures are, the nearest nodes first; with the part that a text plays:
 * once on the way to a text, only conditions and texts are followed. */
function visits(graph: Graph, catalogue: Catalogue, from: NodeId | null): Visit[] {
  const todo: Visit[] = starts(graph, catalogue, from).map((node) => ({ node, role: null }));
  const seen = new Set(todo.map(visitKey));
  for (let at = 0; at < todo.length; at += 1) {
    const { node, role } = todo[at] ?? { node: null, role: null };
    if (node === null) break;
    for (const port of portsOf(node, catalogue).inputs) {
      const next = roleAt(port, role);
      const feed = next === undefined ? null : feedOf(graph, node, port, catalogue);
      if (next === undefined || !feed || !("node" in feed)) continue;
      const visit = { node: feed.node, role: next };
      if (seen.has(visitKey(visit))) continue;
      seen.add(visitKey(visit));
      todo.push(visit);
    }
  }
  return todo;
}

function visitKey({ node, role }: Visit): string {
  return `${role ?? ""} ${node.id}`;
}

/** The part of what comes in at an input; undefined: it is not followed. */
function roleAt({ name, type }: InputPort, role: Role | null): Role | null | undefined {
  const own = /^negative/i.test(name) ? "negative" : /^positive/i.test(name) ? "positive" : null;
  if (type === CONDITIONS) {
    if (role === null) return own ?? "positive";
    return own === null || own === role ? role : undefined;
  }
  return role === null || type === TEXT ? role : undefined;
}

function starts(graph: Graph, catalogue: Catalogue, from: NodeId | null): GraphNode[] {
  const named = from === null ? undefined : graph.nodes.get(from);
  if (named) return [named];
  const live = [...graph.nodes.values()].filter(({ mode, type }) => mode === "normal" && !NOTES.has(type));
  const ends = live.filter(({ type }) => catalogue.get(type)?.output);
  return ends.length ? ends : live;
}

function feedOf(graph: Graph, node: GraphNode, port: InputPort, catalogue: Catalogue): Feed {
  let at = node.links[port.name];
  if (!at) return { held: { node: node.id, input: port.name, value: valueOf(node, port) } };
  for (const passed = new Set<string>(); at && !passed.has(at.node); ) {
    passed.add(at.node);
    const source = graph.nodes.get(at.node);
    if (!source || source.mode === "muted" || NOTES.has(source.type)) return null;
    if (source.type === PRIMITIVE) {
      return { held: { node: source.id, input: "value", value: source.values["value"] ?? null } };
    }
    if (source.mode === "bypassed") at = passedThrough(source, at.output, catalogue);
    else if (source.type === REROUTE) at = source.links[""];
    else return { node: source };
  }
  return null;
}

function isNumber(held: Held): held is Held<number | bigint> {
  return typeof held.value === "number" || typeof held.value === "bigint";
}

function isText(held: Held): held is Held<string> {
  return typeof held.value === "string";
}

function place({ node, input }: Held): string {
  return `${node} ${input}`;
}

function once<T extends Held>(list: readonly T[]): T[] {
  const found = new Map(list.map((held) => [place(held), held]));
  return [...new Set(list.map(place))].flatMap((key) => found.get(key) ?? []);
}

/** The words of the prompt on one line, for lists; "" where there are none. */
export function wordsOf({ positive }: Recipe): string {
  return positive
    .map(({ value }) => value.replace(/\s+/g, " ").trim())
    .filter((text) => text)
    .join(" · ");
}

/** Whether all words stand in the texts of a recipe, in any case and order. */
export function hasWords({ positive, negative }: Recipe, query: string): boolean {
  const texts = [...positive, ...negative].map(({ value }) => value.toLowerCase()).join("\n");
  return query.toLowerCase().split(/\s+/).every((word) => texts.includes(word));
}

/** What is not the same in two recipes: by name, the values of the one and of the other. */
export function differences(a: Recipe, b: Recipe): { readonly name: string; readonly a: string; readonly b: string }[] {
  const [one, other] = [entries(a), entries(b)];
  const names = [...new Set([...one.keys(), ...other.keys()])];
  return names.flatMap((name) => {
    const [left = "", right = ""] = [one.get(name), other.get(name)];
    return left === right ? [] : [{ name, a: left, b: right }];
  });
}

function entries(recipe: Recipe): Map<string, string> {
  const seeds = recipe.seeds.map(({ value }) => String(value)).join(", ");
  const negative = recipe.negative.map(({ value }) => value).join(" · ");
  const all: [string, string][] = [["prompt", wordsOf(recipe)], ["negative", negative], ["seed", seeds]];
  for (const { name, value } of recipe.settings) all.push([name, String(value)]);
  return new Map(all.filter(([, value]) => value));
}
