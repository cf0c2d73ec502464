// The keys that the user gave to commands: kept in the browser, and on the server for other browsers.

import { asObject } from "../doc/json";
import type { Editor } from "./editor";
import type { Keymap } from "./ui";
import { readKeymap } from "./ui";

export const KEYS_SETTING = "nodegraph.keys";

/** Takes over what the server keeps, if it keeps anything. */
export async function loadKeymap({ api, ui }: Pick<Editor, "api" | "ui">): Promise<void> {
  try {
    const kept = asObject(await api.settings())[KEYS_SETTING];
    if (kept !== undefined) ui.setState({ keymap: readKeymap(kept) });
  } catch {
    // Then those of this browser count.
  }
}

/** Gives commands other keys; null: the usual ones again. Commands that are not named keep theirs. */
export function changeKeys(editor: Pick<Editor, "api" | "ui">, changes: Readonly<Record<string, readonly string[] | null>>): void {
  const all = { ...editor.ui.getState().keymap, ...changes };
  keepKeymap(
    editor,
    Object.fromEntries(Object.entries(all).flatMap(([id, keys]) => (keys === null ? [] : [[id, keys]]))),
  );
}

/** All keys as usual. */
export function resetKeys(editor: Pick<Editor, "api" | "ui">): void {
  keepKeymap(editor, {});
}

function keepKeymap({ api, ui }: Pick<Editor, "api" | "ui">, keymap: Keymap): void {
  ui.setState({ keymap });
  // Without a server they are still kept in the browser.
  api.changeSettings({ [KEYS_SETTING]: keymap }).catch(() => undefined);
}
