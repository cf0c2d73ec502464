import { expect, test } from "vitest";

import { moveNodes, setValue } from "../../src/doc/edit";
import { openData } from "../../src/doc/open";
import { t } from "../../src/i18n/t";
import type { Fault } from "../../src/protocol/shapes";
import { removeSelected, setWidget } from "../../src/state/actions";
import type { Editor } from "../../src/state/editor";
import { narrate } from "../../src/state/narrator";
import { select } from "../../src/state/ui";
import { CATALOGUE, nodeOf, workflowOf } from "../support";
import { editorWith } from "./editing";

const graph = openData(workflowOf("text_to_image"), CATALOGUE).graph;

function heardBy(typing = false): { editor: Editor; heard: () => string; stop: () => void } {
  const editor = editorWith(graph);
  const stop = narrate(editor, () => typing);
  return { editor, heard: () => editor.ui.getState().heard, stop };
}

test("what is done, undone and done again is told by its name", () => {
  const { editor, heard } = heardBy();
  select(editor.ui, ["7"]);

  removeSelected(editor);
  expect(heard()).toBe("Delete: done");
  editor.document.undo();
  expect(heard()).toBe("Delete: undone");
  editor.document.redo();
  expect(heard()).toBe("Delete: done again");
});

test("a node that is moved step by step is told with the place where it is now", () => {
  const { editor, heard } = heardBy();
  select(editor.ui, ["5"]);
  const { x, y } = nodeOf(graph, "5").position;

  for (const by of [5, 10]) {
    editor.document.apply(t("do.move"), (before) => moveNodes(before, ["5"], { x: 5, y: 0 }), { merge: "move" });
    expect(heard()).toBe(`Sampler moved to x ${x + by}, y ${y}`);
  }
});

test("nothing is told of what is typed, nor on the way of a drag", () => {
  const typing = heardBy(true);
  setWidget(typing.editor, "2", "text", "a");
  expect(typing.heard()).toBe("");

  const dragging = heardBy();
  dragging.editor.document.begin(t("do.move"));
  dragging.editor.document.apply(t("do.move"), (before) => setValue(before, "5", "steps", 3));
  expect(dragging.heard()).toBe("");
});

test("that nodes are not right is told, and not again while they are", () => {
  const { editor, heard, stop } = heardBy();
  const fault: Fault = { type: "t", message: "m", details: "", input: "model", extra: {} };

  editor.runtime.setFaults(new Map([["5", [fault]]]));
  expect(heard()).toContain("Nodes with errors: 1");
  editor.ui.setState({ heard: "" });
  editor.runtime.setFaults(new Map([["5", [fault, fault]]]));
  expect(heard()).toBe("");

  stop();
  editor.runtime.setFaults(new Map([["4", [fault]], ["5", [fault]]]));
  editor.document.apply("x", (before) => setValue(before, "5", "steps", 3));
  expect(heard()).toBe("");
});
