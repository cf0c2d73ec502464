// Drafts: the open graphs as they stand, kept in the browser (IndexedDB), so that a reload or a crash
// loses nothing. They are apart from the files that the user saves. Each open graph has a draft of its
// own, whose id no other page uses.

import type { Past } from "../doc/history";
import { alone, openPages } from "./presence";

/** A file of the server's. etag: of the content that this graph was read from or saved as last. */
export interface SavedFile {
  readonly path: string;
  readonly etag: string;
}

export interface Draft {
  /** The open graph's id. */
  readonly tab: string;
  /** The id of the page in which it is open, or was last. */
  readonly page: string;
  readonly name: string;
  /** A file of the editor. */
  readonly text: string;
  readonly file: SavedFile | null;
  /** Whether something in it is not saved. */
  readonly dirty: boolean;
  /** The graph with its last steps. */
  readonly past: Past | null;
  /** The runs that have not ended, and the last one. */
  readonly jobs: readonly string[];
  /** When it was opened, shown, and kept; milliseconds since the epoch. */
  readonly opened: number;
  readonly shown: number;
  readonly saved: number;
}

const BASE = "nodegraph";
const STORE = "drafts";
const KEPT = 50; // of pages that are no longer open

/** The drafts; where the browser keeps nothing, there are none, and nothing is said. */
export class Drafts {
  private base: Promise<IDBDatabase | null> | null = null;

  /** page: this page's id; twin: that of the page it was duplicated from. */
  constructor(
    private readonly page: string,
    private readonly twin: string | null = null,
  ) {}

  /** Whether it is kept. */
  async save(draft: Omit<Draft, "page" | "saved">): Promise<boolean> {
    const made: Draft = { ...draft, page: this.page, saved: Date.now() };
    const put = (each: Draft): Promise<unknown> => this.ask("readwrite", (store) => store.put(each));
    return (await put(made)) !== undefined || (await put({ ...made, past: null })) !== undefined;
  }

  async remove(tab: string): Promise<void> {
    await this.ask("readwrite", (store) => store.delete(tab));
  }

  /** This page's drafts; if it has none, those of the page that was open last and no longer is. They
   * are this page's from then on. */
  async restore(newTab: () => string): Promise<readonly Draft[]> {
    return alone(async () => {
      const open = await openPages();
      return this.take((all) => {
        const own = all.filter(({ page }) => page === this.page);
        if (own.length) return own;
        const copied = all.filter(({ page }) => page === this.twin);
        if (copied.length) return copied.map((draft) => ({ ...draft, tab: newTab(), jobs: [] }));
        const left = open ? leftBy(all, open) : [];
        return left.filter(({ page }) => page === left[0]?.page);
      });
    });
  }

  /** Drafts of pages that are no longer open, the latest first. What holds nothing unsaved is not
   * kept for ever. */
  async leftBehind(): Promise<readonly Draft[]> {
    const open = await openPages();
    const left = open ? leftBy(await this.all(), open).filter(({ page }) => page !== this.page) : [];
    for (const { tab, dirty } of left.slice(KEPT)) if (!dirty) await this.remove(tab);
    return left;
  }

  /** A draft of another page, as one of this page's. */
  async adopt(tab: string): Promise<Draft | null> {
    const [found] = await this.take((all) => all.filter((draft) => draft.tab === tab));
    return found ?? null;
  }

  /** The ids of all drafts of this browser. */
  async ids(): Promise<ReadonlySet<string>> {
    return new Set((await this.all()).map(({ tab }) => tab));
  }

  /** Makes drafts this page's, in one go: no other page gets the same. */
  private async take(which: (all: readonly Draft[]) => readonly Draft[]): Promise<readonly Draft[]> {
    let taken: readonly Draft[] = [];
    await this.ask("readwrite", (store) => {
      const request = store.getAll();
      request.addEventListener("success", () => {
        taken = which(request.result.map(completed)).map((draft) => ({ ...draft, page: this.page }));
        for (const draft of taken) store.put(draft);
      });
      return request;
    });
    return taken;
  }

  private async all(): Promise<readonly Draft[]> {
    const found = (await this.ask("readonly", (store) => store.getAll())) ?? [];
    return found.map(completed);
  }

  private async ask<T>(
    mode: IDBTransactionMode,
    work: (store: IDBObjectStore) => IDBRequest<T>,
  ): Promise<T | undefined> {
    const base = await (this.base ??= opened());
    if (!base) return undefined;
    try {
      return await settled(work(base.transaction(STORE, mode).objectStore(STORE)));
    } catch {
      return undefined;
    }
  }
}

function leftBy(all: readonly Draft[], open: ReadonlySet<string>): readonly Draft[] {
  return all.filter(({ page }) => !open.has(page)).toSorted((a, b) => b.saved - a.saved);
}

/** A draft as it is now, also from one that an older page kept. */
function completed(found: Partial<Draft> & { readonly tab: string; readonly job?: string | null }): Draft {
  const saved = found.saved ?? 0;
  const before = {
    page: found.tab, name: "", text: "", file: null, dirty: true, past: null, opened: saved, shown: saved, saved,
    jobs: found.job ? [found.job] : [],
  };
  return { ...before, ...found };
}

async function opened(): Promise<IDBDatabase | null> {
  try {
    const request = indexedDB.open(BASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "tab" });
    return await settled(request);
  } catch {
    return null;
  }
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB refused"));
  });
}
