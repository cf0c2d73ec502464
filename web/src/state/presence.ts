// Which pages of this browser are open. Each has an id, which lives as long as the browser's tab; a tab
// that was duplicated begins with the id of the other and gets one of its own.

import { clientId, newId } from "../protocol/client";

const KEY = "nodegraph.client"; // as in protocol/client.ts
const CHANNEL = "nodegraph.pages";
const PATIENCE = 1000; // milliseconds until a page that is being left has let go of its id
const ASKING = 250; // milliseconds in which the other pages answer, where there are no locks

/** An open page. twin: the page it was duplicated from, or null. */
export interface Page {
  readonly id: string;
  readonly twin: string | null;
}

type Words = { readonly ask: string } | { readonly here: string };

/** The id of this page, held for as long as it is open. */
export async function enter(storage: Pick<Storage, "getItem" | "setItem">): Promise<Page> {
  const id = clientId(storage);
  if (await hold(id)) return { id, twin: null };
  const own = newId();
  storage.setItem(KEY, own);
  await hold(own);
  return { id: own, twin: id };
}

/** The ids of the pages that are open, this one's too; null where the browser cannot tell. */
export async function openPages(): Promise<ReadonlySet<string> | null> {
  const locks = lockManager();
  if (locks) {
    const { held = [] } = await locks.query();
    return new Set(held.map(({ name }) => (name ?? "").slice(lockName("").length)));
  }
  return typeof BroadcastChannel === "undefined" ? null : answers();
}

/** Does something while no other page of this browser does it. */
export async function alone<T>(work: () => Promise<T>): Promise<T> {
  const locks = lockManager();
  return locks ? await locks.request("nodegraph.restore", work) : work();
}

async function hold(id: string): Promise<boolean> {
  const locks = lockManager();
  if (!locks) {
    if (typeof BroadcastChannel === "undefined") return true;
    if ((await answers()).has(id)) return false;
    answerAs(id);
    return true;
  }
  return new Promise((resolve) => {
    const forever = (): Promise<never> => {
      resolve(true);
      return new Promise(() => undefined);
    };
    const signal = AbortSignal.timeout(PATIENCE);
    locks.request(lockName(id), { signal }, forever).catch(() => resolve(false));
  });
}

/** Plain http on another machine's address has no locks: pages ask each other instead. */
function answers(): Promise<ReadonlySet<string>> {
  const channel = new BroadcastChannel(CHANNEL);
  const found = new Set<string>();
  channel.addEventListener("message", ({ data }: MessageEvent<Words>) => {
    if ("here" in data) found.add(data.here);
  });
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- it is no window
  channel.postMessage({ ask: "who" } satisfies Words);
  return new Promise((resolve) => {
    setTimeout(() => {
      channel.close();
      resolve(found);
    }, ASKING);
  });
}

function answerAs(id: string): void {
  const channel = new BroadcastChannel(CHANNEL);
  channel.addEventListener("message", ({ data }: MessageEvent<Words>) => {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- it is no window
    if ("ask" in data) channel.postMessage({ here: id } satisfies Words);
  });
}

function lockName(id: string): string {
  return `nodegraph.tab.${id}`;
}

function lockManager(): LockManager | null {
  return (navigator as { locks?: LockManager }).locks ?? null;
}
