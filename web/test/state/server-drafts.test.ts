import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { ServerDrafts } from "../../src/state/server-drafts";

const QUIET = 3000;
const files = new Map<string, string>();
let writes = 0;
let away = false;

const api = {
  userFiles: async () => [...files].map(([path], at) => ({ path: path.replace("drafts/", ""), size: 1, modified: at + 1, etag: "e" })),
  readUserFile: async (path: string) => files.get(path) ?? null,
  writeUserFile: async (path: string, text: string) => {
    if (away) throw new Error("no server");
    writes += 1;
    files.set(path, text);
    return { path, size: 1, modified: 1, etag: "e" };
  },
  deleteUserFile: async (path: string) => void files.delete(path),
};

const draft = (text: string, dirty = true) => ({ tab: "t", name: "a", text, dirty });
const later = (): Promise<unknown> => vi.advanceTimersByTimeAsync(QUIET);

beforeEach(() => {
  vi.useFakeTimers();
  files.clear();
  [writes, away] = [0, false];
});
afterEach(() => void vi.useRealTimers());

test("a draft is sent a while after the last change, and only if it is another", async () => {
  const drafts = new ServerDrafts(api);
  drafts.keep(draft("[1]"));
  await vi.advanceTimersByTimeAsync(QUIET - 1);
  drafts.keep(draft("[2]"));
  await vi.advanceTimersByTimeAsync(QUIET - 1);
  expect(writes).toBe(0);
  await later();
  drafts.keep(draft("[2]"));
  await later();

  expect(writes).toBe(1);
  expect(JSON.parse(files.get("drafts/t.json") ?? "")).toEqual({ name: "a", graph: [2] });
});

test("what is saved needs no draft", async () => {
  const drafts = new ServerDrafts(api);
  drafts.keep(draft("[1]"));
  drafts.keep(draft("[1]", false));
  await later();
  expect(writes).toBe(0);

  drafts.keep(draft("[2]"));
  await later();
  drafts.keep(draft("[2]", false));
  await later();

  expect(files.size).toBe(0);
});

test("one that was sent before the page was loaded anew is deleted as well", async () => {
  files.set("drafts/t.json", "{}");
  const drafts = new ServerDrafts(api);
  drafts.resume("t");

  drafts.forget("t");
  await later();

  expect(files.size).toBe(0);
});

test("a server that is away loses nothing but what was sent meanwhile", async () => {
  const drafts = new ServerDrafts(api);
  away = true;
  drafts.keep(draft("[1]"));
  await later();
  away = false;
  drafts.keep(draft("[1]"));
  await later();

  expect(JSON.parse(files.get("drafts/t.json") ?? "")).toMatchObject({ graph: [1] });
});

test("others' drafts are listed, the latest first, without what is known and what is none", async () => {
  const big = "18446744073709551615";
  files.set("drafts/own.json", '{"name": "own", "graph": {}}');
  files.set("drafts/old.json", '{"name": "old", "graph": {}}');
  files.set("drafts/bad.json", "{");
  files.set("drafts/new.json", `{"name": "new", "graph": [${big}]}`);

  const found = await new ServerDrafts(api).others(new Set(["own"]));

  expect(found).toEqual([
    { tab: "new", name: "new", saved: 4000, graph: `[${big}]` },
    { tab: "old", name: "old", saved: 2000, graph: "{}" },
  ]);
});
