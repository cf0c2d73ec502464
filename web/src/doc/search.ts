// Searching node types by what was typed: letters in order, best where words begin; every word of
// the query has to be found in the title, the type, an alias or the category.

import type { Catalogue, NodeDef } from "./catalogue";

/** A hit. places: which letters of the title were meant, to be shown. */
export interface Hit {
  readonly def: NodeDef;
  readonly score: number;
  readonly places: readonly number[];
}

/** recent: types that were used, the last one first. limit: how many hits at most. */
export interface SearchOptions {
  readonly recent?: readonly string[];
  readonly limit?: number;
}

const WEIGHTS = { title: 1, type: 0.9, alias: 0.85, category: 0.5, module: 0.3 } as const;

/** The node types that fit, best first; for an empty query the recent ones, then all by title. */
export function searchNodes(
  defs: Catalogue | Iterable<NodeDef>,
  query: string,
  { recent = [], limit = 50 }: SearchOptions = {},
): Hit[] {
  const all = [...("values" in defs ? (defs as Catalogue).values() : defs)];
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const hits = all.flatMap((def) => {
    const hit = scoreOf(def, words);
    return hit ? [{ ...hit, score: hit.score + bonus(def, recent, words) }] : [];
  });
  return hits.toSorted((a, b) => b.score - a.score || compare(a.def, b.def)).slice(0, limit);
}

function compare(a: NodeDef, b: NodeDef): number {
  return a.title.localeCompare(b.title, "en") || (a.type < b.type ? -1 : 1);
}

function bonus(def: NodeDef, recent: readonly string[], words: readonly string[]): number {
  const place = recent.indexOf(def.type);
  const fresh = place < 0 ? 0 : (recent.length - place) / recent.length;
  const used = words.length ? 0.15 * fresh : fresh;
  return used - (def.deprecated ? 0.5 : 0) - (def.category === "canvas" ? 0.05 : 0);
}

function scoreOf(def: NodeDef, words: readonly string[]): Hit | null {
  let score = 0;
  const places = new Set<number>();
  for (const word of words) {
    const title = fuzzy(def.title, word);
    const best = Math.max(
      title ? title.score * WEIGHTS.title : 0,
      scored(def.type, word) * WEIGHTS.type,
      scored(def.category, word) * WEIGHTS.category,
      scored(def.module, word) * WEIGHTS.module,
      ...def.aliases.map((alias) => scored(alias, word) * WEIGHTS.alias),
    );
    if (best === 0) return null;
    score += best;
    for (const place of title?.places ?? []) places.add(place);
  }
  return {
    def,
    score: words.length ? score / words.length : 0,
    places: [...places].toSorted((a, b) => a - b),
  };
}

function scored(text: string, word: string): number {
  return fuzzy(text, word)?.score ?? 0;
}

/** How well a word (in lower case) fits a text, from 0 to 1, and where its letters are in it. */
export function fuzzy(text: string, word: string): { score: number; places: number[] } | null {
  const lower = text.toLowerCase();
  const at = bestOccurrence(text, lower, word);
  if (at !== null) {
    const whole = lower === word ? 0.1 : 0;
    const begins = at === 0 ? 0.1 : startsWord(text, at) ? 0.05 : -0.15;
    const places = Array.from({ length: word.length }, (_, index) => at + index);
    return { score: 0.75 + whole + begins + 0.05 * (word.length / text.length), places };
  }
  const places = scattered(text, lower, word);
  if (!places) return null;
  const starts = places.filter((place) => startsWord(text, place)).length / word.length;
  const span = word.length / ((places.at(-1) ?? 0) - (places[0] ?? 0) + 1);
  const score = 0.35 * starts + 0.2 * span;
  return score < 0.2 ? null : { score, places };
}

function bestOccurrence(text: string, lower: string, word: string): number | null {
  let found: number | null = null;
  for (let at = lower.indexOf(word); at >= 0; at = lower.indexOf(word, at + 1)) {
    if (startsWord(text, at)) return at;
    found ??= at;
  }
  return found;
}

/** The letters in order, at beginnings of words where that is possible. */
function scattered(text: string, lower: string, word: string): number[] | null {
  const places: number[] = [];
  let from = 0;
  for (const [index, letter] of [...word].entries()) {
    let at = lower.indexOf(letter, from);
    if (at < 0) return null;
    const rest = word.slice(index + 1);
    for (let next = at; next >= 0; next = lower.indexOf(letter, next + 1)) {
      if (startsWord(text, next) && follows(lower, rest, next + 1)) {
        at = next;
        break;
      }
    }
    places.push(at);
    from = at + 1;
  }
  return places;
}

function follows(lower: string, letters: string, from: number): boolean {
  let at = from;
  for (const letter of letters) {
    at = lower.indexOf(letter, at) + 1;
    if (at === 0) return false;
  }
  return true;
}

function startsWord(text: string, at: number): boolean {
  if (at === 0) return true;
  const [before = "", here = ""] = [text[at - 1], text[at]];
  if (!/[\p{L}\p{N}]/u.test(before)) return true;
  return /\p{Lu}/u.test(here) && (!/\p{Lu}/u.test(before) || /\p{Ll}/u.test(text[at + 1] ?? ""));
}
