// Keys: how the table of commands writes them, and how they are shown.

import type { Words } from "../i18n/t";
import { t } from "../i18n/t";

/** A key as the table of commands has it: "Ctrl+Shift+Z". */
export function keyOf({ key, ctrlKey, metaKey, altKey, shiftKey, code }: KeyboardEvent): string {
  const letter = altKey && /^Key[A-Z]$/.test(code) ? code.slice(3) : key;
  const name = letter.length === 1 ? letter.toUpperCase() : letter;
  const sign = letter.length === 1 && !/[a-z0-9]/i.test(letter);
  return [
    ...(ctrlKey || metaKey ? ["Ctrl"] : []),
    ...(altKey ? ["Alt"] : []),
    ...(shiftKey && !sign ? ["Shift"] : []),
    name === " " ? "Space" : name,
  ].join("+");
}

/** Whether a key only changes what others mean. */
export function isModifier({ key }: KeyboardEvent): boolean {
  return ["Control", "Shift", "Alt", "AltGraph", "Meta", "CapsLock"].includes(key);
}

const SIGNS: Readonly<Record<string, string>> = {
  ArrowLeft: "←",
  ArrowRight: "→",
  ArrowUp: "↑",
  ArrowDown: "↓",
};
const NAMES: Readonly<Record<string, Words>> = {
  Escape: "key.escape",
  Delete: "key.delete",
  Backspace: "key.backspace",
  ContextMenu: "key.menu",
  Enter: "key.enter",
  Space: "key.space",
};
const APPLE = /Mac|iP(hone|ad)/.test(globalThis.navigator?.platform ?? "");

/** A key as it is shown: "Shift+ArrowLeft" is "Shift+←". */
export function keyWords(key: string): string {
  const parts = key === "+" || key.endsWith("++") ? [...key.slice(0, -1).split("+").filter(Boolean), "+"] : key.split("+");
  const shown = parts.map((part) => {
    const name = NAMES[part];
    if (APPLE && part === "Ctrl") return "⌘";
    return SIGNS[part] ?? (name ? t(name) : part);
  });
  return shown.join("+");
}
