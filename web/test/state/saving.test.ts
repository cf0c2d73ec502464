import { beforeEach, describe, expect, test } from "vitest";

import { setTitle } from "../../src/doc/edit";
import type { Graph } from "../../src/doc/graph";
import { openData } from "../../src/doc/open";
import type { Editor } from "../../src/state/editor";
import {
  catchUp, deletedGraphs, openSaved, openTheirs, openVersion, remove, rename, restore, save, saveAnyway, saveAs, saveCopy,
  savedGraphs, versionsOf,
} from "../../src/state/saving";
import { CATALOGUE, workflowOf } from "../support";
import { editorWith } from "./editing";

const graph = openData(workflowOf("text_to_image"), CATALOGUE).graph;
const titled = (title: string) => (before: Graph) => setTitle(before, "1", title);

/** The server's files, with etags and versions as the server has them. */
class Disk {
  readonly files = new Map<string, { text: string; etag: string }>();
  readonly old = new Map<string, string[]>();
  /** Loses the answer to what is written next. */
  deaf = false;
  private count = 0;

  write(path: string, text: string): string {
    const before = this.files.get(path);
    if (before) this.old.set(path, [before.text, ...(this.old.get(path) ?? [])]);
    this.count += 1;
    this.files.set(path, { text, etag: `e${this.count}` });
    return `e${this.count}`;
  }

  readonly fetch = async (url: string, init?: RequestInit): Promise<Response> => {
    const { pathname, searchParams } = new URL(url, "http://nowhere");
    const [, path = "", more = "", version = ""] =
      /^\/api\/userdata\/([^/]+)(?:\/(versions|move)(?:\/([^/]+))?(?:\/restore)?)?$/.exec(pathname) ?? [];
    const name = decodeURIComponent(path);
    const match = new Headers(init?.headers).get("If-Match")?.replaceAll('"', "");
    const file = this.files.get(name);
    const info = (of: string): Response => Response.json({ path: of, size: 1, modified: 5, etag: this.files.get(of)?.etag });
    if (pathname === "/api/v2/userdata") return Response.json([{ name: "workflows", type: "directory" }]);
    if (pathname === "/api/userdata") {
      return Response.json([...this.files].map(([each, { etag }]) => ({ path: each.replace("workflows/", ""), size: 1, modified: 5, etag })));
    }
    if (pathname === "/api/v2/userdata/deleted") {
      const gone = [...this.old.keys()].filter((each) => !this.files.has(each));
      return Response.json(gone.map((each) => ({ path: each, size: 1, modified: 5, etag: "0" })));
    }
    if (init?.method === "GET" && more) {
      const old = this.old.get(name) ?? [];
      return version ? new Response(old.at(-1 - Number(version))) : Response.json(old.map((_, at) => ({ version: String(old.length - 1 - at), size: 1, modified: 5 })));
    }
    if (init?.method === "GET") {
      return file ? new Response(file.text, { headers: { ETag: `"${file.etag}"` } }) : Response.json({}, { status: 404 });
    }
    if (match !== undefined && match !== file?.etag) return Response.json({}, { status: 412 });
    if (init?.method === "DELETE") {
      this.old.set(name, [file?.text ?? "", ...(this.old.get(name) ?? [])]);
      this.files.delete(name);
      return new Response(null, { status: 204 });
    }
    if (more === "move" && file) {
      const to = decodeURIComponent(version);
      if (this.files.has(to)) return Response.json({}, { status: 409 });
      this.files.delete(name);
      this.files.set(to, file);
      return info(to);
    }
    if (more) this.write(name, this.old.get(name)?.at(-1 - Number(version)) ?? "");
    else if (searchParams.get("overwrite") === "false" && file) return Response.json({}, { status: 409 });
    else this.write(name, String(init?.body));
    if (this.deaf) {
      this.deaf = false;
      throw new TypeError("the answer was lost");
    }
    return info(name);
  };
}

let disk: Disk;
let editor: Editor;

beforeEach(() => {
  disk = new Disk();
  editor = editorWith(graph, disk.fetch);
  editor.document.apply("change", titled("mine"));
});

const dialog = (): string | undefined => editor.tabs.store.getState().dialog?.kind;
const held = (path: string): string => disk.files.get(path)?.text ?? "";
const PATH = "workflows/a.json";

