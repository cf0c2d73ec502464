// Ctrl+Up and Ctrl+Down in a text: more and less weight for what is selected, or the word at the caret.

import type { KeyboardEvent } from "react";

import type { Selected } from "../doc/weights";
import { reweigh } from "../doc/weights";

const STEP = 0.1;

export type Weighed = Selected;

/** The text with other weights and what is selected in it then; null if the key means something else
 * or changes nothing. */
export function weighedBy(event: KeyboardEvent<HTMLTextAreaElement>, text: string): Weighed | null {
  const by = event.key === "ArrowUp" ? STEP : event.key === "ArrowDown" ? -STEP : 0;
  if (!by || !(event.ctrlKey || event.metaKey)) return null;
  event.preventDefault();
  const { selectionStart: start, selectionEnd: end } = event.currentTarget;
  const made = reweigh({ text, start, end }, by);
  return made.text === text ? null : made;
}
