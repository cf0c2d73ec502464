import { describe, expect, test } from "vitest";

import { removeNodes, setTitle } from "../../src/doc/edit";
import type { Graph } from "../../src/doc/graph";
import { EMPTY } from "../../src/doc/graph";
import { fresh } from "../../src/doc/history";
import { openData } from "../../src/doc/open";
import type { JobMessage } from "../../src/protocol/messages";
import type { Draft } from "../../src/state/drafts";
import type { Editor } from "../../src/state/editor";
import { CATALOGUE, workflowOf } from "../support";
import { editorWith } from "./editing";

const graph = openData(workflowOf("text_to_image"), CATALOGUE).graph;
const other = openData(workflowOf("inpaint"), CATALOGUE).graph;
const titled = (title: string) => (before: Graph) => setTitle(before, "1", title);

function begins(job: string): JobMessage {
  return { type: "execution_start", n: 1, data: { prompt_id: job, timestamp: 1 } } as JobMessage;
}

function works(job: string, value: number): JobMessage {
  const node = { value, max: 9, state: "running", node_id: "5", prompt_id: job, display_node_id: "5", parent_node_id: null, real_node_id: "5" };
  return { type: "progress_state", n: 2, data: { prompt_id: job, nodes: { "5": node } } } as unknown as JobMessage;
}

function hear(editor: Editor, ...messages: JobMessage[]): void {
  for (const message of messages) editor.tabs.hear({ kind: "job", message });
}

const names = (editor: Editor): string[] => editor.tabs.store.getState().tabs.map(({ name }) => name);

describe("opening a graph", () => {
  test("takes the place of one in which nothing was done", () => {
    const editor = editorWith(graph);

    editor.tabs.place(other, "other");

    expect(editor.graph).toBe(other);
    expect(names(editor)).toEqual(["other"]);
    expect([editor.document.canUndo, editor.document.dirty]).toEqual([false, false]);
  });

  test.each([
    ["one that was changed", (editor: Editor) => editor.document.apply("x", titled("x"))],
    ["one that was changed, which was undone", (editor: Editor) => {
      editor.document.apply("x", titled("x"));
      editor.document.undo();
    }],
    ["one that was changed and is saved, without a file", (editor: Editor) => {
      editor.document.apply("x", titled("x"));
      editor.document.markSaved();
    }],
    ["one that has a file", (editor: Editor) => editor.tabs.change(editor.tabs.shown.id, { file: { path: "a", etag: "e" } })],
    ["one that runs", (editor: Editor) => editor.runtime.submitted("job")],
    ["one of which nothing is saved", (editor: Editor) => editor.tabs.unsaved(editor.tabs.shown.id)],
  ])("stands beside %s", (_, work) => {
    const editor = editorWith(graph);
    work(editor);
    const before = editor.graph;

    editor.tabs.place(other, "other");

    expect(editor.graph).toBe(other);
    expect(editor.tabs.store.getState().tabs).toHaveLength(2);
    editor.tabs.step(1);
    expect(editor.graph).toBe(before);
  });
});

test("each graph has its own history, selection ends, and what is unsaved is told of each", () => {
  const editor = editorWith(graph);
  editor.document.apply("one", titled("one"));
  editor.tabs.place(other, "other");
  editor.document.apply("two", titled("two"));
  editor.ui.setState({ nodes: new Set(["1"]), live: new Set(["1"]) });

  editor.tabs.step(-1);

  expect(editor.document.undoLabel).toBe("one");
  expect([editor.ui.getState().nodes.size, editor.ui.getState().live.size]).toEqual([0, 0]);
  editor.document.undo();
  expect(editor.tabs.store.getState().tabs.map(({ dirty }) => dirty)).toEqual([false, true]);
  editor.tabs.step(1);
  expect(editor.document.undoLabel).toBe("two");
  expect(editor.ui.getState().name).toBe("other");
});

describe("closing", () => {
  test("asks about a graph that is not saved, and shows it", () => {
    const editor = editorWith(graph);
    editor.document.apply("x", titled("x"));
    const { id } = editor.tabs.shown;
    editor.tabs.place(other, "other");

    editor.tabs.close(id);

    expect(editor.tabs.shown.id).toBe(id);
    expect(editor.tabs.store.getState().dialog).toEqual({ kind: "close" });
    editor.tabs.close(id, true);
    expect(names(editor)).toEqual(["other"]);
    expect(editor.graph).toBe(other);
    expect(editor.tabs.store.getState().dialog).toBeNull();
  });

  test("the last one leaves an empty canvas", () => {
    const editor = editorWith(graph);

    editor.tabs.close(editor.tabs.shown.id);

    expect(editor.graph.nodes.size).toBe(0);
    expect(editor.tabs.store.getState().tabs).toHaveLength(1);
    editor.tabs.place(other, "other");
    expect(names(editor)).toEqual(["other"]);
  });
});

