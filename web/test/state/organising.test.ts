import { expect, test, vi } from "vitest";

import { setLook } from "../../src/doc/edit";
import { PICTURE, layoutNode } from "../../src/doc/layout";
import { openData } from "../../src/doc/open";
import { duplicateSelected, toggleSelectedMode } from "../../src/state/actions";
import { chosenNodes } from "../../src/state/chosen";
import { KEYS_SETTING, changeKeys, loadKeymap, resetKeys } from "../../src/state/keymap";
import {
  alignSelected, bendSelected, distributeSelected, fitGroups, goTo, groupSelected, growSelection, moveSelected, paint,
  removeWithContents, renameSelected, walk,
} from "../../src/state/organising";
import type { CanvasControl } from "../../src/state/editor";
import { announce, makeUiStore, readKeymap, select } from "../../src/state/ui";
import { CATALOGUE, nodeOf, workflowOf } from "../support";
import { editorWith } from "./editing";

const graph = openData(workflowOf("text_to_image"), CATALOGUE).graph;

function grouped() {
  const editor = editorWith(graph);
  select(editor.ui, ["6", "7"]);
  groupSelected(editor);
  return editor;
}

test("a group is made around its nodes with their pictures, selected, and its title open", () => {
  const editor = grouped();
  const group = editor.graph.groups.get("1");
  const save = nodeOf(editor.graph, "7");
  const bare = layoutNode(save, CATALOGUE).height;

  expect(group && group.bounds.y + group.bounds.height).toBeGreaterThan(save.position.y + bare + PICTURE);
  expect([...editor.ui.getState().groups]).toEqual(["1"]);
  expect(editor.ui.getState().renaming).toEqual({ kind: "group", id: "1" });
  expect([...chosenNodes(editor)]).toEqual(["6", "7"]);
});

test("what is done with a group is done with all in it", () => {
  const editor = grouped();
  toggleSelectedMode(editor, "muted");
  expect([nodeOf(editor.graph, "6").mode, nodeOf(editor.graph, "5").mode]).toEqual(["muted", "normal"]);

  const before = nodeOf(editor.graph, "6").position;
  moveSelected(editor, { x: 5, y: 0 });
  moveSelected(editor, { x: 5, y: 0 });
  expect(nodeOf(editor.graph, "6").position).toEqual({ x: before.x + 10, y: before.y });
  editor.document.undo();
  expect(nodeOf(editor.graph, "6").position).toEqual(before);

  duplicateSelected(editor);
  expect([editor.graph.nodes.size, editor.graph.groups.size]).toEqual([9, 2]);
  editor.document.undo();
  select(editor.ui, [], ["1"]);
  removeWithContents(editor);
  expect([editor.graph.nodes.has("6"), editor.graph.groups.has("1"), editor.graph.nodes.size]).toEqual([false, false, 5]);
});

test("a node that is selected with its group moves once", () => {
  const editor = grouped();
  select(editor.ui, ["6"], ["1"]);
  const { x } = nodeOf(editor.graph, "6").position;

  moveSelected(editor, { x: 5, y: 0 });

  expect(nodeOf(editor.graph, "6").position.x).toBe(x + 5);
});

test("a frame is made to fit what is in it", () => {
  const editor = grouped();
  const fitted = editor.graph.groups.get("1")?.bounds;
  select(editor.ui, [], ["1"]);
  editor.document.apply("larger", (now) => {
    const group = now.groups.get("1");
    if (!group) return now;
    return { ...now, groups: new Map([["1", { ...group, bounds: { ...group.bounds, width: 2000, height: 2000 } }]]) };
  });

  fitGroups(editor);

  expect(editor.graph.groups.get("1")?.bounds).toEqual(fitted);
});

