import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { toApi } from "../../src/doc/api-write";
import { clipText, copy, duplicate, paste, readClip } from "../../src/doc/clipboard";
import {
  addGroup, addNode, changeGroup, moveGroup, moveNodes, nodesIn, raiseNodes, removeGroups, removeNodes, replaceType,
  resizeNode, setLook, setSeedMode, setTitle, setValue, toggleMode,
} from "../../src/doc/edit";
import { EMPTY, cables, idMaker } from "../../src/doc/graph";
import { CATALOGUE, defOf, drawn, graphWith, graphs, nodeOf, wired } from "../support";

describe("nodes", () => {
  test("a new one has an id of its own, and its widgets hold what they hold at first", () => {
    const { graph, id } = addNode(graphWith("KSampler"), defOf("KSampler"), { x: 3, y: 4 });

    expect(id).toBe("2");
    expect(nodeOf(graph, id)).toMatchObject({
      position: { x: 3, y: 4 },
      values: { seed: 0, steps: 20, denoise: 1 },
      seeds: { seed: "randomize" },
    });
  });

  test("ids are never used twice", () => {
    const fresh = idMaker(["1", "7", "x", "12:3", "99999999999999999999"]);

    expect([fresh(), fresh()]).toEqual(["8", "9"]);
  });

  test("removing one takes its cables", () => {
    const graph = wired(graphWith("LoadImage", "ImageScale", "SaveImage"), ["1:IMAGE", "2:image"], ["2:IMAGE", "3:images"]);

    const left = removeNodes(graph, ["2"], CATALOGUE);

    expect(drawn(left)).toEqual([]);
    expect([...left.nodes.keys()]).toEqual(["1", "3"]);
    expect(removeNodes(left, ["2"], CATALOGUE)).toBe(left);
  });

  test("healing leads what came in on to what was fed, past several nodes", () => {
    const graph = wired(
      graphWith("LoadImage", "ImageScale", "Reroute", "SaveImage"),
      ["1:IMAGE", "2:image"], ["2:IMAGE", "3:"], ["3:", "4:images"],
    );

    expect(drawn(removeNodes(graph, ["2"], CATALOGUE, { heal: true }))).toEqual(["1:IMAGE -> 3:", "3: -> 4:images"]);
    expect(drawn(removeNodes(graph, ["3", "2"], CATALOGUE, { heal: true }))).toEqual(["1:IMAGE -> 4:images"]);
  });

  test("healing does not connect what does not fit", () => {
    const graph = wired(graphWith("KSampler", "VAEDecode", "SaveImage"), ["1:LATENT", "2:samples"], ["2:IMAGE", "3:images"]);

    expect(drawn(removeNodes(graph, ["2"], CATALOGUE, { heal: true }))).toEqual([]);
  });

  test("healing and bypassing come to the same", () => {
    fc.assert(
      fc.property(graphs, fc.nat(), (graph, number) => {
        const ids = [...graph.nodes.keys()];
        const id = ids[number % Math.max(1, ids.length)];
        const plain = setLook(graph, ids, { mode: "normal" });
        if (id === undefined || ["Reroute", "Note", "MarkdownNote"].includes(nodeOf(graph, id).type)) return;

        const healed = toApi(removeNodes(plain, [id], CATALOGUE, { heal: true }), CATALOGUE);
        const bypassed = toApi(setLook(plain, [id], { mode: "bypassed" }), CATALOGUE);

        expect(healed.prompt).toEqual(bypassed.prompt);
      }),
    );
  });

  test("what changes nothing gives the same graph", () => {
    const graph = setSeedMode(setValue(graphWith("KSampler"), "1", "seed", 5), "1", "seed", "fixed");

    expect(setValue(graph, "1", "seed", 5)).toBe(graph);
    expect(setValue(graph, "1", "nothing", null)).toBe(graph);
    expect(setValue(graph, "9", "seed", 5)).toBe(graph);
    expect(setTitle(graph, "1", "")).toBe(graph);
    expect(setSeedMode(graph, "1", "seed", "fixed")).toBe(graph);
    expect(setLook(graph, ["1"], { mode: "normal" })).toBe(graph);
    expect(moveNodes(graph, ["1"], { x: 0, y: 0 })).toBe(graph);
    expect(resizeNode(graph, "1", null)).toBe(graph);
    expect(raiseNodes(graph, ["1"])).toBe(graph);
    expect(removeNodes(graph, [], CATALOGUE)).toBe(graph);
    expect(paste(graph, { nodes: [], groups: [], outer: [] }).graph).toBe(graph);
  });

  test("null takes a value back to what it is at first", () => {
    const graph = setValue(graphWith("KSampler"), "1", "steps", null);

    expect(nodeOf(graph, "1").values).not.toHaveProperty("steps");
  });

  test("muting some mutes all; muting all again lets them run", () => {
    const graph = toggleMode(graphWith("KSampler", "VAEDecode"), ["1"], "muted");

    const both = toggleMode(graph, ["1", "2"], "muted");

    expect([...both.nodes.values()].map(({ mode }) => mode)).toEqual(["muted", "muted"]);
    expect(nodeOf(toggleMode(both, ["1", "2"], "muted"), "2").mode).toBe("normal");
  });

  test("pinned ones do not move", () => {
    const graph = setLook(graphWith("KSampler", "KSampler"), ["1"], { pinned: true });

    const moved = moveNodes(graph, ["1", "2"], { x: 1, y: 2 });

    expect([nodeOf(moved, "1").position, nodeOf(moved, "2").position]).toEqual([{ x: 0, y: 0 }, { x: 301, y: 2 }]);
  });

  test("raised ones are drawn last", () => {
    const graph = raiseNodes(graphWith("KSampler", "KSampler", "KSampler"), ["1"]);

    expect([...graph.nodes.keys()]).toEqual(["2", "3", "1"]);
  });

  test("another type keeps the values and cables that it has, too", () => {
    const graph = wired(
      setValue(graphWith("CheckpointLoaderSimple", "KSampler", "VAEDecode", "PrimitiveNode"), "2", "steps", 7),
      ["1:MODEL", "2:model"], ["2:LATENT", "3:samples"], ["4:", "2:denoise"],
    );

    const replaced = replaceType(graph, "2", defOf("KSamplerAdvanced"));

    expect(nodeOf(replaced, "2").values).toMatchObject({ steps: 7, start_at_step: 0 });
    expect(drawn(replaced)).toEqual(["1:MODEL -> 2:model", "2:LATENT -> 3:samples"]);
    expect(drawn(replaceType(replaced, "2", defOf("EmptyLatentImage")))).toEqual(["2:LATENT -> 3:samples"]);
    expect(drawn(replaceType(replaced, "2", defOf("ImageScale")))).toEqual([]);
  });
});

