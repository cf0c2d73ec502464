import { describe, expect, test } from "vitest";

import { readCatalogue } from "../../src/doc/catalogue";
import { addNode, setValue } from "../../src/doc/edit";
import type { Graph } from "../../src/doc/graph";
import { EMPTY } from "../../src/doc/graph";
import { maskName, maskable, pictureOf, pictureValue, readPicture, uploadPort } from "../../src/doc/uploads";
import { defOf, nodeOf, wired } from "../support";

const LOAD_MASK = readCatalogue({
  LoadImageMask: {
    input: { required: { image: [["a.png"], { image_upload: true }], channel: [["alpha", "red", "green", "blue"]] } },
    output: ["MASK"],
  },
}).get("LoadImageMask");

function loading(value: string): Graph {
  return setValue(addNode(EMPTY, defOf("LoadImage"), { x: 0, y: 0 }).graph, "1", "image", value);
}

describe("the picture of a node", () => {
  test("is what its input names, with its folder", () => {
    const graph = loading("clipspace/a b.png [output]");

    expect(uploadPort(defOf("LoadImage"))?.name).toBe("image");
    expect(pictureOf(nodeOf(graph, "1"), defOf("LoadImage"))).toEqual({
      filename: "a b.png", subfolder: "clipspace", type: "output",
    });
    expect(pictureOf(nodeOf(loading(""), "1"), defOf("LoadImage"))).toBeNull();
    expect(pictureOf(nodeOf(graph, "1"), defOf("KSampler"))).toBeNull();
  });

  test("is named the way it was read", () => {
    for (const value of ["a.png", "folder/in/a.png", "a (1).png", "a.png [temp]", "f/[x].png [output]"]) {
      expect(pictureValue(readPicture(value))).toBe(value);
    }
    expect(pictureValue(readPicture("a.png [input]"))).toBe("a.png");
  });
});

describe("a mask", () => {
  test("can be painted on a picture that the node names itself", () => {
    const graph = loading("a.png");
    const file = { filename: "a.png", subfolder: "", type: "input" };

    expect(maskable(nodeOf(graph, "1"), defOf("LoadImage"))).toEqual({
      file, input: "image", channel: "alpha", channelInput: null,
    });
    expect(maskable(nodeOf(loading(""), "1"), defOf("LoadImage"))).toBeNull();
    const linked = wired(addNode(graph, defOf("LoadImage"), { x: 0, y: 0 }).graph, ["2:IMAGE", "1:image"]);
    expect(maskable(nodeOf(linked, "1"), defOf("LoadImage"))).toBeNull();
  });

  test("is the channel that the node takes for it", () => {
    if (!LOAD_MASK) throw new Error("no LoadImageMask");
    const graph = addNode(EMPTY, LOAD_MASK, { x: 0, y: 0 }).graph;
    const red = setValue(graph, "1", "channel", "red");

    expect(maskable(nodeOf(graph, "1"), LOAD_MASK)).toMatchObject({ channel: "alpha", channelInput: "channel" });
    expect(maskable(nodeOf(red, "1"), LOAD_MASK)).toMatchObject({ channel: "red", channelInput: "channel" });
  });

  test("has the name of its picture, also when it is painted again", () => {
    const named = (filename: string): string => maskName({ filename, subfolder: "", type: "input" });

    expect(named("cat.jpg")).toBe("cat-mask.png");
    expect(named("cat-mask.png")).toBe("cat-mask.png");
    expect(named("cat-mask (12).png")).toBe("cat-mask.png");
    expect(named("cat (1).webp")).toBe("cat (1)-mask.png");
    expect(named("cat")).toBe("cat-mask.png");
  });
});
