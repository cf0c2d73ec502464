import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { Draft } from "../../src/state/drafts";
import { Drafts } from "../../src/state/drafts";
import { enter, openPages } from "../../src/state/presence";
import { Locks, storage, stubBase } from "./browser";

const rows = new Map<string, Draft>();
let locks: Locks;

beforeEach(() => {
  rows.clear();
  locks = new Locks();
  stubBase(rows);
  vi.stubGlobal("navigator", { locks });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const draft = (tab: string): Omit<Draft, "page" | "saved"> => ({
  tab, name: tab, text: `{"${tab}": 1}`, file: null, dirty: true, past: null, jobs: ["j"], opened: 1, shown: 1,
});
const newTab = (): string => `copy ${rows.size}`;
const tabsOf = (drafts: readonly Draft[]): string[] => drafts.map(({ tab }) => tab).toSorted();

/** A page that opens; its id and drafts. */
async function page(values: Record<string, string> = {}): Promise<{ id: string; drafts: Drafts }> {
  const { id, twin } = await enter(storage(values));
  return { id, drafts: new Drafts(id, twin) };
}

/** Keeps drafts, one after the other. */
async function keep(drafts: Drafts, ...tabs: string[]): Promise<void> {
  for (const tab of tabs) {
    vi.setSystemTime(Date.now() + 1000);
    await drafts.save(draft(tab));
  }
}

describe("a page", () => {
  test("that is loaded anew has its id and its drafts again", async () => {
    const session = {};
    const first = await page(session);
    await keep(first.drafts, "a", "b");
    locks.leave(first.id);

    const again = await page(session);

    expect(again.id).toBe(first.id);
    expect(tabsOf(await again.drafts.restore(newTab))).toEqual(["a", "b"]);
  });

  test("that is duplicated gets another id, and copies of the drafts without their runs", async () => {
    const session: Record<string, string> = {};
    const first = await page(session);
    await keep(first.drafts, "a");

    const second = await page({ ...session });
    const copies = await second.drafts.restore(newTab);

    expect(second.id).not.toBe(first.id);
    expect(copies).toMatchObject([{ tab: "copy 1", text: '{"a": 1}', jobs: [], page: second.id }]);
    expect(rows.get("a")?.page).toBe(first.id);
    expect(tabsOf(await second.drafts.restore(newTab))).toEqual(["copy 1"]);
  });

  test("takes over what the last one that was closed or killed has left, and it is nobody else's then", async () => {
    const [old, last] = [await page(), await page()];
    await keep(old.drafts, "old");
    await keep(last.drafts, "a", "b");
    locks.leave(old.id);
    locks.leave(last.id);

    const [one, other] = [await page(), await page()];
    const [first, second] = await Promise.all([one.drafts.restore(newTab), other.drafts.restore(newTab)]);

    expect(tabsOf(first)).toEqual(["a", "b"]);
    expect(tabsOf(second)).toEqual(["old"]);
    expect([...rows.values()].map(({ page: of }) => of)).toEqual([other.id, one.id, one.id]);
  });

  test("leaves alone what is open elsewhere, and lists what nobody has taken", async () => {
    const [open, closed] = [await page(), await page()];
    await keep(open.drafts, "a");
    await keep(closed.drafts, "b");
    locks.leave(closed.id);
    const own = await page();
    await keep(own.drafts, "own");

    expect(tabsOf(await own.drafts.restore(newTab))).toEqual(["own"]);
    expect(tabsOf(await own.drafts.leftBehind())).toEqual(["b"]);
    expect([...(await own.drafts.ids())].toSorted()).toEqual(["a", "b", "own"]);
    await own.drafts.remove("own");
    expect(rows.has("own")).toBe(false);
  });

  test("reads drafts that an older page has kept by the page's id", async () => {
    const old = { tab: "before", name: "n", text: "{}", saved: 5, job: "j" };
    rows.set("before", old as unknown as Draft);

    const found = await (await page({ "nodegraph.client": "before" })).drafts.restore(newTab);

    expect(found).toMatchObject([{ tab: "before", page: "before", text: "{}", jobs: ["j"], dirty: true, past: null }]);
  });
});

test("of many that are left, only those with something unsaved are kept for ever", async () => {
  const left = await page();
  for (let each = 0; each < 60; each += 1) {
    vi.setSystemTime(each * 1000);
    await left.drafts.save({ ...draft(`${each}`), dirty: each === 3 });
  }
  locks.leave(left.id);

  await (await page()).drafts.leftBehind();

  expect(rows.size).toBe(51);
  expect([rows.has("3"), rows.has("2"), rows.has("59")]).toEqual([true, false, true]);
});

test("a history that cannot be kept does not keep the graph from being kept", async () => {
  const { drafts } = await page();
  const past = { steps: () => 1 } as never;

  expect(await drafts.save({ ...draft("a"), past })).toBe(true);

  expect(rows.get("a")).toMatchObject({ text: '{"a": 1}', past: null });
});

test("without locks, pages ask each other who is open", async () => {
  vi.stubGlobal("navigator", {});
  const session: Record<string, string> = {};
  const first = await enter(storage(session));
  const second = await enter(storage({ ...session }));

  expect(first.twin).toBeNull();
  expect(second).toMatchObject({ twin: first.id });
  expect([...((await openPages()) ?? [])].toSorted()).toEqual([first.id, second.id].toSorted());
});

test("where the browser keeps nothing there are no drafts, and nothing fails", async () => {
  vi.stubGlobal("indexedDB", undefined);
  const { drafts } = await page();

  expect(await drafts.save(draft("a"))).toBe(false);
  expect(await drafts.restore(newTab)).toEqual([]);
});