test("selected nodes are lined up and spaced in one step each, and pinned ones stay", () => {
  const editor = editorWith(setLook(graph, ["4"], { pinned: true }));
  select(editor.ui, ["2", "3", "4", "5"]);
  const pinned = nodeOf(editor.graph, "4").position;

  alignSelected(editor, "top");
  distributeSelected(editor, "x");

  const tops = ["2", "3", "5"].map((id) => nodeOf(editor.graph, id).position.y);
  expect(new Set(tops).size).toBe(1);
  expect(nodeOf(editor.graph, "4").position).toBe(pinned);
  expect(editor.document.length).toBe(2);
});

test("nodes and groups are coloured together", () => {
  const editor = grouped();
  select(editor.ui, ["1"], ["1"]);

  paint(editor, "#4fa35a");

  expect([nodeOf(editor.graph, "1").color, editor.graph.groups.get("1")?.color]).toEqual(["#4fa35a", "#4fa35a"]);
  expect(nodeOf(editor.graph, "6").color).toBe("");
});

test("selected cables are bent in their middles, in one step", () => {
  const editor = editorWith(graph);
  editor.ui.setState({ cables: new Set(["5:model", "7:images"]) });

  bendSelected(editor);

  expect(editor.graph.nodes.size).toBe(graph.nodes.size + 2);
  expect(editor.document.length).toBe(1);
  editor.document.undo();
  expect(editor.graph).toBe(graph);
});

test("a walk selects the next node, shows it and says which it is", () => {
  const editor = editorWith(graph);
  const shown = vi.fn<(id: string) => void>();
  editor.attach({ show: shown } as Partial<CanvasControl> as CanvasControl);

  walk(editor, "on");
  expect([...editor.ui.getState().nodes]).toEqual(["1"]);
  goTo(editor, "7");
  expect(shown).toHaveBeenLastCalledWith("7");
  expect(editor.ui.getState().heard).toBe("Save");
  walk(editor, "on");
  expect(editor.ui.getState().heard).toBe("No node that way");
  select(editor.ui, ["7"]);
  growSelection(editor);
  expect(editor.ui.getState().nodes.size).toBe(graph.nodes.size);
});

test("what is renamed is the node that is selected, or else the group", () => {
  const editor = grouped();
  select(editor.ui, [], ["1"]);
  renameSelected(editor);
  expect(editor.ui.getState().renaming).toEqual({ kind: "group", id: "1" });
  select(editor.ui, ["6"], ["1"]);
  renameSelected(editor);
  expect(editor.ui.getState().renaming).toEqual({ kind: "node", id: "6" });
});

test("what is said twice is heard twice", () => {
  const { ui } = editorWith(graph);
  announce(ui, "Save");
  const first = ui.getState().heard;
  announce(ui, "Save");
  expect(ui.getState().heard).not.toBe(first);
});

test("changed keys are kept in the browser and on the server, and can be reset", async () => {
  const sent: unknown[] = [];
  const editor = editorWith(graph, async (_url, options) => {
    if (options?.method === "POST") sent.push(JSON.parse(String(options.body)));
    return new Response(JSON.stringify({ [KEYS_SETTING]: { mute: ["X"], bad: 5 } }));
  });

  await loadKeymap(editor);
  expect(editor.ui.getState().keymap).toEqual({ mute: ["X"] });
  changeKeys(editor, { mute: null, bypass: ["Y", "Z"] });
  expect(editor.ui.getState().keymap).toEqual({ bypass: ["Y", "Z"] });
  resetKeys(editor);
  expect(editor.ui.getState().keymap).toEqual({});
  expect(sent).toEqual([{ [KEYS_SETTING]: { bypass: ["Y", "Z"] } }, { [KEYS_SETTING]: {} }]);
});

test("without a server the keys of this browser count", async () => {
  const values = new Map<string, string>();
  const storage = { getItem: (name: string) => values.get(name) ?? null, setItem: (name: string, value: string) => void values.set(name, value) };
  const editor = editorWith(graph);
  changeKeys({ ...editor, ui: makeUiStore(storage), api: editor.api }, { mute: ["X"] });
  await loadKeymap({ api: editor.api, ui: editor.ui });

  expect(makeUiStore(storage).getState().keymap).toEqual({ mute: ["X"] });
  expect(readKeymap(["a"])).toEqual({});
});
