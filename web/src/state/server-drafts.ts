// Drafts on the server: what is not saved yet, for another browser, and for when this one forgets. They
// are offered there, never opened by themselves.

import { asObject, asText, formatJson, parseJson } from "../doc/json";
import type { Api } from "../protocol/http";
import type { Draft } from "./drafts";

const FOLDER = "drafts";
const QUIET = 3000; // milliseconds after a change before it is sent
const LISTED = 20;

/** A draft that another browser left. saved: milliseconds since the epoch; graph: its text. */
export interface Offered {
  readonly tab: string;
  readonly name: string;
  readonly saved: number;
  readonly graph: string;
}

type Kept = Pick<Draft, "tab" | "name" | "text" | "dirty">;

export class ServerDrafts {
  /** What the server has, by the open graph's id. */
  private readonly sent = new Map<string, string>();
  private readonly waiting = new Map<string, ReturnType<typeof setTimeout>>();
  private last: Promise<unknown> = Promise.resolve();

  constructor(private readonly api: Pick<Api, "userFiles" | "readUserFile" | "writeUserFile" | "deleteUserFile">) {}

  /** Keeps a draft, soon, if it is another; one that holds nothing unsaved is not needed. */
  keep(draft: Kept): void {
    if (!draft.dirty) return this.forget(draft.tab);
    const text = written(draft);
    clearTimeout(this.waiting.get(draft.tab));
    if (text === this.sent.get(draft.tab)) return;
    this.waiting.set(draft.tab, setTimeout(() => this.send(draft.tab, text), QUIET));
  }

  /** Deletes a draft: it is saved, or nobody wants it. known: whether this page has sent it. */
  forget(tab: string, known = this.sent.has(tab)): void {
    clearTimeout(this.waiting.get(tab));
    this.waiting.delete(tab);
    if (!known) return;
    this.sent.delete(tab);
    this.next(() => this.api.deleteUserFile(pathOf(tab)));
  }

  /** This page goes on with a draft that it may have sent before it was loaded anew. */
  resume(tab: string): void {
    this.sent.set(tab, "");
  }

  /** The latest drafts on the server but those that are known here. */
  async others(known: ReadonlySet<string>): Promise<readonly Offered[]> {
    const files = await this.api.userFiles(FOLDER);
    const others = files.filter(({ path }) => !known.has(tabOf(path))).toSorted((a, b) => b.modified - a.modified);
    const found = await Promise.all(
      others.slice(0, LISTED).map(async ({ path, modified }) => {
        const text = await this.api.readUserFile(`${FOLDER}/${path}`);
        return text === null ? [] : read(tabOf(path), text, modified * 1000);
      }),
    );
    return found.flat();
  }

  private send(tab: string, text: string): void {
    this.waiting.delete(tab);
    this.sent.set(tab, text);
    this.next(() =>
      this.api.writeUserFile(pathOf(tab), text).catch(() => {
        if (this.sent.get(tab) === text) this.sent.set(tab, ""); // it is sent with the next change
      }),
    );
  }

  /** One after the other. Where the server cannot be reached, the browser has the draft all the same. */
  private next(work: () => Promise<unknown>): void {
    this.last = this.last.then(work).catch(() => undefined);
  }
}

function written({ name, text }: Kept): string {
  return `${formatJson({ name }).slice(0, -1)},"graph":${text}}`;
}

function read(tab: string, text: string, saved: number): readonly Offered[] {
  try {
    const { name, graph } = asObject(parseJson(text));
    return graph === undefined ? [] : [{ tab, name: asText(name), saved, graph: formatJson(graph) }];
  } catch {
    return [];
  }
}

function pathOf(tab: string): string {
  return `${FOLDER}/${tab}.json`;
}

function tabOf(path: string): string {
  return path.replace(/\.json$/, "");
}