describe("runs of several graphs", () => {
  function running(): Editor {
    const editor = editorWith(graph);
    editor.runtime.submitted("first");
    editor.tabs.ran(editor.tabs.shown.id, "first");
    hear(editor, begins("first"), works("first", 3));
    editor.tabs.place(other, "other");
    return editor;
  }

  test("are heard of where they belong, whichever is shown", () => {
    const editor = running();
    expect(editor.runtime.node("5").state).toBe("idle");
    expect(editor.current()).toBeNull();
    hear(editor, works("first", 7));
    expect(editor.runtime.node("5").state).toBe("idle");
    hear(editor, begins("second"), works("second", 1));
    expect(editor.runtime.node("5").value).toBe(1);

    editor.tabs.step(1);

    expect(editor.runtime.node("5")).toMatchObject({ state: "running", value: 7 });
    expect(editor.current()).toBe("first");
    hear(editor, works("second", 2));
    expect(editor.runtime.node("5").value).toBe(7);
    editor.tabs.step(1);
    expect(editor.runtime.node("5").value).toBe(2);
  });

  test("tell those that watch a node when another graph is shown", () => {
    const editor = running();
    let told = 0;
    editor.runtime.subscribeNode("5", () => (told += 1));

    editor.tabs.step(1);

    expect(told).toBeGreaterThan(0);
  });

  test("of a graph that is closed concern nobody", () => {
    const editor = running();
    const [first] = editor.tabs.store.getState().tabs;

    editor.tabs.close(first?.id ?? "", true);
    hear(editor, begins("first"), works("first", 8)); // as after a restart of the server

    expect(editor.runtime.node("5").state).toBe("idle");
  });

  test("that are submitted while another graph comes to be shown belong to the first", async () => {
    const editor = editorWith(graph, async () => Response.json({ prompt_id: "x", number: 1, node_errors: {} }));
    const submitting = editor.submit();
    editor.document.apply("x", titled("x"));
    editor.tabs.place(other, "other");
    const job = (await submitting) ?? "";

    expect(editor.runtime.job(job)).toBeNull();
    expect(editor.current()).toBeNull();
    editor.tabs.step(1);
    expect(editor.current()).toBe(job);
  });
});

describe("drafts", () => {
  function drafted(): readonly Draft[] {
    const editor = editorWith(graph);
    editor.tabs.change(editor.tabs.shown.id, { name: "a", file: { path: "workflows/a.json", etag: "e" } });
    editor.document.apply("x", titled("kept"));
    editor.runtime.submitted("waits");
    editor.runtime.submitted("last");
    editor.tabs.ran(editor.tabs.shown.id, "last");
    const { id } = editor.tabs.shown;
    const second = editor.tabs.draft(editor.tabs.add(fresh(other), "b"));
    const first = editor.tabs.draft(id);
    if (!first || !second) throw new Error("no drafts");
    return structuredClone([
      { ...second, opened: 2, shown: 1, page: "p", saved: 1 },
      { ...first, opened: 1, shown: 2, page: "p", saved: 1 },
    ]);
  }

  test("bring all graphs back in their order, with history, file, runs and what is unsaved", () => {
    const editor = editorWith(EMPTY);
    const watched: string[] = [];
    editor.connection.watch = (id) => void watched.push(id);

    expect(editor.tabs.restore(drafted())).toBe(true);

    expect(names(editor)).toEqual(["a", "b"]);
    expect(editor.tabs.shown).toMatchObject({ name: "a", dirty: true, file: { path: "workflows/a.json", etag: "e" } });
    expect(editor.current()).toBe("last");
    expect(watched).toEqual(["waits", "last"]);
    hear(editor, begins("waits"));
    expect(editor.runtime.shownJob?.id).toBe("waits");
    editor.document.undo();
    expect(editor.document.dirty).toBe(false);
    expect(editor.graph).toEqual(graph);
  });

  test("whose history another page kept in another form bring the graph back without it", () => {
    const editor = editorWith(EMPTY);
    const [, first] = drafted();
    if (!first?.past) throw new Error("no history");
    const odd = { ...first, past: { ...first.past, graph: removeNodes(first.past.graph, ["1"], CATALOGUE) } };
    const broken = { ...first, tab: "broken", past: { steps: 3 } as never };

    editor.tabs.restore([odd, broken]);

    for (const _ of [1, 2]) {
      expect(editor.text()).toBe(first.text);
      expect([editor.document.canUndo, editor.document.dirty]).toEqual([false, true]);
      editor.tabs.step(1);
    }
  });

  test("that cannot be read are left alone", () => {
    const editor = editorWith(EMPTY);
    const [first] = drafted();

    expect(first && editor.tabs.restore([{ ...first, past: null, text: "{" }])).toBe(false);
    expect(editor.tabs.store.getState().tabs).toHaveLength(1);
  });
});
