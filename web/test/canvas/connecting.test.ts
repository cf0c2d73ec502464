import { expect, test } from "vitest";

import type { End } from "../../src/canvas/adapter";
import { inHandle, outHandle } from "../../src/canvas/adapter";
import {
  comeOff, drawingFrom, drawnFrom, dropOnNode, endRefusal, makeConnection, mayConnect,
} from "../../src/canvas/connecting";
import { openData } from "../../src/doc/open";
import { editorWith } from "../state/editing";
import { CATALOGUE, nodeOf, workflowOf } from "../support";

const graph = openData(workflowOf("text_to_image"), CATALOGUE).graph;
const out = (node: string, output: string): End => ({ kind: "out", source: { node, output } });
const into = (node: string, input: string): End => ({ kind: "in", to: { node, input } });

function between(source: [string, string], target: [string, string]) {
  return { source: source[0], sourceHandle: source[1], target: target[0], targetHandle: target[1] };
}

test("a cable from an output may go to inputs of its type, and why to no other is said", () => {
  const editor = editorWith(graph);

  expect(endRefusal(editor, out("1", "MODEL"), into("5", "model"))).toBeNull();
  expect(endRefusal(editor, out("1", "CLIP"), into("5", "model"))).toMatch(/takes MODEL.*gives CLIP/);
  expect(endRefusal(editor, into("5", "model"), out("1", "CLIP"))).toMatch(/takes MODEL.*gives CLIP/);
  expect(endRefusal(editor, out("1", "CLIP"), out("1", "VAE"))).toMatch(/from an output to an input/);
});

test("while it is drawn, the ports that take it are known", () => {
  const { type, ports, cable } = drawingFrom(editorWith(graph), out("1", "CLIP"));

  expect([type, cable]).toEqual(["CLIP", null]);
  expect([...ports.keys()].toSorted()).toEqual(["2", "3"]);
  expect(ports.get("2")).toEqual(new Set([inHandle("clip")]));
});

test("one drawn from an input that is fed is the cable there, taken out", () => {
  const editor = editorWith(graph);
  const { cable, start, ports } = drawingFrom(editor, into("5", "positive"));

  expect(cable).toBe("5:positive");
  expect(start).not.toBeNull();
  expect(ports.get("5")?.has(inHandle("negative"))).toBe(true);

  // React Flow has the input that it was drawn from as the target.
  const moved = between(["5", inHandle("negative")], ["5", inHandle("positive")]);
  expect(mayConnect(editor, moved)).toBe(true);
  makeConnection(editor, moved);
  const { links } = nodeOf(editor.graph, "5");
  expect([links["positive"], links["negative"]?.node]).toEqual([undefined, "2"]);
  expect(editor.document.length).toBe(1);
});

test("an input that is free takes no cable out of another", () => {
  const editor = editorWith(graph);
  comeOff(editor, into("5", "positive"));

  expect(mayConnect(editor, between(["5", inHandle("negative")], ["5", inHandle("positive")]))).toBe(false);
});

test("let go over empty space it asks for nodes, or, taken out of an input, only comes off", () => {
  const editor = editorWith(graph);

  expect(drawnFrom(editor, out("1", "CLIP"))).toEqual({ from: { node: "1", output: "CLIP" } });
  expect(drawnFrom(editor, into("5", "model"))).toBeNull();
  comeOff(editor, into("5", "model"));
  expect(nodeOf(editor.graph, "5").links["model"]).toBeUndefined();
  expect(drawnFrom(editor, into("5", "model"))).toEqual({ to: { node: "5", input: "model" } });
});

test("let go over a node it goes to the port that fits", () => {
  const editor = editorWith(graph);
  comeOff(editor, into("5", "negative"));

  expect(dropOnNode(editor, out("2", "CONDITIONING"), "5")).toBe(true);
  expect(nodeOf(editor.graph, "5").links["negative"]?.node).toBe("2");
  expect(dropOnNode(editor, out("1", "VAE"), "4")).toBe(false);
});

test("a connection of an output and an input is laid, whichever it was drawn from", () => {
  const editor = editorWith(graph);
  comeOff(editor, into("6", "vae"));

  makeConnection(editor, between(["1", outHandle("VAE")], ["6", inHandle("vae")]));

  expect(nodeOf(editor.graph, "6").links["vae"]).toEqual({ node: "1", output: "VAE" });
});
