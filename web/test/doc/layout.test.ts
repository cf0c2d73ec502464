import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { arrange } from "../../src/doc/arrange";
import { connect } from "../../src/doc/connect";
import { resizeNode, setLook, setValue } from "../../src/doc/edit";
import { EMPTY, cables, makeNode, withNodes } from "../../src/doc/graph";
import {
  HEADER, LINE, LINES, MOST_LINES, PADDING, PICTURE, ROW, TEXT, WIDGET, layoutNode,
} from "../../src/doc/layout";
import { portsOf } from "../../src/doc/ports";
import { fuzzy, searchNodes } from "../../src/doc/search";
import { CATALOGUE, graphWith, graphs, nodeOf, wired } from "../support";

describe("the layout of a node", () => {
  test("is known from its type: sockets in pairs with outputs, then a row for each widget", () => {
    const { height, width, rows, handles } = layoutNode(nodeOf(graphWith("KSampler"), "1"), CATALOGUE);

    expect(height).toBe(HEADER + 4 * ROW + 6 * WIDGET + PADDING);
    expect(rows.slice(0, 5).map(({ input, output }) => [input, output])).toEqual([
      ["model", "LATENT"], ["positive", null], ["negative", null], ["latent_image", null], ["seed", null],
    ]);
    expect(handles.find(({ kind }) => kind === "out")).toEqual({ kind: "out", id: "LATENT", x: width, y: HEADER + ROW / 2 });
    expect(handles.find(({ id }) => id === "seed")).toEqual({
      kind: "in", id: "seed", x: 0, y: HEADER + 4 * ROW + WIDGET / 2,
    });
  });

  test("every port has exactly one handle, inside the node, whatever its state", () => {
    fc.assert(
      fc.property(graphs, fc.boolean(), (graph, picture) => {
        for (const node of graph.nodes.values()) {
          const { inputs, outputs } = portsOf(node, CATALOGUE);
          const { handles, width, height, rows } = layoutNode(node, CATALOGUE, picture);

          const ids = (kind: string): string[] => handles.filter((handle) => handle.kind === kind).map(({ id }) => id);
          expect(ids("in").toSorted()).toEqual(inputs.map(({ name }) => name).toSorted());
          expect(ids("out").toSorted()).toEqual(outputs.map(({ key }) => key).toSorted());
          for (const { kind, x, y } of handles) {
            expect(x).toBe(kind === "in" ? 0 : width);
            expect(y > 0 && y < height).toBe(true);
          }
          rows.forEach((row, index) => {
            const before = rows[index - 1];
            expect(row.y).toBe(before ? before.y + before.height : HEADER);
          });
        }
      }),
    );
  });

  test("what it is made higher goes to its text and its picture", () => {
    const graph = resizeNode(graphWith("CLIPTextEncode"), "1", { width: 500, height: 600 });

    const { width, height, rows } = layoutNode(nodeOf(graph, "1"), CATALOGUE);

    expect([width, height]).toEqual([500, 600]);
    expect(rows.find(({ kind }) => kind === "text")?.height).toBe(600 - HEADER - ROW - PADDING);
  });

  test("it is never smaller than what is in it", () => {
    const graph = resizeNode(graphWith("CLIPTextEncode"), "1", { width: 1, height: 1 });

    expect(layoutNode(nodeOf(graph, "1"), CATALOGUE)).toMatchObject({ width: 160, height: HEADER + ROW + TEXT + PADDING });
    expect(layoutNode(nodeOf(graph, "1"), CATALOGUE, true).height).toBe(HEADER + ROW + TEXT + PICTURE + PADDING);
  });

  test("a long text has more room, up to a limit, and the port stays at its first line", () => {
    const graph = graphWith("CLIPEncode");
    const laid = (text: string) => {
      const { height, handles } = layoutNode(nodeOf(setValue(graph, "1", "text", text), "1"), CATALOGUE);
      return { height, y: handles.find(({ id }) => id === "text")?.y };
    };
    const short = laid("");

    expect(laid("a\nb\nc\nd")).toEqual(short);
    expect(laid("a\nb\nc\nd\ne")).toEqual({ ...short, height: short.height + LINE });
    expect(laid("word ".repeat(40)).height).toBeGreaterThan(short.height);
    expect(laid("\n".repeat(500)).height).toBe(short.height + LINE * (MOST_LINES - LINES));
  });

  test("collapsed it is its title, with all cables at its middle", () => {
    const graph = setLook(graphWith("KSampler"), ["1"], { collapsed: true });

    const { height, rows, handles } = layoutNode(nodeOf(graph, "1"), CATALOGUE);

    expect([height, rows.length]).toEqual([HEADER, 0]);
    expect(new Set(handles.map(({ y }) => y))).toEqual(new Set([HEADER / 2]));
  });
});

