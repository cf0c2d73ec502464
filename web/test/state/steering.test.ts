import { expect, test } from "vitest";

import { readCatalogue } from "../../src/doc/catalogue";
import { openData } from "../../src/doc/open";
import type { JsonObject } from "../../src/doc/json";
import { parseJson } from "../../src/doc/json";
import { add } from "../../src/state/actions";
import type { Editor } from "../../src/state/editor";
import { askForHint, steerBy } from "../../src/state/steering";
import { select } from "../../src/state/ui";
import { CATALOGUE, defOf, jsonOf, nodeOf, workflowOf } from "../support";
import { editorWith } from "./editing";

const AT = { x: 1, y: 2 };
const MADE = { filename: "cat_00001_.png", subfolder: "", type: "output" };

/** An editor whose server has these ControlNets, and all that it was asked to run. */
function page(name = "text_to_image", files: readonly string[] = ["emoji-edges.safetensors"]) {
  const sent: JsonObject[] = [];
  const editor = editorWith(openData(workflowOf(name), CATALOGUE).graph, async (_url, init) => {
    if (typeof init?.body === "string") sent.push(parseJson(init.body) as JsonObject);
    return new Response(JSON.stringify({ prompt_id: "x", number: 1, node_errors: {} }));
  });
  const viewer = { input: { required: { images: ["IMAGE", {}] } }, output: [], output_name: [], output_node: true };
  const loader = {
    input: { required: { control_net_name: [[...files], {}] } }, output: ["CONTROL_NET"], output_name: ["CONTROL_NET"],
  };
  const catalogue = readCatalogue({ ...jsonOf("catalogue.json"), PreviewImage: viewer, LoadControlNet: loader });
  editor.server.setState({ catalogue });
  return { editor, sent };
}

function said(editor: Editor): string {
  return editor.ui.getState().sayings.map(({ text }) => text).join("\n");
}

function find(editor: Editor, type: string): string[] {
  return [...editor.graph.nodes.values()].filter((node) => node.type === type).map(({ id }) => id);
}

test("a picture of the canvas steers in one step, and only its hint is run", async () => {
  const { editor, sent } = page();
  const picture = add(editor, defOf("LoadImage"), { x: 0, y: 600 });
  const before = editor.graph;

  askForHint(editor, { node: picture, file: null }, AT);
  expect(editor.ui.getState().hinting).toEqual({ at: AT, node: picture, file: null });
  steerBy(editor, { node: picture, file: null }, defOf("Canny"));

  const [preview = ""] = find(editor, "PreviewImage");
  await expect.poll(() => sent.map((body) => body["partial_execution_targets"])).toEqual([[preview]]);
  expect(nodeOf(editor.graph, "5").links["positive"]?.output).toBe("positive");
  expect([...editor.ui.getState().nodes]).toEqual([preview]);
  expect(said(editor)).toBe("emoji-edges.safetensors steers Sampler");
  editor.document.undo();
  expect(editor.graph).toBe(before);
});

test("a picture that was made is loaded from its file, since its sampler cannot wait for itself", () => {
  const { editor } = page();

  askForHint(editor, { node: "7", file: MADE }, AT);
  steerBy(editor, { node: "7", file: MADE }, null);

  const [loader = ""] = find(editor, "LoadImage");
  expect(nodeOf(editor.graph, loader).values).toEqual({ image: "cat_00001_.png [output]" });
  expect(editor.document.length).toBe(1);
});

test("a picture of the graph is taken where it is made, unless the sampler makes it", () => {
  const { editor } = page("image_to_image");
  const [loader = ""] = find(editor, "LoadImage");

  steerBy(editor, { node: loader, file: null }, defOf("Canny"));
  expect(find(editor, "LoadImage")).toEqual([loader]);

  const [decode = ""] = find(editor, "VAEDecode");
  steerBy(editor, { node: decode, file: MADE }, defOf("Canny"));
  expect(find(editor, "LoadImage")).toHaveLength(2);
});

test("what cannot be steered says why, and nothing is asked or changed", () => {
  const { editor } = page("hints");
  const before = editor.graph;

  askForHint(editor, { node: "1", file: null }, AT);
  steerBy(editor, { node: "1", file: null }, defOf("Canny"));

  expect(editor.ui.getState().hinting).toBeNull();
  expect(said(editor)).toContain("no sampler");
  expect(editor.graph).toBe(before);
});

test("a node without a picture says so", () => {
  const { editor } = page();

  askForHint(editor, { node: "4", file: null }, AT);

  expect(editor.ui.getState().hinting).toBeNull();
  expect(said(editor)).toContain("no picture");
});

test.each([
  [[], "put one into models/controlnet"],
  [["animals-depth.safetensors"], "not called as if it were made for"],
])("with the ControlNets %j the user hears of it", (files, words) => {
  const { editor } = page("text_to_image", files);
  const picture = add(editor, defOf("LoadImage"), { x: 0, y: 600 });

  steerBy(editor, { node: picture, file: null }, defOf("Canny"));

  expect(editor.ui.getState().sayings.some(({ text, problem }) => problem && text.includes(words))).toBe(true);
});

test("the sampler that is selected is steered, and no other", () => {
  const { editor } = page("two_stage");
  const [, second = ""] = find(editor, "KSamplerAdvanced");
  const picture = add(editor, defOf("LoadImage"), { x: 0, y: 900 });
  select(editor.ui, [second, picture]);

  steerBy(editor, { node: picture, file: null }, defOf("Canny"));

  const steered = find(editor, "KSamplerAdvanced").filter((id) => nodeOf(editor.graph, id).links["positive"]?.output === "positive");
  expect(steered).toEqual([second]);
});
