// What becomes of seeds when a graph is put into the queue: before it, so that the seed one sees is
// the seed of the picture one sees.

import type { Catalogue, NumberWidget } from "./catalogue";
import { setValue } from "./edit";
import type { Graph, NodeId, SeedMode } from "./graph";
import { exact } from "./json";
import { portsOf } from "./ports";
import { isSeed, valueOf } from "./widgets";

/** A number in [0, 1). */
export type Random = () => number;

const MOST = Number.MAX_SAFE_INTEGER; // of random seeds, which other programs read as floats

/** The seed of the next run. */
export function nextSeed(
  seed: number | bigint,
  mode: SeedMode,
  widget: Pick<NumberWidget, "min" | "max">,
  random: Random = secureRandom,
): number | bigint {
  const low = BigInt(widget.min ?? 0);
  const high = BigInt(widget.max ?? MOST);
  switch (mode) {
    case "fixed":
      return seed;
    case "randomize":
      return randomSeed(widget, random);
    case "increment":
      return exact(BigInt(seed) >= high ? low : BigInt(seed) + 1n);
    case "decrement":
      return exact(BigInt(seed) <= low ? high : BigInt(seed) - 1n);
  }
}

/** A random seed within the range, and below 2^53. */
export function randomSeed(widget: Pick<NumberWidget, "min" | "max">, random: Random = secureRandom): number {
  const low = Math.max(Number(widget.min ?? 0), -MOST);
  const high = Math.min(Number(widget.max ?? MOST), MOST);
  return Math.min(high, low + Math.floor(random() * (high - low + 1)));
}

/** A seed that was set anew. */
export interface Reseeded {
  readonly node: NodeId;
  readonly input: string;
  readonly before: number | bigint;
  readonly after: number | bigint;
}

/**
 * The graph with the seeds for its next run, and which of them changed. Seeds that a cable brings
 * stay, and so do those of muted and bypassed nodes. only: nodes that run; null: all.
 */
export function reseed(
  graph: Graph,
  catalogue: Catalogue,
  random: Random = secureRandom,
  only: ReadonlySet<NodeId> | null = null,
): { readonly graph: Graph; readonly changed: readonly Reseeded[] } {
  let result = graph;
  const changed: Reseeded[] = [];
  for (const node of graph.nodes.values()) {
    if (node.mode !== "normal" || only?.has(node.id) === false) continue;
    for (const port of portsOf(node, catalogue).inputs) {
      const mode = node.seeds[port.name] ?? "fixed";
      if (!isSeed(port.widget) || mode === "fixed" || Object.hasOwn(node.links, port.name)) continue;
      const held = valueOf(node, port);
      const before = typeof held === "number" || typeof held === "bigint" ? held : 0;
      const after = nextSeed(whole(before), mode, port.widget, random);
      if (after === before) continue;
      result = setValue(result, node.id, port.name, after);
      changed.push({ node: node.id, input: port.name, before, after });
    }
  }
  return { graph: result, changed };
}

/** The seeds of the next run, of all nodes that have one of their own, or of some. */
export function seedsOf(
  graph: Graph,
  catalogue: Catalogue,
  only: ReadonlySet<NodeId> | null = null,
): { readonly node: NodeId; readonly input: string; readonly seed: number | bigint }[] {
  return [...graph.nodes.values()].flatMap((node) => {
    if (node.mode !== "normal" || only?.has(node.id) === false) return [];
    return portsOf(node, catalogue).inputs.flatMap((port) => {
      const seed = valueOf(node, port);
      const own = isSeed(port.widget) && !Object.hasOwn(node.links, port.name);
      return own && (typeof seed === "number" || typeof seed === "bigint") ? [{ node: node.id, input: port.name, seed }] : [];
    });
  });
}

const REMEMBERED = 20; // seeds of one input

/** The seeds of the last runs with one more, each once, the newest first. */
export function remembered(seeds: readonly (number | bigint)[], seed: number | bigint): readonly (number | bigint)[] {
  return [seed, ...seeds.filter((each) => each !== seed)].slice(0, REMEMBERED);
}

function whole(seed: number | bigint): number | bigint {
  return typeof seed === "bigint" || Number.isInteger(seed) ? seed : Math.trunc(seed) || 0;
}

/** 53 random bits from the browser's source of them. */
export function secureRandom(): number {
  const [high = 0, low = 0] = crypto.getRandomValues(new Uint32Array(2));
  return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53;
}
