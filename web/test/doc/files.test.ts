import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { fromApi } from "../../src/doc/api-read";
import { toApi } from "../../src/doc/api-write";
import { fromEditor } from "../../src/doc/editor-read";
import { toEditor } from "../../src/doc/editor-write";
import { setValue } from "../../src/doc/edit";
import { REROUTE, cables } from "../../src/doc/graph";
import type { Json, JsonObject } from "../../src/doc/json";
import { asList, asObject, asText, formatJson, isList, parseJson, sameJson } from "../../src/doc/json";
import { isSubgraph, openBytes, openData, openText, toRun } from "../../src/doc/open";
import { pictureKind, readTexts } from "../../src/doc/pictures";
import { CATALOGUE, bytesOf, drawn, graphWith, graphs, jsonOf, nodeOf, wired, workflowOf } from "../support";

const CONVERSIONS = Object.entries(jsonOf("conversions.json")).map(([name, each]) => [name, asObject(each)] as const);
const WORKFLOWS = readdirSync(join(import.meta.dirname, "../../../workflows"))
  .filter((name) => name.endsWith(".json"))
  .map((name) => name.replace(/\.json$/, ""));

/** The document with outputs by number, where it names them. */
function numbered(document: JsonObject): JsonObject {
  const slot = (id: string, name: Json): Json => {
    const outputs = CATALOGUE.get(asText(asObject(document[id])["class_type"]))?.outputs ?? [];
    return typeof name === "string" ? outputs.findIndex((port) => port.name.toLowerCase() === name.toLowerCase()) : name;
  };
  const entries = Object.entries(document).map(([id, entry]) => {
    const inputs = Object.entries(asObject(asObject(entry)["inputs"])).map(([name, value]) => {
      const isLink = isList(value) && value.length === 2 && typeof value[0] === "string";
      return [name, isLink ? [value[0] ?? "", slot(asText(value[0]), value[1] ?? 0)] : value];
    });
    return [id, { ...asObject(entry), inputs: Object.fromEntries(inputs) as JsonObject }];
  });
  return Object.fromEntries(entries) as JsonObject;
}

describe("the editor's files", () => {
  test.each(CONVERSIONS)("%s: run as the server would run them", (_name, { file, document, warnings }) => {
    const opened = fromEditor(file ?? null, CATALOGUE);
    const exported = toApi(opened.graph, CATALOGUE);

    expect(exported.prompt).toEqual(document);
    expect([...opened.warnings, ...exported.warnings].sort()).toEqual([...asList(warnings)].sort());
  });

  test("what is saved is the same when it is opened again", () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const text = formatJson(toEditor(graph, CATALOGUE));

        const opened = openText(text, CATALOGUE);

        expect(opened.warnings).toEqual([]);
        expect(opened.graph).toEqual(graph);
        expect([...opened.graph.nodes.keys()]).toEqual([...graph.nodes.keys()]);
        expect(formatJson(toEditor(opened.graph, CATALOGUE))).toBe(text);
      }),
      { numRuns: 300 },
    );
  });

  test("saving and opening does not change what runs", () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const again = fromEditor(toEditor(graph, CATALOGUE), CATALOGUE).graph;

        expect(toApi(again, CATALOGUE)).toEqual(toApi(graph, CATALOGUE));
      }),
    );
  });

  test.each(CONVERSIONS)("%s: what the file said and this program does not know is kept", (_name, { file }) => {
    const given = { ...asObject(file), extra: { ds: { scale: 2 } }, id: "abc", revision: 3 };
    const nodes = asList(asObject(file)["nodes"]).map((node) => ({
      ...asObject(node), properties: { cnr_id: "core" }, showAdvanced: true, flags: { ghost: 1 },
    }));

    const written = toEditor(fromEditor({ ...given, nodes }, CATALOGUE).graph, CATALOGUE);

    expect(written).toMatchObject({ extra: { ds: { scale: 2 } }, id: "abc", revision: 3 });
    for (const node of asList(written["nodes"]).slice(0, nodes.length).map(asObject)) {
      expect(node).toMatchObject({ properties: { cnr_id: "core" }, showAdvanced: true, flags: { ghost: 1 } });
    }
  });

  test("both colours of a node are kept", () => {
    const node = { id: 1, type: "KSampler", pos: [0, 0], color: "#232", bgcolor: "#353" };

    const { graph } = fromEditor({ nodes: [node], links: [] }, CATALOGUE);

    expect(nodeOf(graph, "1").color).toBe("#353");
    expect(toEditor(graph, CATALOGUE)["nodes"]).toMatchObject([{ color: "#232", bgcolor: "#353" }]);
  });

  test("a reroute that is drawn on a cable becomes a node in it", () => {
    const file = asObject(CONVERSIONS.find(([name]) => name === "links as objects")?.[1]["file"]);

    const { graph } = fromEditor(file, CATALOGUE);

    const bends = [...graph.nodes.values()].filter((node) => node.type === REROUTE);
    expect(bends.map((node) => node.position)).toEqual([{ x: 3, y: 4 }]);
    expect(drawn(graph)).toContain(`${bends[0]?.id}: -> 9:images`);
  });

  test.each([
    [{ nodes: null }, "no list"],
    [{ nodes: [3] }, "nodes[0]: expected an object"],
    [{ nodes: [{ id: 1 }] }, "nodes[0].type is missing"],
    [{ nodes: [{ type: "A" }] }, "nodes[0].id: expected a number or a text"],
    [{ nodes: [{ type: "A", id: 1 }, { type: "A", id: 1 }] }, "another node has the id 1"],
    [{ nodes: [], links: [[1, 2]] }, "links[0]: expected [id, source"],
    [{ nodes: [], links: [[1, 2, "x", 3, 0]] }, "links[0], its source slot: expected the number"],
  ])("a malformed file is refused with the place: %j", (file, complaint) => {
    expect(() => fromEditor(file as Json, CATALOGUE)).toThrow(complaint);
  });

  test("an instance of a subgraph is kept, and is written out by the server", () => {
    const id = "f3f2e840-29c4-4a53-a4f7-8cbcf4e6f9a1";
    const file = {
      nodes: [{ id: 1, type: id, inputs: [], outputs: [{ name: "x", type: "IMAGE" }], pos: [0, 0] }],
      links: [],
      definitions: { subgraphs: [{ id, nodes: [], links: [] }] },
    };

    const { graph } = fromEditor(file, CATALOGUE);

    expect(isSubgraph(nodeOf(graph, "1"), graph)).toBe(true);
    expect(asObject(toRun(graph, CATALOGUE).prompt as JsonObject)).toMatchObject({ definitions: file.definitions });
  });
});

