import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";

import { copy, paste } from "../../src/doc/clipboard";
import { connect, disconnect, insertNode, refusal } from "../../src/doc/connect";
import {
  addGroup, addNode, moveNodes, placeNodes, raiseNodes, removeGroups, removeNodes, replaceType, setTitle,
  setValue, toggleMode,
} from "../../src/doc/edit";
import type { Graph } from "../../src/doc/graph";
import { EMPTY, cables } from "../../src/doc/graph";
import { GraphDocument } from "../../src/doc/history";
import { portsOf } from "../../src/doc/ports";
import { CATALOGUE, at, defOf, drawn, graphWith, graphs, nodeOf, pick } from "../support";

/** Any change that the canvas can make, on parts of the graph chosen by shares. */
const change: fc.Arbitrary<(graph: Graph) => Graph> = fc
  .tuple(fc.nat(11), pick, pick, pick)
  .map(([kind, a, b, c]) => (graph: Graph) => {
    const ids = [...graph.nodes.keys()];
    const [one, other] = [at(ids, a), at(ids, b)];
    if (one === undefined || other === undefined) return addNode(graph, defOf("KSampler"), { x: 0, y: 0 }).graph;
    const cable = at(cables(graph), c);
    switch (kind) {
      case 0:
        return addNode(graph, defOf("VAEDecode"), { x: c, y: a }).graph;
      case 1:
        return removeNodes(graph, [one], CATALOGUE, { heal: b < 0.5 });
      case 2:
        return moveNodes(graph, [one, other], { x: Math.round(c * 9), y: 1 });
      case 3:
        return setValue(graph, one, "seed", Math.round(c * 1e9));
      case 4: {
        const output = at(portsOf(nodeOf(graph, one), CATALOGUE).outputs, b)?.key ?? "";
        const input = at(portsOf(nodeOf(graph, other), CATALOGUE).inputs, c)?.name ?? "";
        const [source, to] = [{ node: one, output }, { node: other, input }];
        return refusal(graph, source, to, CATALOGUE) ? graph : connect(graph, source, to);
      }
      case 5:
        return cable ? disconnect(graph, cable) : graph;
      case 6:
        return cable ? insertNode(graph, cable, one, CATALOGUE) : graph;
      case 7:
        return paste(graph, copy(graph, [one, other]), { outer: c < 0.5 }).graph;
      case 8:
        return toggleMode(graph, [one], c < 0.5 ? "muted" : "bypassed");
      case 9:
        return raiseNodes(graph, [one]);
      case 10:
        return c < 0.5
          ? addGroup(graph, "g", { x: 0, y: 0, width: 9, height: 9 }).graph
          : removeGroups(graph, [...graph.groups.keys()].slice(0, 1));
      default:
        return replaceType(graph, one, defOf("KSamplerAdvanced"));
    }
  });

