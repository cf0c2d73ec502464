import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { removeNodes, setValue, placeNodes } from "../../src/doc/edit";
import type { Json } from "../../src/doc/json";
import { asObject, parseJson } from "../../src/doc/json";
import { openData } from "../../src/doc/open";
import { setWidget } from "../../src/state/actions";
import { keepLive, toggleLive } from "../../src/state/live";
import { CATALOGUE, workflowOf } from "../support";
import { editorWith } from "./editing";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** An editor that keeps live previews, and the targets it asked for and jobs it cancelled. */
function page() {
  const asked: Json[] = [];
  const cancelled: string[] = [];
  const editor = editorWith(openData(workflowOf("controlnet"), CATALOGUE).graph, async (url, init) => {
    if (String(url).endsWith("/cancel")) cancelled.push(String(url));
    else if (typeof init?.body === "string") asked.push(asObject(parseJson(init.body))["partial_execution_targets"] ?? null);
    return new Response(JSON.stringify({ prompt_id: "x", number: 1, node_errors: {} }));
  });
  const stop = keepLive(editor);
  const quiet = () => vi.advanceTimersByTimeAsync(1000);
  return { editor, asked, cancelled, stop, quiet };
}

test("a live node runs when it is switched on, and again when what leads to it changes", async () => {
  const { editor, asked, quiet } = page();

  toggleLive(editor, "5");
  await quiet();
  expect(asked).toEqual([["5"]]);

  setWidget(editor, "5", "low_threshold", 0.2);
  await quiet();
  setWidget(editor, "4", "image", "other.png");
  await quiet();
  editor.document.undo();
  await quiet();
  expect(asked).toEqual([["5"], ["5"], ["5"], ["5"]]);
});

test("many changes in a row are one run", async () => {
  const { editor, asked, quiet } = page();
  toggleLive(editor, "5");
  await quiet();

  for (const value of [0.2, 0.21, 0.22, 0.23, 0.24]) {
    setWidget(editor, "5", "low_threshold", value);
    await vi.advanceTimersByTimeAsync(100);
  }
  await quiet();

  expect(asked).toHaveLength(2);
});

test("what does not lead to it runs nothing", async () => {
  const { editor, asked, quiet } = page();
  toggleLive(editor, "5");
  await quiet();

  editor.document.apply("Move", (graph) => placeNodes(graph, new Map([["5", { x: 7, y: 7 }]])));
  setWidget(editor, "9", "steps", 3);
  await quiet();

  expect(asked).toHaveLength(1);
});

test("a run that is out of date is cancelled before the next one", async () => {
  const { editor, asked, cancelled, quiet } = page();
  toggleLive(editor, "5");
  await quiet();

  setWidget(editor, "5", "low_threshold", 0.2);
  await quiet();
  expect(asked).toHaveLength(2);
  expect(cancelled).toHaveLength(1);
});

test("nothing runs by itself before it is switched on, after it is switched off, and at the end", async () => {
  const { editor, asked, stop, quiet } = page();
  setWidget(editor, "5", "low_threshold", 0.2);
  await quiet();
  expect(asked).toEqual([]);

  toggleLive(editor, "5");
  await quiet();
  toggleLive(editor, "5");
  setWidget(editor, "5", "low_threshold", 0.3);
  await quiet();
  expect(asked).toHaveLength(1);
  expect(editor.ui.getState().live.size).toBe(0);

  toggleLive(editor, "5");
  await quiet();
  stop();
  setWidget(editor, "5", "low_threshold", 0.4);
  await quiet();
  expect(asked).toHaveLength(2);
});

test("a node that is gone runs no more, and one that cannot run says so", async () => {
  const { editor, asked, quiet } = page();
  toggleLive(editor, "5");
  await quiet();

  editor.document.apply("Delete", (graph) => removeNodes(graph, ["5"], CATALOGUE));
  editor.document.apply("Change", (graph) => setValue(graph, "4", "image", "other.png"));
  await quiet();
  expect(asked).toHaveLength(1);

  toggleLive(editor, "99");
  expect(editor.ui.getState().sayings[0]).toMatchObject({ problem: true });
});

test("with another graph on the canvas nothing is live any more", async () => {
  const { editor, asked, quiet } = page();
  toggleLive(editor, "5");
  await quiet();
  const { id } = editor.tabs.shown;
  setWidget(editor, "5", "low_threshold", 0.2);
  await quiet();

  await editor.openData(workflowOf("hints"), "hints");
  setWidget(editor, "5", "colors", 3);
  await quiet();
  expect(editor.tabs.shown.id).not.toBe(id);
  expect(editor.ui.getState().live.size).toBe(0);
  expect(asked).toHaveLength(2);

  editor.tabs.show(id);
  await quiet();
  expect(asked).toHaveLength(2);
});

test("running to nodes asks for them alone, and says what to do where none is selected", async () => {
  const { editor, asked } = page();

  await editor.runTo(["5", "10"]);
  expect(asked).toEqual([["5", "10"]]);

  await editor.runTo([]);
  await editor.runTo(["99"]);
  expect(asked).toHaveLength(1);
  expect(editor.ui.getState().sayings.map(({ text }) => text)).toEqual(["Select the node to run to.", "The node is gone"]);
});