describe("saving", () => {
  test("asks for a name once, then writes the same file, and the graph is no longer unsaved", async () => {
    await save(editor);
    expect(dialog()).toBe("save");
    expect(await saveAs(editor, "a")).toBe("saved");
    expect(editor.tabs.shown).toMatchObject({ name: "a", dirty: false, file: { path: PATH, etag: "e1" } });
    expect([dialog(), editor.ui.getState().name]).toEqual([undefined, "a"]);

    editor.document.apply("change", titled("again"));
    expect(editor.tabs.shown.dirty).toBe(true);
    await save(editor);

    expect(held(PATH)).toContain("again");
    expect(editor.tabs.shown).toMatchObject({ dirty: false, file: { etag: "e2" } });
    editor.document.undo();
    expect(editor.tabs.shown.dirty).toBe(true);
  });

  test("does not take another graph's name without being told to", async () => {
    disk.write(PATH, "theirs");

    expect(await saveAs(editor, "a")).toBe("taken");
    expect(held(PATH)).toBe("theirs");
    expect(await saveAs(editor, "a", { replace: true })).toBe("saved");
    expect(disk.old.get(PATH)).toEqual(["theirs"]);
  });

  test("of what changed while it was being written stays unsaved", async () => {
    const saving = saveAs(editor, "a");
    editor.document.apply("change", titled("meanwhile"));
    await saving;

    expect(editor.tabs.shown.dirty).toBe(true);
    editor.document.undo();
    expect(editor.tabs.shown.dirty).toBe(false);
  });

  test("of a graph that is no longer shown when the answer comes is noted there", async () => {
    const { id } = editor.tabs.shown;
    const saving = saveAs(editor, "a");
    editor.tabs.place(graph, "other");
    await saving;

    expect(editor.tabs.shown).toMatchObject({ name: "other", file: null });
    editor.tabs.show(id);
    expect(editor.tabs.shown).toMatchObject({ name: "a", dirty: false, file: { path: PATH } });
  });

  test("says when there is no answer, and the graph stays unsaved", async () => {
    editor = editorWith(graph);
    editor.document.apply("change", titled("mine"));

    expect(await saveAs(editor, "a")).toBe("failed");

    expect(editor.tabs.shown.dirty).toBe(true);
    expect(editor.ui.getState().sayings).toMatchObject([{ problem: true }]);
  });
});

describe("two that save the same file", () => {
  beforeEach(async () => {
    await saveAs(editor, "a");
    disk.write(PATH, JSON.stringify(workflowOf("inpaint")));
    editor.document.apply("change", titled("again"));
    await save(editor);
  });

  test("the second is asked, and nothing is written", () => {
    expect(editor.tabs.store.getState().dialog).toEqual({ kind: "conflict", gone: false, closing: false });
    expect(held(PATH)).not.toContain("again");
    expect(editor.tabs.shown.dirty).toBe(true);
  });

  test("both are kept under two names", async () => {
    disk.write("workflows/a (2).json", "there already");

    await saveCopy(editor);

    expect(held(PATH)).not.toContain("again");
    expect(held("workflows/a (3).json")).toContain("again");
    expect(editor.tabs.shown).toMatchObject({ name: "a (3)", dirty: false });
  });

  test("or the other one is opened beside, and what is here has no file any more", async () => {
    await openTheirs(editor);

    expect(editor.tabs.shown).toMatchObject({ name: "a", dirty: false, file: { path: PATH } });
    editor.tabs.step(-1);
    expect(editor.tabs.shown).toMatchObject({ name: "a", dirty: true, file: null });
    expect(editor.text()).toContain("again");
  });

  test("or it is written over, and the other becomes a version", async () => {
    await saveAnyway(editor);

    expect(held(PATH)).toContain("again");
    expect(disk.old.get(PATH)?.[0]).not.toContain("again");
    expect(editor.tabs.shown.dirty).toBe(false);
  });

  test("one that is gone is told apart", async () => {
    disk.files.delete(PATH);
    await save(editor);

    expect(editor.tabs.store.getState().dialog).toMatchObject({ kind: "conflict", gone: true });
    await saveAnyway(editor);
    expect(held(PATH)).toContain("again");
  });
});

test("what was written, but whose answer was lost, is no conflict with oneself", async () => {
  await saveAs(editor, "a");
  editor.document.apply("change", titled("again"));
  disk.deaf = true;
  await save(editor);
  expect(editor.tabs.shown.dirty).toBe(true);

  await save(editor);

  expect(dialog()).toBeUndefined();
  expect(editor.tabs.shown.dirty).toBe(false);
});

