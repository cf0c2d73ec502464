// Names that are near to one that is not there: of models and pictures that were renamed or lie in
// another folder, of node types that another program spells otherwise.

import type { Catalogue, NodeDef } from "./catalogue";

const ENOUGH = 0.5; // of 1, to be near at all

/** The names nearest to `name`, the best first. */
export function nearNames(name: string, names: readonly string[], limit = 3): string[] {
  return names
    .map((each) => ({ each, score: likeness(name, each) }))
    .filter(({ score }) => score >= ENOUGH)
    .toSorted((a, b) => b.score - a.score)
    .slice(0, limit)
    .map(({ each }) => each);
}

/** The node types nearest to one that the server does not have, by their types, titles and aliases. */
export function nearTypes(type: string, catalogue: Catalogue, limit = 3): NodeDef[] {
  return [...catalogue.values()]
    .filter(({ category }) => category !== "canvas")
    .map((def) => ({ def, score: Math.max(...[def.type, def.title, ...def.aliases].map((name) => likeness(type, name))) }))
    .filter(({ score }) => score >= ENOUGH)
    .toSorted((a, b) => b.score - a.score)
    .slice(0, limit)
    .map(({ def }) => def);
}

/** How alike two names are, from 0 to 1: the pairs of letters that both have, without folders, endings
 * and whatever is no letter or digit. */
export function likeness(a: string, b: string): number {
  const [first, second] = [plain(a), plain(b)];
  if (!first || !second) return 0;
  if (first === second) return 1;
  const pairs = pairsOf(first);
  const total = first.length + second.length - 2;
  if (total < 2) return 0;
  let shared = 0;
  for (const [pair, count] of pairsOf(second)) shared += Math.min(count, pairs.get(pair) ?? 0);
  return (2 * shared) / total;
}

function plain(name: string): string {
  const file = name.slice(name.lastIndexOf("/") + 1).replace(/\.(safetensors|ckpt|pth?|bin|onnx|png|jpe?g|webp)$/i, "");
  return file.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
}

function pairsOf(text: string): Map<string, number> {
  const found = new Map<string, number>();
  for (let at = 0; at + 1 < text.length; at += 1) {
    const pair = text.slice(at, at + 2);
    found.set(pair, (found.get(pair) ?? 0) + 1);
  }
  return found;
}
