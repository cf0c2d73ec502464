// Drafts: the graph as it stands, kept in the browser (IndexedDB), one for each tab, so that a reload
// or a crash loses nothing. They are apart from files that the user saves.

export interface Draft {
  /** The tab's id. */
  readonly tab: string;
  readonly name: string;
  /** A file of the editor. */
  readonly text: string;
  /** Milliseconds since the epoch. */
  readonly saved: number;
  /** The run that was shown last. */
  readonly job: string | null;
}

const BASE = "nodegraph";
const STORE = "drafts";
const KEPT = 20;

/** The drafts; where the browser keeps nothing, there are none, and nothing is said. */
export class Drafts {
  private base: Promise<IDBDatabase | null> | null = null;

  constructor(private readonly tab: string) {}

  async save(draft: Omit<Draft, "tab" | "saved">): Promise<boolean> {
    const made: Draft = { ...draft, tab: this.tab, saved: Date.now() };
    return (await this.ask("readwrite", (store) => store.put(made))) !== undefined;
  }

  /** This tab's draft; if it has none, the latest of a tab that is no longer open. */
  async restore(): Promise<Draft | null> {
    const own = (await this.ask("readonly", (store) => store.get(this.tab))) as Draft | undefined;
    if (own) return own;
    const all = ((await this.ask("readonly", (store) => store.getAll())) ?? []) as Draft[];
    const sorted = all.toSorted((a, b) => b.saved - a.saved);
    for (const { tab } of sorted.slice(KEPT)) await this.ask("readwrite", (store) => store.delete(tab));
    const open = await openTabs();
    return open ? (sorted.find(({ tab }) => !open.has(tab)) ?? null) : null;
  }

  /** Says that this tab is open, for as long as it is. */
  hold(): void {
    const { locks } = navigator as { locks?: LockManager };
    void locks?.request(lockName(this.tab), () => new Promise(() => undefined));
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

function lockName(tab: string): string {
  return `nodegraph.tab.${tab}`;
}

/** The ids of tabs that are open; null where the browser cannot tell. */
async function openTabs(): Promise<ReadonlySet<string> | null> {
  const { locks } = navigator as { locks?: LockManager };
  if (!locks) return null;
  const { held = [] } = await locks.query();
  return new Set(held.map(({ name }) => (name ?? "").slice(lockName("").length)));
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