describe("a graph that somebody else has saved since", () => {
  const others = JSON.stringify(workflowOf("inpaint"));
  const size = openData(workflowOf("inpaint"), CATALOGUE).graph.nodes.size;

  beforeEach(async () => {
    await saveAs(editor, "a");
    disk.write(PATH, others);
  });

  test("is shown where nothing is unsaved, as a step that can be undone", async () => {
    await catchUp(editor);

    expect(editor.graph.nodes.size).toBe(size);
    expect(editor.tabs.shown).toMatchObject({ dirty: false, file: { etag: "e2" } });
    editor.document.undo();
    expect(editor.text()).toContain("mine");
  });

  test("is noted also where another graph is shown", async () => {
    const { id } = editor.tabs.shown;
    editor.tabs.place(graph, "other");

    await catchUp(editor);

    expect(editor.tabs.shown.name).toBe("other");
    editor.tabs.show(id);
    expect(editor.graph.nodes.size).toBe(size);
    expect(editor.tabs.shown).toMatchObject({ dirty: false, file: { etag: "e2" } });
    editor.document.undo();
    expect(editor.text()).toContain("mine");
  });

  test("never takes the place of what is unsaved, or becomes so meanwhile", async () => {
    const asking = catchUp(editor);
    editor.document.apply("change", titled("meanwhile"));
    await asking;
    await catchUp(editor);

    expect(editor.text()).toContain("meanwhile");
    expect(editor.tabs.shown).toMatchObject({ dirty: true, file: { etag: "e1" } });
  });
});

describe("saved graphs", () => {
  beforeEach(async () => {
    await saveAs(editor, "a");
    editor.document.apply("change", titled("second"));
    await save(editor);
  });

  test("are listed, and opened once only", async () => {
    expect(await savedGraphs(editor)).toMatchObject([{ path: PATH, name: "a", modified: 5000 }]);
    const { id } = editor.tabs.shown;
    editor.tabs.place(graph, "other");

    await openSaved(editor, PATH);

    expect(editor.tabs.shown.id).toBe(id);
    editor.tabs.close(id);
    await openSaved(editor, PATH);
    expect(editor.tabs.shown).toMatchObject({ name: "a", dirty: false, file: { etag: "e2" } });
    expect(editor.text()).toContain("second");
  });

  test("an earlier version is restored as a step, so that unsaved changes are one undo away", async () => {
    editor.document.apply("change", titled("unsaved"));
    expect(await versionsOf(editor, PATH)).toHaveLength(1);

    await restore(editor, PATH, "0");

    expect(editor.text()).toContain("mine");
    expect(held(PATH)).toContain("mine");
    expect(editor.tabs.shown).toMatchObject({ dirty: false, file: { etag: "e3" } });
    editor.document.undo();
    expect(editor.text()).toContain("unsaved");
    await save(editor);
    expect(dialog()).toBeUndefined();
  });

  test("an earlier version is opened beside, without a file", async () => {
    await openVersion(editor, PATH, "0", "a, earlier");

    expect(editor.tabs.shown).toMatchObject({ name: "a, earlier", dirty: true, file: null });
    expect(held(PATH)).toContain("second");
  });

  test("get another name where they are open, too", async () => {
    disk.write("workflows/taken.json", "x");
    expect(await rename(editor, PATH, "taken")).toBe(false);
    expect(await rename(editor, PATH, "b")).toBe(true);

    expect(editor.tabs.shown).toMatchObject({ name: "b", file: { path: "workflows/b.json" } });
    editor.document.apply("change", titled("third"));
    await save(editor);
    expect(held("workflows/b.json")).toContain("third");
  });

  test("that are deleted can be had again, and what is open is unsaved then", async () => {
    await remove(editor, PATH);
    expect(editor.tabs.shown).toMatchObject({ dirty: true, file: null });
    const [gone] = await deletedGraphs(editor);
    expect(gone).toMatchObject({ path: PATH, name: "a" });

    await restore(editor, PATH, gone?.etag ?? "");

    expect(editor.tabs.shown).toMatchObject({ name: "a", dirty: false, file: { path: PATH } });
    expect(editor.tabs.store.getState().tabs).toHaveLength(2);
  });
});
