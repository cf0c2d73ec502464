// What a button says when it is pointed at: what it does, and the key that does the same.

import { useUi } from "../state/context";
import { commandOf, keysOf } from "./commands";
import type { CommandId } from "./commands";
import { keyWords } from "./keynames";

/** Adds the first key that a command has now. */
export function useHint(command: CommandId): (words: string) => string {
  const [key] = keysOf(
    commandOf(command),
    useUi((state) => state.keymap),
  );
  return (words) => (key === undefined ? words : `${words} (${keyWords(key)})`);
}
