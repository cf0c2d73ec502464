import { describe, expect, test } from "vitest";

import { addNode, setValue } from "../../src/doc/edit";
import type { Graph } from "../../src/doc/graph";
import { EMPTY } from "../../src/doc/graph";
import type { Maskable } from "../../src/doc/uploads";
import { ApiError } from "../../src/protocol/http";
import type { Fetch } from "../../src/protocol/http";
import type { Editor } from "../../src/state/editor";
import { maskParts, maskableOf, openMask, saveMask, selectedMaskable } from "../../src/state/masks";
import { select } from "../../src/state/ui";
import { defOf, nodeOf } from "../support";
import { editorWith } from "./editing";

const MASK = new Blob(["mask"], { type: "image/png" });

function graphWith(picture: string): Graph {
  return setValue(addNode(EMPTY, defOf("LoadImage"), { x: 0, y: 0 }).graph, "1", "image", picture);
}

/** What was asked of the server, as "METHOD address"; uploads with their fields. */
function serverThat(answers: (url: string) => Response): { fetch: Fetch; asked: string[]; forms: FormData[] } {
  const [asked, forms]: [string[], FormData[]] = [[], []];
  const fetch: Fetch = async (url, init) => {
    asked.push(`${init?.method ?? "GET"} ${url}`);
    if (init?.body instanceof FormData) forms.push(init.body);
    return answers(url);
  };
  return { fetch, asked, forms };
}

function targetOf(editor: Editor): Maskable {
  const target = maskableOf(editor, "1");
  if (!target) throw new Error("there is no picture");
  return target;
}

const storing = (name: string): Response =>
  new Response(JSON.stringify({ name, subfolder: "clipspace", type: "input" }));

describe("painting a mask", () => {
  test("is for a node with a picture, and for one that is selected alone", () => {
    const editor = editorWith(addNode(graphWith("cat.png"), defOf("KSampler"), { x: 0, y: 0 }).graph);

    openMask(editor, "2");
    expect(editor.ui.getState().masking).toBeNull();
    openMask(editor, "1");
    expect(editor.ui.getState().masking).toBe("1");

    expect(selectedMaskable(editor)).toBeNull();
    select(editor.ui, ["1"]);
    expect(selectedMaskable(editor)).toBe("1");
    select(editor.ui, ["1", "2"]);
    expect(selectedMaskable(editor)).toBeNull();
    select(editor.ui, ["2"]);
    expect(selectedMaskable(editor)).toBeNull();
  });

  test("shows the colours that transparency hides, and the transparency", async () => {
    const { fetch, asked } = serverThat((url) => new Response(url.includes("channel=rgb") ? "colours" : "alpha"));
    const editor = editorWith(graphWith("a/cat.png [output]"), fetch);

    const { colours, mask } = await maskParts(editor, targetOf(editor));

    expect([await colours.text(), await mask.text()]).toEqual(["colours", "alpha"]);
    expect(asked).toEqual([
      "GET /api/view?filename=cat.png&subfolder=a&type=output&channel=rgb",
      "GET /api/view?filename=cat.png&subfolder=a&type=output&channel=a",
    ]);
    const red = await maskParts(editor, { ...targetOf(editor), channel: "red" });
    expect(await red.mask.text()).toBe("colours");
  });

  test("stores it beside the original, and the node's new picture is one step", async () => {
    let made = 0;
    const { fetch, forms } = serverThat(() => storing(`cat-mask (${(made += 1)}).png`));
    const editor = editorWith(graphWith("cat.png"), fetch);
    const before = editor.graph;

    await saveMask(editor, "1", targetOf(editor), MASK);
    await saveMask(editor, "1", targetOf(editor), MASK);

    expect(nodeOf(editor.graph, "1").values["image"]).toBe("clipspace/cat-mask (2).png");
    expect(forms.map((form) => [form.get("subfolder"), form.get("original_ref")])).toEqual([
      ["clipspace", '{"filename":"cat.png","subfolder":"","type":"input"}'],
      ["clipspace", '{"filename":"cat-mask (1).png","subfolder":"clipspace","type":"input"}'],
    ]);
    expect(forms.map((form) => (form.get("image") as File).name)).toEqual(["cat-mask.png", "cat-mask.png"]);
    editor.document.undo();
    expect(nodeOf(editor.graph, "1").values["image"]).toBe("clipspace/cat-mask (1).png");
    editor.document.undo();
    expect(editor.graph).toBe(before);
  });

  test("has a node that took a colour for its mask take what is transparent, in the same step", async () => {
    const { fetch } = serverThat(() => storing("cat-mask.png"));
    const editor = editorWith(setValue(graphWith("cat.png"), "1", "channel", "red"), fetch);
    const before = editor.graph;

    await saveMask(editor, "1", { ...targetOf(editor), channel: "red", channelInput: "channel" }, MASK);

    expect(nodeOf(editor.graph, "1").values).toEqual({ image: "clipspace/cat-mask.png", channel: "alpha" });
    editor.document.undo();
    expect(editor.graph).toBe(before);
  });

  test("changes nothing where the server refuses", async () => {
    const body = JSON.stringify({ error: { type: "storage", message: "The file cannot be written", details: "full" } });
    const { fetch } = serverThat(() => new Response(body, { status: 507 }));
    const editor = editorWith(graphWith("cat.png"), fetch);
    const before = editor.graph;

    await expect(saveMask(editor, "1", targetOf(editor), MASK)).rejects.toBeInstanceOf(ApiError);

    expect(editor.graph).toBe(before);
    expect(editor.document.canUndo).toBe(false);
  });
});
