import { describe, expect, test } from "vitest";

import { openData } from "../../src/doc/open";
import {
  add, cableId, cableOf, copySelected, duplicateSelected, keepLastSeed, keepSeed, pasteText, removeSelected,
  setSeed, toggleSelectedLook, toggleSelectedMode,
} from "../../src/state/actions";
import { select } from "../../src/state/ui";
import { CATALOGUE, defOf, nodeOf, workflowOf } from "../support";
import { editorWith } from "./editing";

const graph = openData(workflowOf("text_to_image"), CATALOGUE).graph;

test("a node that is added is selected, connected with the cable let go, and one step", () => {
  const editor = editorWith(graph);

  const id = add(editor, defOf("VAEDecode"), { x: 1, y: 2 }, { from: { node: "5", output: "LATENT" } });

  expect(nodeOf(editor.graph, id).links).toEqual({ samples: { node: "5", output: "LATENT" } });
  expect([...editor.ui.getState().nodes]).toEqual([id]);
  expect(editor.ui.getState().recent[0]).toBe("VAEDecode");
  expect(editor.document.length).toBe(1);
  editor.document.undo();
  expect(editor.graph).toBe(graph);
  expect(editor.ui.getState().nodes.size).toBe(0);
});

test("what is selected is deleted with its cables, in one step", () => {
  const editor = editorWith(graph);
  select(editor.ui, ["6", "7"]);
  editor.ui.setState({ cables: new Set(["5:model"]) });

  removeSelected(editor);

  expect([...editor.graph.nodes.keys()]).toEqual(["1", "2", "3", "4", "5"]);
  expect(nodeOf(editor.graph, "5").links["model"]).toBeUndefined();
  expect(editor.document.length).toBe(1);
});

test("what is copied can be pasted, with its own cables or with those from outside", () => {
  const editor = editorWith(graph);
  select(editor.ui, ["5", "6"]);
  const text = copySelected(editor) ?? "";

  expect(pasteText(editor, text)).toBe(true);
  expect(pasteText(editor, text, true)).toBe(true);
  expect(pasteText(editor, "no graph")).toBe(false);

  const [alone, wired] = [nodeOf(editor.graph, "8"), nodeOf(editor.graph, "10")];
  expect(Object.keys(alone.links)).toEqual([]);
  expect(wired.links["model"]).toEqual({ node: "1", output: "MODEL" });
  expect(editor.document.length).toBe(2);
});

test("looks are toggled for all that is selected", () => {
  const editor = editorWith(graph);
  select(editor.ui, ["2", "3"]);

  toggleSelectedMode(editor, "muted");
  toggleSelectedLook(editor, "collapsed");
  duplicateSelected(editor);

  expect(nodeOf(editor.graph, "8")).toMatchObject({ mode: "muted", collapsed: true });
  toggleSelectedLook(editor, "collapsed");
  expect(nodeOf(editor.graph, "2").collapsed).toBe(false);
});

test("a cable's name tells its end", () => {
  const end = { node: "5", input: "a:b" };
  expect(cableOf(cableId(end))).toEqual(end);
});

describe("a run", () => {
  const accepting = async () => new Response(JSON.stringify({ prompt_id: "x", number: 1, node_errors: {} }));

  test("uses the seeds that one sees, and the last one can be kept", async () => {
    const editor = editorWith(graph, accepting);
    setSeed(editor, "5", "seed", "increment");

    await editor.run();
    await editor.run();
    expect(nodeOf(editor.graph, "5").values["seed"]).toBe(9);
    expect(editor.current()).not.toBeNull();

    editor.document.undo();
    keepLastSeed(editor, "5", "seed");
    const { values, seeds } = nodeOf(editor.graph, "5");
    expect([values["seed"], seeds]).toEqual([9, {}]);
  });

  test("remembers the seeds it used, also fixed ones, and any of them can be kept", async () => {
    const editor = editorWith(graph, accepting);
    const first = nodeOf(editor.graph, "5").values["seed"];
    await editor.run();
    setSeed(editor, "5", "seed", "increment");
    await editor.run();
    await editor.run();

    expect(editor.seedHistory("5", "seed")).toEqual([9, 8, first]);
    keepSeed(editor, "5", "seed", 8);

    expect(nodeOf(editor.graph, "5")).toMatchObject({ values: { seed: 8 }, seeds: {} });
    await editor.run();
    expect(editor.seedHistory("5", "seed")).toEqual([8, 9, first]);
    expect(editor.seedHistory("5", "other")).toEqual([]);
  });

  test("that is refused shows what is wrong at its node, and the list of it", async () => {
    const error = { type: "bad", message: "It does not fit", details: "steps", extra_info: { input_name: "steps" } };
    const body = { error: { type: "invalid", message: "Refused", details: "" }, node_errors: { "5": { errors: [error] } } };
    const editor = editorWith(graph, async () => new Response(JSON.stringify(body), { status: 400 }));

    await editor.run();

    expect(editor.runtime.node("5").faults[0]).toMatchObject({ input: "steps", message: "It does not fit" });
    expect(editor.ui.getState()).toMatchObject({ panel: "errors", sayings: [] });
    expect(editor.current()).toBeNull();
  });
});

test("a run that the server does not answer is said, and none is waited for", async () => {
  const editor = editorWith(graph);

  await editor.run();

  expect(editor.ui.getState().sayings).toMatchObject([{ text: "The server does not answer", problem: true }]);
  expect(editor.current()).toBeNull();
});

test("opening a file leaves the other one open if it has changed, and what is no graph changes nothing", async () => {
  const editor = editorWith(graph);
  select(editor.ui, ["7"]);
  removeSelected(editor);
  const changed = editor.graph;

  expect(await editor.open(new TextEncoder().encode('{"1": {"class_type": "VAEDecode", "inputs": {}}}'), "new")).toBe(true);
  expect([...editor.graph.nodes.keys()]).toEqual(["1"]);
  expect(await editor.open(new TextEncoder().encode("nothing"), "bad")).toBe(false);

  expect(editor.ui.getState()).toMatchObject({ name: "new" });
  expect(editor.document.canUndo).toBe(false);
  editor.tabs.step(-1);
  expect(editor.graph).toBe(changed);
  editor.document.undo();
  expect(editor.graph).toBe(graph);
});