describe("automatic layout", () => {
  const size = { width: 200, height: 100 };

  test("goes from left to right, and no node lies on another", () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const sizeOf = (id: string): { width: number; height: number } => layoutNode(nodeOf(graph, id), CATALOGUE);

        const places = [...arrange(graph, sizeOf)].map(([id, at]) => ({ id, ...at, ...sizeOf(id) }));

        expect(places.map(({ id }) => id).toSorted()).toEqual([...graph.nodes.keys()].toSorted());
        const at = new Map(places.map((place) => [place.id, place]));
        for (const { node, source } of cables(graph)) {
          const [left, right] = [at.get(source.node), at.get(node)];
          expect(left && right && left.x + left.width < right.x).toBe(true);
        }
        for (const [index, a] of places.entries()) {
          for (const b of places.slice(index + 1)) {
            const apart = a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
            expect(apart).toBe(true);
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  test("cables that need not cross do not", () => {
    const graph = wired(
      graphWith("LoadImage", "LoadImage", "SaveImage", "SaveImage"),
      ["1:IMAGE", "4:images"], ["2:IMAGE", "3:images"],
    );

    const places = arrange(graph, () => size);

    const y = (id: string): number => places.get(id)?.y ?? NaN;
    expect(Math.sign(y("1") - y("2"))).toBe(Math.sign(y("4") - y("3")));
  });

  test("some nodes alone, beginning at a place", () => {
    const places = arrange(graphWith("KSampler", "KSampler"), () => size, { ids: ["2"], at: { x: 7, y: 8 } });

    expect([...places]).toEqual([["2", { x: 7, y: 8 }]]);
  });

  test("a circle, which a file may hold, is laid out all the same", () => {
    let graph = withNodes(EMPTY, ["a", "b"].map((id) => makeNode(id, "Sparkle")));
    graph = connect(graph, { node: "a", output: "x" }, { node: "b", input: "y" });
    graph = connect(graph, { node: "b", output: "x" }, { node: "a", input: "y" });

    expect(arrange(graph, () => size).size).toBe(2);
  });

  test("a thousand nodes take no time to speak of", () => {
    let graph = withNodes(EMPTY, Array.from({ length: 1000 }, (_, index) => makeNode(String(index), "Sparkle")));
    for (let index = 1; index < 1000; index += 1) {
      graph = connect(graph, { node: String(index >> 1), output: "x" }, { node: String(index), input: "y" });
    }
    const begin = performance.now();

    expect(arrange(graph, () => size).size).toBe(1000);
    expect(performance.now() - begin).toBeLessThan(2000);
  });
});

describe("search", () => {
  const titles = (query: string, recent: string[] = []): string[] =>
    searchNodes(CATALOGUE, query, { recent }).map(({ def }) => def.type);

  test.each([
    ["ksampler", "KSampler"],
    ["save image", "SaveImage"],
    ["image save", "SaveImage"],
    ["vd", "VAEDecode"],
    ["vae dec", "VAEDecode"],
    ["cliptextenc", "CLIPTextEncode"],
    ["empty lat", "EmptyLatentImage"],
    ["lora loader", "LoraLoader"],
    ["reroute", "Reroute"],
  ])("%s finds %s first", (query, type) => {
    expect(titles(query)[0]).toBe(type);
  });

  test("what fits nowhere is not found", () => {
    expect(titles("zzqx")).toEqual([]);
    expect(titles("sampler zzqx")).toEqual([]);
  });

  test("without a query the recent ones come first", () => {
    expect(titles("", ["VAEDecode", "SaveImage"]).slice(0, 2)).toEqual(["VAEDecode", "SaveImage"]);
  });

  test("of two that fit alike the recent one comes first", () => {
    const [first, second] = titles("sampler").slice(0, 2);

    expect(titles("sampler", [second ?? ""])[0]).toBe(second);
    expect(titles("sampler", [first ?? ""])[0]).toBe(first);
  });

  test("the category counts, too", () => {
    expect(searchNodes(CATALOGUE, "latent").length).toBeGreaterThan(2);
  });

  test("it says which letters were meant", () => {
    expect(fuzzy("VAE Decode", "vd")?.places).toEqual([0, 4]);
    expect(fuzzy("VAE Decode", "dec")?.places).toEqual([4, 5, 6]);
    expect(fuzzy("VAE Decode", "x")).toBeNull();
    expect(searchNodes(CATALOGUE, "decode vae")[0]).toMatchObject({
      def: { title: "VAE Decode" }, places: [0, 1, 2, 4, 5, 6, 7, 8, 9],
    });
  });

  test("scores are between 0 and 1 and places hold the letters", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 20 }), fc.stringMatching(/^[a-z]{1,4}$/), (text, word) => {
        const hit = fuzzy(text, word);
        if (!hit) return;
        expect(hit.score > 0 && hit.score <= 1).toBe(true);
        expect(hit.places.map((at) => text.toLowerCase()[at]).join("")).toBe(word);
      }),
      { numRuns: 500 },
    );
  });
});
