import fc from "fast-check";
import { describe, expect, test } from "vitest";

import {
  addReroute, attach, connect, disconnect, fittingTypes, givers, inputsFor, insertNode, insertion, moveEnd, moveStart, refusal, takers,
} from "../../src/doc/connect";
import { addNode, raiseNodes } from "../../src/doc/edit";
import type { Graph } from "../../src/doc/graph";
import { cables, dependsOn } from "../../src/doc/graph";
import { portsOf, sourceType } from "../../src/doc/ports";
import { accepts, typeRefusal } from "../../src/doc/types";
import { CATALOGUE, at, defOf, drawn, graphWith, graphs, nodeOf, pick, refOf, sourceOf, wired } from "../support";

const why = (graph: Graph, from: string, to: string): string | null =>
  refusal(graph, sourceOf(from), refOf(to), CATALOGUE);

describe("types", () => {
  test.each([
    ["IMAGE", "IMAGE", true],
    ["IMAGE", "MASK", false],
    ["*", "MASK", true],
    ["MASK", "*", true],
    ["FLOAT", "INT", true],
    ["INT", "FLOAT", false],
    ["STRING", "COMBO", true],
    ["COMBO", "STRING", true],
    ["INT,FLOAT", "INT", true],
    ["INT", "INT,FLOAT", false],
    ["FLOAT", "INT,FLOAT", true],
    ["FLOAT,STRING", "INT,COMBO", true],
    ["IMAGE", "image", false],
  ])("an input of %s takes %s: %s", (wanted, given, may) => {
    expect(accepts(wanted, given)).toBe(may);
    expect(typeRefusal(wanted, given) === null).toBe(may);
  });

  test("a refusal names both types in words", () => {
    expect(typeRefusal("INT,FLOAT", "IMAGE")).toBe("This input takes INT or FLOAT, and the output gives IMAGE");
  });
});