describe("the API format", () => {
  test.each(WORKFLOWS)("%s.json comes out as it went in", (name) => {
    const document = asObject(workflowOf(name));

    const { graph, warnings } = openData(document, CATALOGUE);

    expect(warnings).toEqual([]);
    expect(toApi(graph, CATALOGUE).prompt).toEqual(numbered(document));
  });

  test.each(WORKFLOWS)("%s.json is laid out from left to right, with no node on another", (name) => {
    const { graph } = openData(workflowOf(name), CATALOGUE);

    for (const { node, source } of cables(graph)) {
      expect(nodeOf(graph, source.node).position.x).toBeLessThan(nodeOf(graph, node).position.x);
    }
    const places = [...graph.nodes.values()].map(({ position: { x, y } }) => `${x} ${y}`);
    expect(new Set(places).size).toBe(places.length);
  });

  test.each(WORKFLOWS)("%s.json is the same graph as a file of the editor", (name) => {
    const { graph } = openData(workflowOf(name), CATALOGUE);

    const again = fromEditor(toEditor(graph, CATALOGUE), CATALOGUE);

    expect(again).toEqual({ graph, warnings: [], arranged: true });
  });

  // What nodegraph makes of these files is compared by tests/test_web_fixtures.py. The graphs are
  // those of workflows/ when the file was written: a change there is no change of the page.
  test("the example workflows as files of the editor", async () => {
    const documents = process.env["FIXTURES"]
      ? WORKFLOWS.map((name) => [name, workflowOf(name)] as const)
      : Object.entries(jsonOf("saved.json")).map(([name, each]) => [name, asObject(each)["document"] ?? null] as const);

    const lines = documents.map(([name, document]) => {
      const file = toEditor(openData(document, CATALOGUE).graph, CATALOGUE);
      return `${formatJson(name)}: ${formatJson({ document, file })}`;
    });

    expect(lines.length).toBeGreaterThan(20);
    await expect(`{\n${lines.join(",\n")}\n}\n`).toMatchFileSnapshot("../fixtures/saved.json");
  });

  test("graphs at random as files of the editor, with what they come to", async () => {
    const samples = fc.sample(graphs, { numRuns: 40, seed: 7 });

    const lines = samples.map((graph) => {
      const { prompt, warnings } = toApi(graph, CATALOGUE);
      return formatJson({ file: toEditor(graph, CATALOGUE), prompt: prompt as unknown as Json, warnings });
    });

    await expect(`[\n${lines.join(",\n")}\n]\n`).toMatchFileSnapshot("../fixtures/random.json");
  });

  test("a node of an unknown type keeps its values, its cables and the names of its outputs", () => {
    const document = {
      a: { class_type: "Sparkle", inputs: { list: { __value__: [1, 2] }, n: 3 }, _meta: { title: "Shine" } },
      b: { class_type: "SaveImage", inputs: { images: ["a", 2], filename_prefix: "x" }, _meta: { title: "SaveImage" } },
      c: { class_type: "Glitter", inputs: { from: ["a", "mask"] }, _meta: { title: "Glitter" } },
    };
    const { graph } = fromApi(document, CATALOGUE);

    const exported = toApi(graph, CATALOGUE).prompt;

    expect(exported["a"]).toEqual(document.a);
    expect(exported["b"]?.inputs["images"]).toEqual(["a", 2]);
    expect(exported["c"]?.inputs["from"]).toEqual(["a", 3]); // the place it has as a file's output
    expect(fromEditor(toEditor(graph, CATALOGUE), CATALOGUE).graph.nodes.get("a")?.values).toEqual({ list: [1, 2], n: 3 });
  });

  test("values of a known type that no widget has are kept in the file", () => {
    const graph = setValue(graphWith("KSampler"), "1", "from_elsewhere", { a: [1] });

    const again = fromEditor(toEditor(graph, CATALOGUE), CATALOGUE).graph;

    expect(again).toEqual(graph);
  });

  test("a seed of 2^64 - 1 stays exact", () => {
    const text = '{"1": {"class_type": "KSampler", "inputs": {"seed": 18446744073709551615}}}';

    const { graph } = openText(text, CATALOGUE);

    expect(graph.nodes.get("1")?.values["seed"]).toBe(18446744073709551615n);
    expect(formatJson(toApi(graph, CATALOGUE).prompt as unknown as Json)).toContain('"seed":18446744073709551615');
  });

  test("a request is opened by what it carries for the canvas", () => {
    const workflow = toEditor(graphWith("KSampler"), CATALOGUE);
    const request = { prompt: workflowOf("text_to_image"), extra_data: { extra_pnginfo: { workflow } } };

    expect(openData(request, CATALOGUE).graph.nodes.size).toBe(1);
    expect(openData({ prompt: request.prompt }, CATALOGUE).graph.nodes.size).toBe(7);
  });

  test.each(["[]", "{}", '{"a": 1}', '"x"', "nothing"])("%s is no graph", (text) => {
    expect(() => openText(text, CATALOGUE)).toThrow(/This is no/);
  });
});

