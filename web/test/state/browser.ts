// What of a browser the drafts need: locks and a base, shared by all pages of a test.

import { vi } from "vitest";

/** Locks as pages take them; `leave` is the end of a page. */
export class Locks {
  private readonly holders = new Map<string, Promise<unknown>>();
  private readonly lettingGo = new Map<string, () => void>();

  async request(name: string, ...rest: unknown[]): Promise<unknown> {
    const work = rest.at(-1) as () => Promise<unknown>;
    const { signal } = (rest.length > 1 ? rest[0] : {}) as { signal?: AbortSignal };
    while (this.holders.has(name)) {
      const refused = new Promise<never>((_, reject) => signal?.addEventListener("abort", () => reject(new Error("aborted"))));
      await Promise.race([this.holders.get(name), refused]);
    }
    const gone = new Promise<void>((resolve) => this.lettingGo.set(name, resolve));
    const holding = Promise.race([work(), gone]);
    this.holders.set(name, holding);
    try {
      return await holding;
    } finally {
      this.holders.delete(name);
    }
  }

  async query(): Promise<{ held: { name: string }[] }> {
    return { held: [...this.holders.keys()].map((name) => ({ name })) };
  }

  leave(id: string): void {
    this.lettingGo.get(`nodegraph.tab.${id}`)?.();
  }
}

type Row = { readonly tab: string };

/** One store by the key "tab"; requests are answered in order, as copies. */
export function stubBase(rows: Map<string, Row>): void {
  const request = (work: () => unknown): unknown => {
    const made = new (class extends EventTarget {
      result: unknown;
      error: unknown = null;
      onsuccess: (() => void) | null = null;
      onerror: (() => void) | null = null;
      onupgradeneeded: (() => void) | null = null;
    })();
    queueMicrotask(() => {
      made.result = work();
      made.onsuccess?.();
      made.dispatchEvent(new Event("success"));
    });
    return made;
  };
  const store = {
    put: (row: Row) => {
      const copy = structuredClone(row);
      return request(() => rows.set(copy.tab, copy) && copy.tab);
    },
    delete: (tab: string) => request(() => void rows.delete(tab)),
    getAll: () => request(() => structuredClone([...rows.values()])),
  };
  const base = { transaction: () => ({ objectStore: () => store }), createObjectStore: () => store };
  vi.stubGlobal("indexedDB", { open: () => request(() => base) });
}

export function storage(values: Record<string, string> = {}): Pick<Storage, "getItem" | "setItem"> {
  return {
    getItem: (name) => values[name] ?? null,
    setItem: (name, value) => {
      values[name] = value;
    },
  };
}
