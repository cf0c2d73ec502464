import { describe, expect, test, vi } from "vitest";

import { setValue } from "../../src/doc/edit";
import { formatJson } from "../../src/doc/json";
import { openData } from "../../src/doc/open";
import type { JobDetails, JobStatus } from "../../src/protocol/http";
import {
  DRAGGED, asInput, compareMarked, compareWithBefore, loadFrom, mark, openGraph, readDragged, recallPrompt, recallSeed,
} from "../../src/state/pictures";
import { Runs, readRun, recipeFor } from "../../src/state/runs";
import type { Picture } from "../../src/state/ui";
import { CATALOGUE, graphWith, nodeOf, workflowOf } from "../support";
import { editorWith } from "./editing";

const graph = openData(workflowOf("text_to_image"), CATALOGUE).graph;
const file = (name: string) => ({ filename: name, subfolder: "", type: "output" });
const picture = (job: string, name: string): Picture => ({ file: file(name), job, node: "7" });

/** A job as the server tells of it: the first example with other values, and pictures. */
function job(id: string, seed: number, text: string, images: readonly string[], status: JobStatus = "completed"): JobDetails {
  const prompt = structuredClone(workflowOf("text_to_image")) as Record<string, { inputs: Record<string, unknown> }>;
  Object.assign(prompt["5"]?.inputs ?? {}, { seed });
  Object.assign(prompt["2"]?.inputs ?? {}, { text });
  return {
    id, status, priority: 1, create_time: 1, execution_start_time: 1, execution_end_time: 2, execution_error: null,
    outputs_count: images.length, previewable_outputs_count: images.length, preview_output: null, workflow_id: null,
    outputs: { "7": { images: images.map(file) } },
    workflow: { prompt: prompt as never, extra_data: {} },
  };
}

function answering(...jobs: readonly JobDetails[]) {
  return async (url: string): Promise<Response> => {
    const id = /\/jobs\/([^?]+)/.exec(url)?.[1];
    if (id === undefined) return new Response(formatJson({ jobs: jobs as never, pagination: { offset: 0, total: jobs.length, has_more: false } }));
    const found = jobs.find((each) => each.id === id);
    return found ? new Response(formatJson(found as never)) : new Response("{}", { status: 404 });
  };
}

describe("a run of the server's", () => {
  test("has its pictures, and what they were made with", () => {
    const run = readRun(job("j", 9, "dog", ["a.png", "b.png"]), CATALOGUE);

    expect(run.pictures.map(({ file: { filename }, node }) => [filename, node])).toEqual([["a.png", "7"], ["b.png", "7"]]);
    expect(recipeFor(run, picture("j", "a.png")).seeds[0]?.value).toBe(9);
  });

  test("whose graph cannot be read has its pictures all the same", () => {
    const damaged = { ...job("j", 9, "dog", ["a.png"]), workflow: { prompt: {}, extra_data: {} } };

    expect(readRun(damaged, CATALOGUE)).toMatchObject({ pictures: [{ job: "j" }], recipe: { seeds: [] } });
  });

  test("is asked for once, but again if it was still at work, or could not be had", async () => {
    const asked = vi.fn(async () => job("j", 9, "dog", [], "in_progress"));
    const runs = new Runs({ job: asked }, () => CATALOGUE);
    await runs.get("j", true);
    expect(runs.now("j", true)).toBeNull();

    asked.mockRejectedValueOnce(new Error("gone"));
    await expect(runs.get("j", true)).rejects.toThrow("gone");
    asked.mockImplementation(async () => job("j", 9, "dog", ["a.png"]));
    const run = await runs.get("j", true);

    expect([await runs.get("j", true), runs.now("j", true)]).toEqual([run, run]);
    expect(asked).toHaveBeenCalledTimes(3);
  });
});