describe("a document's history", () => {
  test("undoing everything gives the very graph it began with, redoing the one it ended with", () => {
    fc.assert(
      fc.property(graphs, fc.array(fc.tuple(change, fc.boolean()), { maxLength: 25 }), (start, changes) => {
        const document = new GraphDocument(start);
        for (const [each, grouped] of changes) {
          if (grouped) document.transact("two", () => [each, each].forEach((one) => document.apply("x", one)));
          else document.apply("x", each);
        }
        const end = document.graph;
        const steps = document.length;

        while (document.undo());
        expect(document.graph).toBe(start);
        expect(document.dirty).toBe(false);

        let redone = 0;
        while (document.redo()) redone += 1;
        expect(redone).toBe(steps);
        expect(document.graph).toBe(end);
      }),
      { numRuns: 150 },
    );
  });

  test("no change leaves a cable that begins or ends at nothing", () => {
    fc.assert(
      fc.property(graphs, fc.array(change, { maxLength: 25 }), (start, changes) => {
        const end = changes.reduce((graph, each) => each(graph), start);

        for (const { node, source } of cables(end)) {
          expect(end.nodes.has(node) && end.nodes.has(source.node)).toBe(true);
        }
      }),
      { numRuns: 150 },
    );
  });

  test("a graph is never changed in place", () => {
    fc.assert(
      fc.property(graphs, change, (graph, each) => {
        const before = JSON.stringify(drawn(graph)) + graph.nodes.size;

        each(graph);

        expect(JSON.stringify(drawn(graph)) + graph.nodes.size).toBe(before);
      }),
    );
  });

  test("a transaction is one step, however much it changes", () => {
    const document = new GraphDocument(graphWith("KSampler", "VAEDecode"));

    document.transact("move both", () => {
      document.apply("a", (graph) => moveNodes(graph, ["1"], { x: 5, y: 0 }));
      document.transact("inner", () => document.apply("b", (graph) => moveNodes(graph, ["2"], { x: 5, y: 0 })));
    });

    expect(document.length).toBe(1);
    expect(document.undoLabel).toBe("move both");
  });

  test("what a transaction throws takes back what it did", () => {
    const document = new GraphDocument(graphWith("KSampler"));
    const before = document.graph;

    const failing = (): void =>
      document.transact("x", () => {
        document.apply("a", (graph) => setTitle(graph, "1", "changed"));
        throw new Error("no");
      });

    expect(failing).toThrow("no");
    expect(document.graph).toBe(before);
    expect(document.canUndo).toBe(false);
  });

  test("a transaction without a change is no step", () => {
    const document = new GraphDocument(graphWith("KSampler"));

    document.transact("nothing", () => document.apply("a", (graph) => setTitle(graph, "1", "")));

    expect(document.canUndo).toBe(false);
  });

  test("steps with one key merge until something comes between", () => {
    const document = new GraphDocument(graphWith("KSampler"));
    const typed = (text: string): boolean =>
      document.apply("type", (graph) => setTitle(graph, "1", text), { merge: "title 1" });

    typed("a");
    typed("ab");
    document.apply("move", (graph) => placeNodes(graph, new Map([["1", { x: 9, y: 9 }]])));
    typed("abc");
    document.seal();
    typed("abcd");

    expect(document.length).toBe(4);
    document.undo();
    document.undo();
    document.undo();
    expect(nodeOf(document.graph, "1").title).toBe("ab");
    document.undo();
    expect(nodeOf(document.graph, "1").title).toBe("");
  });

  test("a change after undoing forgets what was undone", () => {
    const document = new GraphDocument(graphWith("KSampler"));
    document.apply("a", (graph) => setTitle(graph, "1", "a"));
    document.undo();
    document.apply("b", (graph) => setTitle(graph, "1", "b"));

    expect(document.canRedo).toBe(false);
    expect(document.undoLabel).toBe("b");
  });

  test("it is dirty until it is saved, and after undoing what was saved", () => {
    const document = new GraphDocument(graphWith("KSampler"));
    document.apply("a", (graph) => setTitle(graph, "1", "a"));
    expect(document.dirty).toBe(true);
    document.markSaved();
    expect(document.dirty).toBe(false);
    document.undo();
    expect(document.dirty).toBe(true);
    document.redo();
    expect(document.dirty).toBe(false);
  });

  test("it remembers as many steps as it is told to", () => {
    const document = new GraphDocument(graphWith("KSampler"), 3);
    for (const title of "abcde") document.apply("t", (graph) => setTitle(graph, "1", title));

    while (document.undo());

    expect(nodeOf(document.graph, "1").title).toBe("b");
  });

  test("listeners hear of changes, and of none after they have gone", () => {
    const document = new GraphDocument(graphWith("KSampler"));
    const listener = vi.fn();
    const leave = document.subscribe(listener);
    document.apply("a", (graph) => setTitle(graph, "1", "a"));
    document.undo();
    leave();
    document.redo();

    expect(listener.mock.calls.map(([changed]) => changed.reason)).toEqual(["do", "undo"]);
  });
});

test("listeners hear at the end of a transaction that there is a step, with the graph before it", () => {
  const document = new GraphDocument(EMPTY);
  const heard: unknown[] = [];
  document.subscribe(({ before, reason }) => heard.push([reason, before === EMPTY, document.canUndo]));

  document.begin("Drag");
  document.apply("Drag", (graph) => ({ ...graph }));
  document.apply("Drag", (graph) => ({ ...graph }));
  document.commit();
  document.begin("Nothing");
  document.commit();

  expect(heard).toEqual([["do", true, false], ["do", false, false], ["do", true, true]]);
});