describe("what may be connected", () => {
  const graph = graphWith("CheckpointLoaderSimple", "CLIPTextEncode", "KSampler", "VAEDecode", "SaveImage", "Reroute");

  test.each([
    ["1:CLIP", "2:clip", null],
    ["1:MODEL", "2:clip", "takes CLIP, and the output gives MODEL"],
    ["1:CLIP", "1:model", "cannot feed itself"],
    ["9:CLIP", "2:clip", "gone"],
    ["1:NOTHING", "2:clip", "no output NOTHING"],
    ["1:CLIP", "2:nothing", "no input nothing"],
    ["1:CLIP", "6:", null],
  ])("%s -> %s: %s", (from, to, complaint) => {
    if (complaint === null) expect(why(graph, from, to)).toBeNull();
    else expect(why(graph, from, to)).toContain(complaint);
  });

  test("a reroute has the type of what comes in, and takes what all behind it take", () => {
    const fed = wired(graph, ["1:VAE", "6:"]);
    expect(sourceType(fed, sourceOf("6:"), CATALOGUE)).toBe("VAE");
    expect(why(fed, "6:", "4:vae")).toBeNull();
    expect(why(fed, "6:", "2:clip")).toContain("gives VAE");

    const feeding = wired(graph, ["6:", "4:samples"]);
    expect(why(feeding, "3:LATENT", "6:")).toBeNull();
    expect(why(feeding, "1:VAE", "6:")).toContain("takes LATENT");
  });

  test("a circle is refused, however long", () => {
    const ring = wired(graph, ["3:LATENT", "6:"], ["6:", "4:samples"]);

    expect(why(wired(ring, ["4:IMAGE", "5:images"]), "6:", "3:latent_image")).toContain("circle");
  });

  test("no sequence of allowed cables makes a circle", () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        for (const { node, source } of cables(graph)) expect(dependsOn(graph, source.node, node)).toBe(false);
      }),
    );
  });

  test("what is shown while a cable is drawn is what may be connected", () => {
    fc.assert(
      fc.property(graphs, pick, pick, (graph, a, b) => {
        const node = at([...graph.nodes.values()], a);
        const { inputs, outputs } = node ? portsOf(node, CATALOGUE) : { inputs: [], outputs: [] };
        const [output, input] = [at(outputs, b)?.key, at(inputs, b)?.name];
        const source = { node: node?.id ?? "", output: output ?? "" };
        const to = { node: node?.id ?? "", input: input ?? "" };
        const all = [...graph.nodes.values()].map((each) => ({ id: each.id, ...portsOf(each, CATALOGUE) }));

        expect(output === undefined ? [] : takers(graph, source, CATALOGUE)).toEqual(
          all.flatMap(({ id, inputs }) => inputs.map(({ name }) => ({ node: id, input: name })))
            .filter((each) => output !== undefined && refusal(graph, source, each, CATALOGUE) === null),
        );
        expect(input === undefined ? [] : givers(graph, to, CATALOGUE)).toEqual(
          all.flatMap(({ id, outputs }) => outputs.map(({ key }) => ({ node: id, output: key })))
            .filter((each) => input !== undefined && refusal(graph, each, to, CATALOGUE) === null),
        );
      }),
    );
  });

  test("what would make a circle is not shown, whichever way the cable is drawn", () => {
    const chain = wired(
      graphWith("ImageScale", "ImageScale", "ImageScale", "ImageScale"),
      ["1:IMAGE", "2:image"], ["2:IMAGE", "3:image"],
    );
    const images = (ends: readonly { node: string }[]): string[] => ends.map(({ node }) => node);

    expect(images(takers(chain, sourceOf("2:IMAGE"), CATALOGUE))).toEqual(["3", "4"]);
    expect(images(givers(chain, refOf("2:image"), CATALOGUE))).toEqual(["1", "4"]);
    const turned = raiseNodes(raiseNodes(chain, ["2"]), ["1"]);
    expect(images(givers(turned, refOf("4:image"), CATALOGUE))).toEqual(["3", "2", "1"]);
  });

  test("a cable into an input that the type lacks has an end to be seen and moved", () => {
    const graph = wired(graphWith("LoadImage", "SaveImage"), ["1:IMAGE", "2:former"]);

    const { inputs } = portsOf(nodeOf(graph, "2"), CATALOGUE);

    expect(inputs.slice(0, -1)).toEqual(defOf("SaveImage").inputs);
    expect(inputs.at(-1)).toMatchObject({ name: "former", type: "*", widget: null, required: false });
  });

  test("a value feeds widgets only", () => {
    const held = addNode(graph, defOf("PrimitiveNode"), { x: 0, y: 0 });

    expect(why(held.graph, `${held.id}:`, "3:seed")).toBeNull();
    expect(why(held.graph, `${held.id}:`, "3:model")).toContain("widget");
  });
});

describe("cables", () => {
  const graph = wired(
    graphWith("LoadImage", "ImageScale", "SaveImage", "SaveImage"),
    ["1:IMAGE", "3:images"], ["1:IMAGE", "4:images"],
  );

  test("an input has one cable: another takes its place", () => {
    expect(drawn(connect(graph, sourceOf("2:IMAGE"), refOf("3:images")))).toEqual([
      "1:IMAGE -> 4:images", "2:IMAGE -> 3:images",
    ]);
  });

  test("connecting what is connected, and taking off what is not, changes nothing", () => {
    expect(connect(graph, sourceOf("1:IMAGE"), refOf("3:images"))).toBe(graph);
    expect(disconnect(graph, refOf("2:image"))).toBe(graph);
    expect(drawn(disconnect(graph, refOf("3:images")))).toEqual(["1:IMAGE -> 4:images"]);
  });

  test("an end moves to another input", () => {
    expect(drawn(moveEnd(graph, refOf("3:images"), refOf("2:image")))).toEqual([
      "1:IMAGE -> 2:image", "1:IMAGE -> 4:images",
    ]);
    expect(moveEnd(graph, refOf("3:images"), refOf("3:images"))).toBe(graph);
  });

  test("all that an output feeds moves to another, as far as it may", () => {
    const some = wired(graph, ["1:IMAGE", "2:image"]);

    expect(drawn(moveStart(some, sourceOf("1:IMAGE"), sourceOf("2:IMAGE"), CATALOGUE))).toEqual([
      "1:IMAGE -> 2:image", "2:IMAGE -> 3:images", "2:IMAGE -> 4:images",
    ]);
    expect(moveStart(some, sourceOf("1:IMAGE"), sourceOf("1:MASK"), CATALOGUE)).toBe(some);
  });

  test("a node is put into a cable by ports that fit", () => {
    expect(insertion(graph, refOf("3:images"), "2", CATALOGUE)).toEqual({ input: "image", output: "IMAGE" });
    expect(drawn(insertNode(graph, refOf("3:images"), "2", CATALOGUE))).toEqual([
      "1:IMAGE -> 2:image", "1:IMAGE -> 4:images", "2:IMAGE -> 3:images",
    ]);
  });

  test("one that does not fit, or is at an end of it, is not", () => {
    const other = addNode(graph, defOf("KSampler"), { x: 0, y: 0 });

    expect(insertNode(other.graph, refOf("3:images"), other.id, CATALOGUE)).toBe(other.graph);
    expect(insertNode(graph, refOf("3:images"), "1", CATALOGUE)).toBe(graph);
    expect(insertNode(graph, refOf("3:images"), "3", CATALOGUE)).toBe(graph);
  });

  test("a reroute goes into the middle of a cable", () => {
    const bent = addReroute(graph, refOf("3:images"), { x: 7, y: 8 });

    expect(bent && drawn(bent.graph)).toEqual(["1:IMAGE -> 4:images", "1:IMAGE -> 5:", "5: -> 3:images"]);
    expect(addReroute(graph, refOf("2:image"), { x: 0, y: 0 })).toBeNull();
  });
});