describe("what is recalled from a picture", () => {
  test("is its seed alone, as one step, and it is said where it went", async () => {
    const editor = editorWith(graph, answering(job("j", 99, "dog", ["a.png"])));

    await recallSeed(editor, picture("j", "a.png"));

    expect([nodeOf(editor.graph, "5").values["seed"], nodeOf(editor.graph, "2").values["text"]]).toEqual([99, "cat face"]);
    expect(editor.ui.getState().sayings.at(-1)?.text).toBe("Seed 99 is now in Sampler, and stays");
    expect(editor.document.undoLabel).toBe("Recall the seed");
    editor.document.undo();
    expect(editor.graph).toBe(graph);
  });

  test("is its prompt alone; what has no place is counted", async () => {
    const one = graphWith("CLIPTextEncode");
    const editor = editorWith(setValue(one, "1", "text", "old"), answering(job("j", 9, "dog", ["a.png"])));

    await recallPrompt(editor, picture("j", "a.png"));
    expect(editor.ui.getState().sayings.at(-1)).toMatchObject({ problem: true, text: "This graph has no place for a prompt" });

    const other = editorWith(graph, answering(job("j", 9, "dog", ["a.png"])));
    await recallPrompt(other, picture("j", "a.png"));
    expect([nodeOf(other.graph, "2").values["text"], nodeOf(other.graph, "5").values["seed"]]).toEqual(["dog", 7]);
  });

  test("changes nothing if the server has forgotten the run, and that is said", async () => {
    const editor = editorWith(graph, answering());

    await recallSeed(editor, picture("j", "a.png"));

    expect(editor.graph).toBe(graph);
    expect(editor.ui.getState().sayings.at(-1)?.problem).toBe(true);
  });

  test("can be the whole graph", async () => {
    const editor = editorWith(graph, answering(job("j", 99, "dog", ["a.png"])));

    expect(await openGraph(editor, picture("j", "a.png"))).toBe(true);
    expect(nodeOf(editor.graph, "5").values["seed"]).toBe(99);
    expect(await openGraph(editor, { file: file("a.png"), job: null })).toBe(false);
  });
});

describe("a picture as an input", () => {
  test("is a new node, as one step, or the picture of the node that it is dropped on", () => {
    const editor = editorWith(graph);

    asInput(editor, picture("j", "a.png"));
    const [id] = [...editor.ui.getState().nodes];
    expect(nodeOf(editor.graph, id ?? "").values).toMatchObject({ image: "a.png [output]" });
    loadFrom(editor, { filename: "b.png", subfolder: "sub", type: "input" }, { x: 0, y: 0 }, id);
    loadFrom(editor, file("d.png"), { x: 0, y: 0 }, id);
    editor.document.undo();
    expect(nodeOf(editor.graph, id ?? "").values["image"]).toBe("sub/b.png");
    loadFrom(editor, file("c.png"), { x: 5, y: 6 }, "5");
    expect(editor.graph.nodes.size).toBe(9);

    editor.document.undo();
    editor.document.undo();
    editor.document.undo();
    expect(editor.graph).toBe(graph);
  });

  test("is known by what is dragged", () => {
    const dragged = (type: string, text: string) => ({ getData: (asked: string) => (asked === type ? text : "") });

    expect(readDragged(dragged(DRAGGED, JSON.stringify(file("a.png"))))).toEqual(file("a.png"));
    expect(readDragged(dragged("text/plain", "a.png"))).toBeNull();
    expect(readDragged(dragged(DRAGGED, "{}"))).toBeNull();
  });
});

describe("pictures to be compared", () => {
  test("are two at most, and one that is chosen again is let go", () => {
    const editor = editorWith(graph);
    const names = () => editor.ui.getState().marked.map(({ file: { filename } }) => filename);
    for (const name of ["a", "b", "c"]) mark(editor, picture("j", name));
    expect(names()).toEqual(["b", "c"]);
    mark(editor, picture("j", "b"));
    compareMarked(editor);
    expect([names(), editor.ui.getState().compared]).toEqual([["c"], null]);

    mark(editor, picture("k", "c"));
    compareMarked(editor);

    expect(editor.ui.getState().compared?.map(({ job: of }) => of)).toEqual(["j", "k"]);
    expect(names()).toEqual(["c", "c"]);
  });

  test("are a picture and the one at its place in the run before, which had pictures", async () => {
    const jobs = [job("new", 3, "x", ["c.png", "d.png"]), job("none", 2, "x", []), job("old", 1, "x", ["a.png", "b.png"])];
    const editor = editorWith(graph, answering(...jobs));

    await compareWithBefore(editor, picture("new", "d.png"));
    expect(editor.ui.getState().compared?.map(({ file: { filename } }) => filename)).toEqual(["b.png", "d.png"]);

    editor.ui.setState({ compared: null });
    await compareWithBefore(editor, picture("old", "a.png"));
    expect(editor.ui.getState().compared).toBeNull();
    expect(editor.ui.getState().sayings.at(-1)?.text).toBe("There is no earlier picture to compare with");
  });
});
