import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { addNode, setTitle } from "../../src/doc/edit";
import type { Graph } from "../../src/doc/graph";
import { EMPTY } from "../../src/doc/graph";
import { GraphDocument, fresh, shortened } from "../../src/doc/history";
import { defOf } from "../support";

const grow = (graph: Graph): Graph => addNode(graph, defOf("VAEDecode"), { x: 0, y: 0 }).graph;

function edited(steps: number): GraphDocument {
  const document = new GraphDocument(EMPTY);
  for (let step = 0; step < steps; step += 1) document.apply(`step ${step}`, grow);
  return document;
}

describe("a document with its history, put away and taken up again", () => {
  test("has the same steps to undo and to redo, and is as unsaved as it was", () => {
    const document = edited(5);
    document.undo();
    document.markSaved();
    document.undo();
    const { graph } = document;
    const { past } = document;
    document.reset(EMPTY);

    document.take(past);

    expect(document.graph).toBe(graph);
    expect(document.dirty).toBe(true);
    expect([document.undoLabel, document.redoLabel]).toEqual(["step 2", "step 3"]);
    document.redo();
    expect(document.dirty).toBe(false);
    while (document.undo());
    expect(document.graph).toBe(EMPTY);
  });

  test("is not changed by what is done later", () => {
    const document = edited(2);
    const { past } = document;
    document.apply("later", grow);
    document.undo();
    document.undo();

    expect([past.steps.length, past.undone.length]).toEqual([2, 0]);
  });

  test("tells that another document took its place, and begins no step with it", () => {
    const document = edited(1);
    const reasons: string[] = [];
    document.subscribe(({ reason }) => reasons.push(reason));
    document.apply("title", (graph) => setTitle(graph, "1", "a"), { merge: "title" });
    document.take({ ...document.past });
    document.apply("title", (graph) => setTitle(graph, "1", "b"), { merge: "title" });

    expect(reasons).toEqual(["do", "reset", "do"]);
    expect(document.length).toBe(3);
  });

  test("one of which nothing is saved stays unsaved, whatever is undone", () => {
    const document = new GraphDocument(EMPTY);
    document.take(fresh(grow(EMPTY), null));

    document.apply("step", grow);
    document.undo();

    expect(document.dirty).toBe(true);
    document.markSaved();
    expect(document.dirty).toBe(false);
  });

  test("a copy, as the browser's base makes it, keeps which graphs are the same one", () => {
    const document = edited(3);
    document.undo();
    document.markSaved();
    const copy = structuredClone(document.past);

    document.take(copy);

    expect(document.dirty).toBe(false);
    document.redo();
    document.undo();
    expect(document.dirty).toBe(false);
  });

  test("shortened, it has the last steps, and never more nodes than it may", () => {
    fc.assert(
      fc.property(fc.nat(12), fc.nat(12), fc.nat(120), (steps, back, room) => {
        const document = edited(steps);
        for (let each = 0; each < back; each += 1) document.undo();
        const { past } = document;

        const short = shortened(past, room);

        expect(short.graph).toBe(past.graph);
        expect(past.steps.slice(past.steps.length - short.steps.length)).toEqual(short.steps);
        expect(past.undone.slice(past.undone.length - short.undone.length)).toEqual(short.undone);
        const nodes = [...short.steps, ...short.undone].map(({ before }) => before.nodes.size);
        expect(nodes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(room);
        if (room > 100) expect(short).toEqual(past);
      }),
    );
  });
});
