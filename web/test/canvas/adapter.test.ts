import { describe, expect, test } from "vitest";

import { Adapter, HANDLE, endOf, frameId, groupOf } from "../../src/canvas/adapter";
import type { CanvasNode, Shown } from "../../src/canvas/adapter";
import { lookOf } from "../../src/canvas/looks";
import { addGroup, setValue, toggleMode } from "../../src/doc/edit";
import { cables } from "../../src/doc/graph";
import { NORMAL, hasPictureRow, layoutNode } from "../../src/doc/layout";
import { openData } from "../../src/doc/open";
import { CATALOGUE, defOf, graphWith, nodeOf, workflowOf } from "../support";

const NOTHING: Shown = {
  nodes: new Set(),
  groups: new Set(),
  cables: new Set(),
  pictured: new Set(),
  far: false,
  measures: NORMAL,
  held: new Set(),
};
const graph = openData(workflowOf("text_to_image"), CATALOGUE).graph;

describe("nodes", () => {
  test("have the sizes and handles of their layout, so that none is mounted to be measured", () => {
    const made = new Adapter().nodes(graph, CATALOGUE, NOTHING) as CanvasNode[];

    expect(made.map(({ id }) => id)).toEqual([...graph.nodes.keys()]);
    for (const { id, width, height, measured, handles, data } of made) {
      const layout = layoutNode(nodeOf(graph, id), CATALOGUE, hasPictureRow(data.def));
      expect({ width, height }).toEqual({ width: layout.width, height: layout.height });
      expect(measured).toEqual({ width, height });
      expect(handles?.map(({ x, y }) => ({ x: x + HANDLE / 2, y: y + HANDLE / 2 }))).toEqual(
        layout.handles.map(({ x, y }) => ({ x, y })),
      );
    }
  });

  test("that did not change are the same objects", () => {
    const adapter = new Adapter();
    const before = adapter.nodes(graph, CATALOGUE, NOTHING);

    const after = adapter.nodes(setValue(graph, "5", "steps", 3), CATALOGUE, NOTHING);

    const others = after.filter((node, index) => node !== before[index]).map(({ id }) => id);
    expect(others).toEqual(["5"]);
  });

  test("stay mounted out of sight while they are held, and the others do not", () => {
    const made = new Adapter().nodes(graph, CATALOGUE, { ...NOTHING, held: new Set(["5"]) });

    expect(made.filter(({ dragging }) => dragging).map(({ id }) => id)).toEqual(["5"]);
  });

  test("are all new objects after coming near, since React Flow has forgotten their handles", () => {
    const adapter = new Adapter();
    const before = adapter.nodes(graph, CATALOGUE, NOTHING);
    adapter.nodes(graph, CATALOGUE, { ...NOTHING, far: true });

    const after = adapter.nodes(graph, CATALOGUE, NOTHING);

    expect(after.some((node) => before.includes(node))).toBe(false);
  });

  test("grow with a picture, and one that saves or loads pictures has room for it from the start", () => {
    const adapter = new Adapter();
    const height = (shown: Shown, id: string) =>
      adapter.nodes(graph, CATALOGUE, shown).find((node) => node.id === id)?.height ?? 0;

    expect(height({ ...NOTHING, pictured: new Set(["5"]) }, "5")).toBeGreaterThan(height(NOTHING, "5"));
    expect(height({ ...NOTHING, pictured: new Set(["7"]) }, "7")).toBe(height(NOTHING, "7"));
    expect(hasPictureRow(defOf("LoadImage"))).toBe(true);
    expect(hasPictureRow(undefined)).toBe(false);
  });

  test("lie on top of groups", () => {
    const { graph: grouped, id } = addGroup(graph, "Prompts", { x: 0, y: 0, width: 9, height: 9 });

    const [first, ...others] = new Adapter().nodes(grouped, CATALOGUE, NOTHING);

    expect([first?.id, first?.zIndex]).toEqual([frameId(id), -1]);
    expect(groupOf(frameId(id))).toBe(id);
    expect(others.every(({ zIndex, id: each }) => zIndex === undefined && groupOf(each) === null)).toBe(true);
  });
});

describe("edges", () => {
  test("there is one for each cable, between the handles of its ends, in the colour of its type", () => {
    const made = new Adapter().edges(graph, CATALOGUE, NOTHING);

    expect(made.map((edge) => [endOf(edge.source, edge.sourceHandle), endOf(edge.target, edge.targetHandle)])).toEqual(
      cables(graph).map(({ node, input, source }) => [
        { kind: "out", source },
        { kind: "in", to: { node, input } },
      ]),
    );
    const last = made.find(({ target }) => target === "7");
    expect(last?.style?.stroke).toBe(lookOf("IMAGE").color);
    expect(last?.ariaLabel).toBe("Cable from IMAGE of Decode to images of Save");
  });

  test("to what does not run are faint", () => {
    const muted = toggleMode(graph, ["7"], "muted");

    const faint = new Adapter().edges(muted, CATALOGUE, NOTHING).filter(({ className }) => className?.includes("off"));

    expect(faint.map(({ target }) => target)).toEqual(["7"]);
  });

  test("that did not change are the same objects, whatever values do", () => {
    const adapter = new Adapter();
    const before = adapter.edges(graph, CATALOGUE, NOTHING);

    expect(adapter.edges(setValue(graph, "5", "steps", 3), CATALOGUE, NOTHING)).toEqual(before);
    expect(adapter.edges(graph, CATALOGUE, NOTHING).every((edge, index) => edge === before[index])).toBe(true);
  });
});

test("types that nobody has heard of have a look of their own, always the same", () => {
  expect(lookOf("ENTIRELY_NEW")).toEqual(lookOf("ENTIRELY_NEW"));
  expect(lookOf("ENTIRELY_NEW")).not.toEqual(lookOf("ANOTHER_ONE"));
  expect(lookOf("INT,FLOAT")).toEqual(lookOf("INT"));
});

test("no graph makes no nodes", () => {
  expect(new Adapter().nodes(graphWith(), CATALOGUE, NOTHING)).toEqual([]);
});