describe("pictures", () => {
  test.each(["both.png", "both.webp", "both.jpg"])("%s opens as the editor's file that it carries", async (name) => {
    const { graph, arranged } = await openBytes(bytesOf(`pictures/${name}`), CATALOGUE);

    expect(arranged).toBe(true);
    expect(nodeOf(graph, "6").title).toBe("Positive");
    expect(drawn(graph)).toContain("3:LATENT -> 8:samples");
  });

  test("those of the documentation open as the graphs that made them", async () => {
    const folder = join(import.meta.dirname, "../../../docs/images");
    const names = readdirSync(folder, { recursive: true }).map(String).filter((name) => /\.(png|webp|jpe?g)$/.test(name));
    for (const name of names) {
      const bytes = new Uint8Array(readFileSync(join(folder, name)));
      const prompt = (await readTexts(bytes)).get("prompt");
      if (prompt === undefined) continue;

      const { graph, warnings } = await openBytes(bytes, CATALOGUE);

      const made = Object.keys(toApi(graph, CATALOGUE).prompt);
      expect([name, warnings, made]).toEqual([name, [], Object.keys(asObject(parseJson(prompt)))]);
    }
    expect(names.length).toBeGreaterThan(0);
  });

  test("text that is not ASCII comes out of an iTXt chunk as it was", async () => {
    const { graph } = await openBytes(bytesOf("pictures/foreign.png"), CATALOGUE);

    expect(nodeOf(graph, "1").title).toBe("Prüfstück");
  });

  test("compressed texts are read", async () => {
    const prompt = '{"1": {"class_type": "KSampler", "inputs": {"seed": 5}}}';
    const packed = await deflated(prompt);
    const chunks = {
      zTXt: [...ascii("prompt"), 0, 0, ...packed],
      iTXt: [...ascii("prompt"), 0, 1, 0, ...ascii("en"), 0, 0, ...packed],
    };
    for (const [kind, data] of Object.entries(chunks)) {
      const { graph } = await openBytes(pngWith(kind, data), CATALOGUE);
      expect(graph.nodes.get("1")?.values["seed"]).toBe(5);
    }
  });

  test("NaN, which some programs write into pictures, is no reason to refuse them", async () => {
    const data = [...ascii("prompt"), 0, ...ascii('{"1": {"class_type": "KSampler", "inputs": {}, "is_changed": [NaN]}}')];

    expect((await openBytes(pngWith("tEXt", data), CATALOGUE)).graph.nodes.size).toBe(1);
  });

  test("a damaged workflow does not hide a whole prompt", async () => {
    const first = pngWith("tEXt", [...ascii("workflow"), 0, ...ascii("{")]);
    const second = pngWith("tEXt", [...ascii("prompt"), 0, ...ascii('{"1": {"class_type": "KSampler", "inputs": {}}}')]);
    const both = new Uint8Array([...first.subarray(0, -12), ...second.subarray(8)]);

    expect((await openBytes(both, CATALOGUE)).graph.nodes.size).toBe(1);
  });

  test("a part of odd length before the texts of a WebP has a byte more", async () => {
    const whole = bytesOf("pictures/both.webp");
    const odd = [...ascii("ODD "), 3, 0, 0, 0, 1, 2, 3, 0];
    const bytes = new Uint8Array([...whole.subarray(0, 12), ...odd, ...whole.subarray(12)]);

    expect([...(await readTexts(bytes)).keys()].toSorted()).toEqual(["prompt", "workflow"]);
  });

  test("one without a graph says so", async () => {
    await expect(openBytes(bytesOf("pictures/none.png"), CATALOGUE)).rejects.toThrow("carries no graph");
  });

  test("whatever is cut off or changed, reading ends and does not throw", async () => {
    for (const name of ["both.png", "both.webp", "both.jpg"]) {
      const whole = bytesOf(`pictures/${name}`);
      await fc.assert(
        fc.asyncProperty(fc.nat(whole.length), fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 5 }), async (end, changes) => {
          const bytes = whole.slice();
          for (const [at, value] of changes) bytes[at] = value;
          await expect(readTexts(bytes.subarray(0, end))).resolves.toBeInstanceOf(Map);
        }),
        { numRuns: 60 },
      );
    }
  });

  test("a file that is no picture is none", () => {
    expect(pictureKind(new TextEncoder().encode('{"a": 1}'))).toBeNull();
    expect(pictureKind(new Uint8Array())).toBeNull();
  });
});

