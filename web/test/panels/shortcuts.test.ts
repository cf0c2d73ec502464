// @vitest-environment happy-dom
import { expect, test } from "vitest";

import { KEYS, keyOf } from "../../src/panels/shortcuts";

test.each([
  [{ key: "z", ctrlKey: true }, "Ctrl+Z"],
  [{ key: "Z", ctrlKey: true, shiftKey: true }, "Ctrl+Shift+Z"],
  [{ key: "z", metaKey: true }, "Ctrl+Z"],
  [{ key: "?", shiftKey: true }, "?"],
  [{ key: "ç", altKey: true, code: "KeyC" }, "Alt+C"],
  [{ key: "Enter", ctrlKey: true, altKey: true }, "Ctrl+Alt+Enter"],
  [{ key: ".", code: "Period" }, "."],
])("%o is %s", (event, name) => {
  expect(keyOf(new KeyboardEvent("keydown", event))).toBe(name);
});

test("no two shortcuts have one key", () => {
  const all = KEYS.flatMap(({ keys }) => keys);
  expect(new Set(all).size).toBe(all.length);
});