describe("groups", () => {
  const made = addGroup(graphWith("KSampler", "VAEDecode"), "Left", { x: -10, y: -10, width: 200, height: 100 });
  const width = (): number => 240;

  test("a group moves with the nodes that are in it", () => {
    const moved = moveGroup(made.graph, made.id, { x: 5, y: 6 }, width);

    expect(nodesIn(made.graph, made.id, width)).toEqual(["1"]);
    expect(nodeOf(moved, "1").position).toEqual({ x: 5, y: 6 });
    expect(nodeOf(moved, "2").position).toEqual({ x: 300, y: 0 });
    expect(moved.groups.get(made.id)?.bounds).toEqual({ x: -5, y: -4, width: 200, height: 100 });
  });

  test("its looks change, and it goes without what is in it", () => {
    const changed = changeGroup(made.graph, made.id, { title: "Right", color: "#fff" });

    expect(changed.groups.get(made.id)).toMatchObject({ title: "Right", color: "#fff" });
    expect(changeGroup(changed, made.id, { title: "Right" })).toBe(changed);
    expect(removeGroups(changed, [made.id]).groups.size).toBe(0);
    expect(removeGroups(changed, [made.id]).nodes.size).toBe(2);
  });
});

describe("the clipboard", () => {
  const graph = wired(
    graphWith("CheckpointLoaderSimple", "CLIPTextEncode", "KSampler"),
    ["1:CLIP", "2:clip"], ["2:CONDITIONING", "3:positive"], ["1:MODEL", "3:model"],
  );

  test("a copy keeps the cables within it, and those from outside if wanted", () => {
    const clip = copy(graph, ["2", "3"]);

    expect(drawn(paste(graph, clip).graph).slice(3)).toEqual(["4:CONDITIONING -> 5:positive"]);
    expect(drawn(paste(graph, clip, { outer: true }).graph)).toEqual([
      "1:CLIP -> 2:clip", "1:CLIP -> 4:clip", "1:MODEL -> 3:model", "1:MODEL -> 5:model",
      "2:CONDITIONING -> 3:positive", "4:CONDITIONING -> 5:positive",
    ]);
  });

  test("outer cables from nodes that are gone are left out", () => {
    const clip = copy(graph, ["2"]);

    expect(drawn(paste(removeNodes(graph, ["1"], CATALOGUE), clip, { outer: true }).graph)).toEqual([
      "2:CONDITIONING -> 3:positive",
    ]);
  });

  test("it is pasted with its corner where it is wanted", () => {
    const { graph: pasted, nodes } = paste(graph, copy(graph, ["2", "3"]), { at: { x: 10, y: 20 } });

    expect(nodes.map((id) => nodeOf(pasted, id).position)).toEqual([{ x: 10, y: 20 }, { x: 310, y: 20 }]);
  });

  test("whatever is pasted how often, ids are unique, and what was there stays as it was", () => {
    fc.assert(
      fc.property(graphs, graphs, fc.nat(3), fc.boolean(), (graph, other, times, outer) => {
        const clip = copy(other, other.nodes.keys(), other.groups.keys());
        let result = graph;
        for (let index = 0; index <= times; index += 1) {
          const pasted = paste(result, clip, { outer });
          expect(pasted.nodes.length).toBe(other.nodes.size);
          expect(new Set([...result.nodes.keys(), ...pasted.nodes]).size).toBe(result.nodes.size + pasted.nodes.length);
          result = pasted.graph;
        }

        expect(result.nodes.size).toBe(graph.nodes.size + (times + 1) * other.nodes.size);
        expect(result.groups.size).toBe(graph.groups.size + (times + 1) * other.groups.size);
        for (const [id, node] of graph.nodes) expect(result.nodes.get(id)).toBe(node);
        expect(cables(result).length).toBe(cables(graph).length + (times + 1) * cables(other).length);
        for (const [id, node] of result.nodes) expect(node.id).toBe(id);
      }),
    );
  });

  test("a duplicate keeps what feeds it", () => {
    const { graph: doubled, nodes } = duplicate(graph, ["3"]);

    expect(drawn(doubled)).toContain(`1:MODEL -> ${nodes[0]}:model`);
    expect(nodeOf(doubled, nodes[0] ?? "").position).toEqual({ x: 632, y: 32 });
  });

  test("through the system's clipboard it is the same", () => {
    fc.assert(
      fc.property(graphs, fc.nat(), (graph, number) => {
        const ids = [...graph.nodes.keys()].filter((_, index) => (number >> index % 30) & 1);
        const clip = copy(graph, ids, graph.groups.keys());

        expect(readClip(clipText(clip, CATALOGUE), CATALOGUE)).toEqual(clip);
      }),
    );
  });

  test.each(["", "a word", "{}", '{"nodes": [3]}'])("%j is nothing to paste", (text) => {
    expect(readClip(text, CATALOGUE)).toBeNull();
  });

  test("an empty graph has nothing to copy", () => {
    expect(copy(EMPTY, ["1"])).toEqual({ nodes: [], groups: [], outer: [] });
  });
});