describe("JSON without loss", () => {
  test("any data comes back as it was", () => {
    const json = fc.letrec((tie) => ({
      value: fc.oneof(fc.string(), fc.boolean(), fc.constant(null), fc.integer(), fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n }), fc.array(tie("value"), { maxLength: 3 })),
    })).value;
    fc.assert(
      fc.property(json, (data) => {
        expect(parseJson(formatJson(data as Json))).toEqual(data);
      }),
    );
  });

  test.each([
    ['{"a": "NaN 12345678901234567890"}', { a: "NaN 12345678901234567890" }],
    ["[NaN, -Infinity, 12345678901234567890, -12345678901234567890]", [null, null, 12345678901234567890n, -12345678901234567890n]],
    ["[1234567890123456.5, 1e20, 12345678901234567000e0]", [1234567890123456.5, 1e20, 12345678901234567000]],
  ])("%s", (text, data) => {
    expect(parseJson(text)).toEqual(data);
  });
});

test("two values are the same if they are the same JSON", () => {
  const value = { a: [1, { b: null }], c: "x" };

  expect(sameJson(value, { c: "x", a: [1, { b: null }] })).toBe(true);
  for (const other of [{ ...value, d: 1 }, { a: value.a }, { ...value, a: [1] }, { ...value, c: undefined }, [], null]) {
    expect([sameJson(value, other as Json), sameJson(other as Json, value)]).toEqual([false, false]);
  }
  expect(sameJson({ a: 1 }, { b: 1 })).toBe(false);
  expect(sameJson([1], { 0: 1 })).toBe(false);
});

test("cables that a file cannot name by number are kept beside the known ones", () => {
  const graph = wired(graphWith("KSampler", "VAEDecode"), ["1:elsewhere", "2:samples"]);

  expect(toApi(graph, CATALOGUE).prompt["2"]?.inputs["samples"]).toEqual(["1", "elsewhere"]);
  expect(drawn(fromEditor(toEditor(graph, CATALOGUE), CATALOGUE).graph)).toEqual(["1:#1 -> 2:samples"]);
});

function ascii(text: string): number[] {
  return [...new TextEncoder().encode(text)];
}

function pngWith(kind: string, data: readonly number[]): Uint8Array {
  const length = [data.length >>> 24, (data.length >>> 16) & 255, (data.length >>> 8) & 255, data.length & 255];
  const end = [0, 0, 0, 0, ...ascii("IEND"), 0, 0, 0, 0];
  return new Uint8Array([0x89, ...ascii("PNG\r\n\u001a\n"), ...length, ...ascii(kind), ...data, 0, 0, 0, 0, ...end]);
}

async function deflated(text: string): Promise<number[]> {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("deflate"));
  return [...new Uint8Array(await new Response(stream).arrayBuffer())];
}