describe("a cable let go over a node", () => {
  test("goes to free sockets before taken ones and widgets", () => {
    const graph = wired(graphWith("CLIPTextEncode", "KSampler", "CLIPTextEncode"), ["3:CONDITIONING", "2:positive"]);

    expect(inputsFor(graph, sourceOf("1:CONDITIONING"), "2", CATALOGUE).map(({ input }) => input)).toEqual([
      "negative", "positive",
    ]);
  });
});

describe("a cable let go over empty space", () => {
  test("finds the node types that take it, and the port it goes to", () => {
    const graph = graphWith("KSampler");

    const found = fittingTypes(graph, { from: sourceOf("1:LATENT") }, CATALOGUE);
    const ports = new Map(found.map(({ def, port }) => [def.type, port]));

    expect(ports.get("VAEDecode")).toBe("samples");
    expect(ports.get("KSampler")).toBe("latent_image");
    expect(ports.get("Reroute")).toBe("");
    expect(ports.has("SaveImage")).toBe(false);
    expect(ports.has("Note")).toBe(false);
  });

  test("drawn from an input, it finds what gives that type", () => {
    const found = fittingTypes(graphWith("KSampler"), { to: refOf("1:positive") }, CATALOGUE);
    const ports = new Map(found.map(({ def, port }) => [def.type, port]));

    expect(ports.get("CLIPTextEncode")).toBe("CONDITIONING");
    expect(ports.has("VAEDecode")).toBe(false);
    expect(ports.has("PrimitiveNode")).toBe(false);
    const widget = fittingTypes(graphWith("KSampler"), { to: refOf("1:steps") }, CATALOGUE);
    expect(widget.map(({ def }) => def.type)).toContain("PrimitiveNode");
  });

  test("every type that it offers can be connected", () => {
    fc.assert(
      fc.property(graphs, pick, pick, fc.boolean(), (graph, a, b, forward) => {
        const node = at([...graph.nodes.values()], a);
        if (!node) return;
        const { inputs, outputs } = portsOf(node, CATALOGUE);
        const port = at(forward ? outputs.map(({ key }) => key) : inputs.map(({ name }) => name), b);
        if (port === undefined) return;
        const from = forward
          ? { from: { node: node.id, output: port } }
          : { to: { node: node.id, input: port } };
        for (const fitting of fittingTypes(graph, from, CATALOGUE)) {
          const made = addNode(graph, fitting.def, { x: 0, y: 0 });
          const { [0]: source, [1]: to } = forward
            ? [{ node: node.id, output: port }, { node: made.id, input: fitting.port }]
            : [{ node: made.id, output: fitting.port }, { node: node.id, input: port }];
          expect(refusal(made.graph, source as never, to as never, CATALOGUE)).toBeNull();
          expect(attach(made.graph, from, made.id, fitting.port)).not.toBe(made.graph);
        }
      }),
      { numRuns: 40 },
    );
  });
});
