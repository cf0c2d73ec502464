// Weights in prompts: Ctrl+Up on a word or selection makes "(word:1.1)" of it, again 1.2, and so on;
// at 1 the parentheses go.

/** A text with a selection in it, from `start` to before `end`. */
export interface Selected {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

const WEIGHTED = /^\(([\s\S]*):([+-]?(?:\d+\.?\d*|\.\d+))\)$/;
const BORDER = /[\s,.;:!?()[\]{}<>|\\/"]/;

/** The text with the weight of the selection, or of the word at the cursor, changed by `step`. */
export function reweigh(given: Selected, step: number): Selected {
  const { text } = given;
  const range = enclosing(given) ?? trimmed(given) ?? wordAt(given);
  if (!range) return given;
  const chosen = text.slice(range.start, range.end);
  const match = WEIGHTED.exec(chosen);
  const inner = match?.[1] ?? chosen;
  const weight = Math.round(((match ? Number(match[2]) : 1) + step) * 100) / 100;
  if (weight < 0) return given;
  const made = weight === 1 ? inner : `(${inner}:${weight})`;
  const start = range.start + (weight === 1 ? 0 : 1);
  return {
    text: text.slice(0, range.start) + made + text.slice(range.end),
    start,
    end: start + inner.length,
  };
}

interface Range {
  readonly start: number;
  readonly end: number;
}

/** The weighted parentheses around the selection, the innermost. */
function enclosing({ text, start, end }: Selected): Range | null {
  const open = unmatched(text, start - 1, -1) ?? (text[start] === "(" && !escaped(text, start) ? start : null);
  if (open === null) return null;
  const close = unmatched(text, open + 1, 1);
  if (close === null || close + 1 < end) return null;
  return WEIGHTED.test(text.slice(open, close + 1)) ? { start: open, end: close + 1 } : null;
}

/** The place of the parenthesis that is open there, to the left (-1) or to the right (1). */
function unmatched(text: string, from: number, step: 1 | -1): number | null {
  const [outward, inward] = step > 0 ? [")", "("] : ["(", ")"];
  let depth = 0;
  for (let at = from; at >= 0 && at < text.length; at += step) {
    if (escaped(text, at)) continue;
    if (text[at] === inward) depth += 1;
    else if (text[at] === outward && depth-- === 0) return at;
  }
  return null;
}

function escaped(text: string, at: number): boolean {
  let slashes = 0;
  while (text[at - 1 - slashes] === "\\") slashes += 1;
  return slashes % 2 === 1;
}

/** The selection without the spaces at its ends; null if there is nothing else. */
function trimmed({ text, start, end }: Selected): Range | null {
  const chosen = text.slice(start, end);
  const inner = chosen.trim();
  if (!inner) return null;
  const from = start + chosen.indexOf(inner);
  return { start: from, end: from + inner.length };
}

function wordAt({ text, start }: Selected): Range | null {
  let [from, to] = [start, start];
  while (from > 0 && !BORDER.test(text[from - 1] ?? "")) from -= 1;
  while (to < text.length && !BORDER.test(text[to] ?? "")) to += 1;
  return from < to ? { start: from, end: to } : null;
}
