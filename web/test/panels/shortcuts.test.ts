// @vitest-environment happy-dom
import { describe, expect, test } from "vitest";

import en from "../../src/i18n/en.json";
import { COMMANDS, applies, commandOf, holders, keysOf } from "../../src/panels/commands";
import { keyOf, keyWords } from "../../src/panels/keynames";
import { EMPTY } from "../../src/doc/graph";
import { editorWith } from "../state/editing";

test.each([
  [{ key: "z", ctrlKey: true }, "Ctrl+Z"],
  [{ key: "Z", ctrlKey: true, shiftKey: true }, "Ctrl+Shift+Z"],
  [{ key: "z", metaKey: true }, "Ctrl+Z"],
  [{ key: "?", shiftKey: true }, "?"],
  [{ key: "ç", altKey: true, code: "KeyC" }, "Alt+C"],
  [{ key: "Enter", ctrlKey: true, altKey: true }, "Ctrl+Alt+Enter"],
  [{ key: ".", code: "Period" }, "."],
  [{ key: "ArrowLeft", shiftKey: true }, "Shift+ArrowLeft"],
])("%o is %s", (event, name) => {
  expect(keyOf(new KeyboardEvent("keydown", event))).toBe(name);
});

test.each([
  ["Shift+ArrowLeft", "Shift+←"],
  ["Escape", "Esc"],
  ["Ctrl++", "Ctrl++"],
  ["Shift+F10", "Shift+F10"],
])("%s is shown as %s", (key, words) => {
  expect(keyWords(key)).toBe(words);
});

describe("the table of commands", () => {
  test("has words for each of its commands, and a command for all such words", () => {
    const words = Object.keys(en).filter((key) => key.startsWith("cmd."));
    expect(COMMANDS.map(({ id }) => `cmd.${id}`).toSorted()).toEqual(words.toSorted());
  });

  test("gives no key to two commands", () => {
    const all = COMMANDS.flatMap(({ keys }) => keys);
    expect(all.filter((key) => all.indexOf(key) !== all.lastIndexOf(key))).toEqual([]);
  });

  test("has the keys that people know from other canvases", () => {
    const known = {
      run: "Ctrl+Enter", "run.front": "Ctrl+Shift+Enter", cancel: "Ctrl+Alt+Enter", undo: "Ctrl+Z", redo: "Ctrl+Y",
      save: "Ctrl+S", open: "Ctrl+O", "select.all": "Ctrl+A", mute: "Ctrl+M", bypass: "Ctrl+B", collapse: "Alt+C",
      group: "Ctrl+G", fit: ".", pin: "P", queue: "Q", refresh: "R", remove: "Delete", keys: "?", rename: "F2",
    } as const;
    for (const [id, key] of Object.entries(known)) {
      expect(commandOf(id as keyof typeof known).keys).toContain(key);
    }
  });

  test("knows a command by the keys that the user gave it, and by no others", () => {
    const keymap = { mute: ["X"], bypass: [] };
    expect(keysOf(commandOf("mute"), keymap)).toEqual(["X"]);
    expect(holders("X", keymap).map(({ id }) => id)).toEqual(["mute"]);
    expect([holders("Ctrl+M", keymap), holders("Ctrl+B", keymap)]).toEqual([[], []]);
  });

  test("says what has something to act on", () => {
    const editor = editorWith(EMPTY);
    const can = (): boolean[] => (["mute", "group", "group.fit", "bend", "undo"] as const).map((id) => applies(commandOf(id), editor));

    expect(can()).toEqual([false, false, false, false, true]);
    editor.ui.setState({ groups: new Set(["1"]) });
    expect(can()).toEqual([true, false, true, false, true]);
    editor.ui.setState({ groups: new Set(), cables: new Set(["1:x"]) });
    expect(can()).toEqual([true, false, false, true, true]);
  });
});
