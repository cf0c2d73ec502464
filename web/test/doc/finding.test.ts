import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { disconnect, refusal } from "../../src/doc/connect";
import { setTitle, setValue } from "../../src/doc/edit";
import { findNodes } from "../../src/doc/find";
import { openData } from "../../src/doc/open";
import { partners } from "../../src/doc/partners";
import { portsOf } from "../../src/doc/ports";
import { connectedTo, firstNode, stepFrom } from "../../src/doc/walk";
import { CATALOGUE, graphWith, graphs, workflowOf } from "../support";

const graph = openData(workflowOf("text_to_image"), CATALOGUE).graph;
const ids = (query: string): string[] => findNodes(graph, CATALOGUE, query).map(({ node }) => node.id);

describe("finding a node", () => {
  test("goes by its title, its type, its number, and by the texts in it", () => {
    const named = setValue(setTitle(graph, "6", "Into pixels"), "2", "text", "a striped zebra");

    expect(findNodes(named, CATALOGUE, "pixels")[0]).toMatchObject({ title: "Into pixels", node: { id: "6" } });
    expect(findNodes(named, CATALOGUE, "vaedecode")[0]?.node.id).toBe("6");
    expect(findNodes(named, CATALOGUE, "zebra").map(({ node, text }) => [node.id, text])).toEqual([["2", "a striped zebra"]]);
    expect([ids("#5")[0], ids("5")[0]]).toEqual(["5", "5"]);
    expect(ids("no such thing")).toEqual([]);
  });

  test("lists all from left to right where nothing was typed", () => {
    expect(ids("")).toHaveLength(graph.nodes.size);
    expect(ids("")[0]).toBe("1");
  });
});

describe("walking", () => {
  test("goes along the cables and back, and to what lies above and below", () => {
    expect(firstNode(graph)).toBe("1");
    expect(stepFrom(graph, "6", "on")).toBe("7");
    expect(stepFrom(graph, "7", "back")).toBe("6");
    expect(stepFrom(graph, "7", "on")).toBeNull();
    const below = stepFrom(graph, "2", "down") ?? "";
    expect(stepFrom(graph, below, "up")).toBe("2");
  });

  test("all that is connected is found from each of its nodes", () => {
    fc.assert(
      fc.property(graphs, (each) => {
        for (const id of [...each.nodes.keys()].slice(0, 4)) {
          const found = connectedTo(each, [id]);
          for (const other of found) expect(connectedTo(each, [other])).toEqual(found);
        }
      }),
    );
  });
});

describe("the ports that one may be joined with", () => {
  test("are all that a cable may go to, and no others", () => {
    fc.assert(
      fc.property(graphs, (each) => {
        for (const node of [...each.nodes.values()].slice(0, 3)) {
          for (const { key } of portsOf(node, CATALOGUE).outputs) {
            const from = { node: node.id, output: key };
            const listed = partners(each, { from }, CATALOGUE);
            for (const { to } of listed) expect(refusal(each, from, to, CATALOGUE)).toBeNull();
            const all = [...each.nodes.values()].flatMap((other) =>
              portsOf(other, CATALOGUE).inputs.filter(
                ({ name }) => refusal(each, from, { node: other.id, input: name }, CATALOGUE) === null,
              ),
            );
            expect(listed).toHaveLength(all.length);
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  test("come with free sockets first, and with what a cable would take the place of", () => {
    const source = { from: { node: "1", output: "VAE" } };
    expect(partners(graph, source, CATALOGUE)).toMatchObject([{ node: "6", port: "vae", taken: true, here: true }]);

    const freed = disconnect(graph, { node: "5", input: "negative" });
    const ends = partners(freed, { from: { node: "2", output: "CONDITIONING" } }, CATALOGUE);
    expect(ends.map(({ port }) => port)).toEqual(["negative", "positive"]);

    const two = graphWith("CheckpointLoaderSimple", "VAEDecode");
    expect(partners(two, { to: { node: "2", input: "vae" } }, CATALOGUE)).toMatchObject([
      { node: "1", port: "VAE", type: "VAE", taken: false, here: false },
    ]);
  });
});
