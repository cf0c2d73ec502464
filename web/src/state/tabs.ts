// The graphs that are open: each has its own history, runs and file, and one of them is shown. What is
// shown is in the editor's document and runtime; what is not is parked here, and its runs are heard of
// all the same. All of them are kept as drafts.

import type { StoreApi } from "zustand/vanilla";
import { createStore } from "zustand/vanilla";

import { toEditor } from "../doc/editor-write";
import type { Graph } from "../doc/graph";
import { EMPTY } from "../doc/graph";
import type { Past } from "../doc/history";
import { fresh, shortened } from "../doc/history";
import { formatJson } from "../doc/json";
import { openText } from "../doc/open";
import { newId } from "../protocol/client";
import type { ConnectionEvent } from "../protocol/connection";
import type { Draft, SavedFile } from "./drafts";
import type { Editor, Place } from "./editor";
import { Runtime } from "./runtime";
import { NOTHING } from "./ui";

/** An open graph, as others may see it. dirty: something in it is not saved. */
export interface Tab {
  readonly id: string;
  readonly name: string;
  readonly file: SavedFile | null;
  readonly dirty: boolean;
}

/** What the user is asked, or shows, about files. */
export type Dialog =
  | { readonly kind: "graphs" }
  | { readonly kind: "save"; readonly closing: boolean }
  | { readonly kind: "conflict"; readonly gone: boolean; readonly closing: boolean }
  | { readonly kind: "close" };

export interface TabsState {
  readonly tabs: readonly Tab[];
  /** The id of the one that is shown. */
  readonly shown: string;
  readonly dialog: Dialog | null;
}

/** What belongs to an open graph beside its document. */
interface Sheet {
  readonly id: string;
  readonly opened: number;
  shown: number;
  /** While it is not shown: its document, and what is known of its runs. */
  past: Past;
  place: Place | null;
  readonly runtime: Runtime;
  /** The last run. */
  job: string | null;
  /** The seeds of the last runs, the newest first, by "node input". */
  readonly seeds: Map<string, readonly (number | bigint)[]>;
}

const HISTORY = 20_000; // nodes in all graphs of the steps that a draft keeps

export class Tabs {
  readonly store: StoreApi<TabsState>;
  private readonly sheets = new Map<string, Sheet>();
  /** Runs of graphs that are closed. */
  private readonly gone = new Set<string>();

  constructor(private readonly editor: Editor) {
    const sheet = this.makeSheet();
    this.store = createStore<TabsState>(() => ({ tabs: [tabOf(sheet.id)], shown: sheet.id, dialog: null }));
    editor.document.subscribe(() => this.change(this.shown.id, { dirty: editor.document.dirty }));
  }

  /** The open graph that is shown. */
  get shown(): Tab {
    const { tabs, shown } = this.store.getState();
    return tabs.find(({ id }) => id === shown) ?? tabOf(shown);
  }

  /** What belongs to the graph that is shown, beside its document. */
  get sheet(): Pick<Sheet, "id" | "job" | "seeds"> {
    return this.current;
  }

  private get current(): Sheet {
    const sheet = this.sheets.get(this.store.getState().shown);
    if (!sheet) throw new Error("no graph is shown");
    return sheet;
  }

  /** Opens a graph: in the place of the one that is shown if nothing would be lost, else beside it. */
  place(graph: Graph, name: string, file: SavedFile | null = null, saved = true): void {
    const { document } = this.editor;
    const done = document.canUndo || document.canRedo || this.shown.dirty || this.shown.file !== null;
    const untouched = document.graph === EMPTY || !done;
    const past = fresh(graph, saved ? graph : null);
    if (!untouched || this.editor.runtime.unfinished().length) return void this.add(past, name, file);
    this.forgetRuns(this.current);
    this.editor.runtime.clear();
    this.current.job = null;
    this.current.seeds.clear();
    this.adopt(past);
    this.change(this.current.id, { name, file, dirty: document.dirty });
    this.editor.ui.setState({ name });
  }

  /** Opens a graph beside the others and shows it. Its id. */
  add(past: Past, name: string, file: SavedFile | null = null): string {
    const sheet = this.makeSheet();
    sheet.past = past;
    const tab = { ...tabOf(sheet.id), name, file, dirty: past.graph !== past.saved };
    this.store.setState(({ tabs }) => ({ tabs: [...tabs, tab] }));
    this.show(sheet.id);
    return sheet.id;
  }

  /** Shows another open graph. */
  show(id: string): void {
    const next = this.sheets.get(id);
    if (!next || id === this.store.getState().shown) return;
    const { document, runtime } = this.editor;
    void this.editor.keep();
    const last = this.current;
    last.past = document.past;
    last.place = this.editor.canvas?.place() ?? null;
    runtime.exchange(last.runtime);
    this.store.setState({ shown: id });
    next.shown = Date.now();
    runtime.exchange(next.runtime);
    this.editor.ui.setState({ name: this.shown.name });
    this.adopt(next.past, next.place);
    void this.editor.keep();
  }

  /** Shows the next open graph, or the one before (-1), round and round. */
  step(by: number): void {
    const { tabs, shown } = this.store.getState();
    const at = tabs.findIndex(({ id }) => id === shown);
    const next = tabs[(at + by + tabs.length) % tabs.length];
    if (next) this.show(next.id);
  }

  /** Closes a graph; asks if something would be lost. */
  close(id: string, anyway = false): void {
    const tab = this.store.getState().tabs.find((each) => each.id === id);
    const sheet = this.sheets.get(id);
    if (!tab || !sheet) return;
    if (tab.dirty && !anyway) {
      this.show(id);
      return this.store.setState({ dialog: { kind: "close" } });
    }
    const { tabs } = this.store.getState();
    const at = tabs.indexOf(tab);
    const neighbour = tabs[at + 1] ?? tabs[at - 1];
    if (id === this.store.getState().shown) {
      if (neighbour) this.show(neighbour.id);
      else this.add(fresh({ ...EMPTY }), "");
    }
    this.forgetRuns(sheet);
    this.sheets.delete(id);
    this.store.setState((state) => ({ tabs: state.tabs.filter((each) => each.id !== id), dialog: null }));
    void this.editor.forget(id);
  }

  /** What is told of an open graph is another now. */
  change(id: string, changes: Partial<Omit<Tab, "id">>): void {
    const { tabs } = this.store.getState();
    const tab = tabs.find((each) => each.id === id);
    const names = Object.keys(changes) as (keyof typeof changes)[];
    if (!tab || names.every((name) => tab[name] === changes[name])) return;
    this.store.setState({ tabs: tabs.map((each) => (each === tab ? { ...tab, ...changes } : each)) });
    if (id === this.store.getState().shown && changes.name !== undefined) this.editor.ui.setState({ name: changes.name });
    if (id !== this.store.getState().shown || "name" in changes || "file" in changes) void this.editor.keep(id);
  }

  /** The graph is saved in a file, as it was then. */
  saved(id: string, graph: Graph, file: SavedFile): void {
    const sheet = this.sheets.get(id);
    if (!sheet) return;
    this.change(id, { file });
    if (id === this.store.getState().shown) return this.editor.document.markSaved(graph);
    sheet.past = { ...sheet.past, saved: graph };
    this.change(id, { dirty: sheet.past.graph !== graph });
  }

  /** The file of a graph is gone. */
  unsaved(id: string): void {
    const sheet = this.sheets.get(id);
    if (!sheet) return;
    const { document } = this.editor;
    if (id === this.store.getState().shown) document.take({ ...document.past, saved: null });
    else sheet.past = { ...sheet.past, saved: null };
    this.change(id, { file: null, dirty: true });
  }

  /** The graph of an open file is another now, as a step that can be undone. */
  replace(id: string, label: string, graph: Graph, file: SavedFile): void {
    const sheet = this.sheets.get(id);
    if (!sheet) return;
    if (id === this.store.getState().shown) {
      this.editor.document.apply(label, () => graph);
      this.editor.document.seal();
    } else {
      const { steps, graph: before } = sheet.past;
      sheet.past = { ...sheet.past, steps: [...steps, { label, before, after: graph, merge: null }], undone: [], graph };
    }
    this.saved(id, graph, file);
  }

  // -- runs -----------------------------------------------------------------------------------------

  /** A run of a graph is in the queue; it may not be the one that is shown any more. */
  runtimeOf(id: string): Runtime {
    return this.sheets.get(id)?.id === this.store.getState().shown
      ? this.editor.runtime
      : (this.sheets.get(id)?.runtime ?? new Runtime());
  }

  /** Notes the last run of a graph. */
  ran(id: string, job: string): void {
    const sheet = this.sheets.get(id);
    if (sheet) sheet.job = job;
    else this.gone.add(job);
  }

  /** Passes on what the server says of runs to the graph they are of. */
  hear(event: ConnectionEvent): void {
    if (event.kind === "job") this.owner(event.message.data.prompt_id)?.hear(event.message);
    if (event.kind === "picture") this.owner(event.picture.jobId)?.show(event.picture);
    if (event.kind === "lost") this.owner(event.jobId)?.lost(event.jobId);
  }

  /** null: nobody cares any more. */
  private owner(job: string | null): Runtime | null {
    const { runtime } = this.editor;
    if (job === null || runtime.job(job)) return runtime;
    if (this.gone.has(job)) return null;
    const parked = [...this.sheets.values()].find((sheet) => sheet.job === job || sheet.runtime.job(job));
    return parked && parked !== this.current ? parked.runtime : runtime;
  }

  private forgetRuns(sheet: Sheet): void {
    const runtime = this.runtimeOf(sheet.id);
    for (const job of [...runtime.unfinished(), ...(sheet.job === null ? [] : [sheet.job])]) this.gone.add(job);
  }

  // -- drafts ---------------------------------------------------------------------------------------

  /** An open graph, to be kept; null where there is none yet. */
  draft(id: string): Omit<Draft, "page" | "saved"> | null {
    const { tabs, shown: on } = this.store.getState();
    const tab = tabs.find((each) => each.id === id);
    const sheet = this.sheets.get(id);
    if (!tab || !sheet) return null;
    const past = id === on ? this.editor.document.past : sheet.past;
    if (past.graph === EMPTY) return null;
    const { job, opened, shown } = sheet;
    const jobs = [...new Set([...this.runtimeOf(id).unfinished(), ...(job === null ? [] : [job])])];
    const text = this.textOf(past.graph);
    const { name, file, dirty } = tab;
    return { tab: id, name, text, file, dirty, past: shortened(past, HISTORY), jobs, opened, shown };
  }

  private textOf(graph: Graph): string {
    return formatJson(toEditor(graph, this.editor.catalogue), 2);
  }

  /** Opens what was kept. Whether there was something. */
  restore(drafts: readonly Draft[]): boolean {
    const sorted = drafts.toSorted((a, b) => a.opened - b.opened);
    const before = this.store.getState();
    const opened = sorted.flatMap((draft) => {
      const past = this.pastOf(draft);
      if (!past) return [];
      const sheet = this.makeSheet(draft.tab, draft.opened);
      [sheet.past, sheet.shown, sheet.job] = [past, draft.shown, draft.jobs.at(-1) ?? null];
      for (const job of draft.jobs) sheet.runtime.submitted(job);
      const { name, file } = draft;
      return [{ draft, tab: { id: sheet.id, name, file, dirty: past.graph !== past.saved } }];
    });
    const last = opened.toSorted((a, b) => a.draft.shown - b.draft.shown).at(-1);
    if (!last) return false;
    this.store.setState({ tabs: [...before.tabs, ...opened.map(({ tab }) => tab)] });
    this.show(last.tab.id);
    for (const { id } of before.tabs) this.sheets.delete(id);
    this.store.setState(({ tabs }) => ({ tabs: tabs.filter((tab) => !before.tabs.includes(tab)) }));
    for (const { draft } of opened) for (const job of draft.jobs) this.editor.connection.watch(job, 0);
    return true;
  }

  /** The document of a draft, with its history if that is still what this page makes of it. */
  private pastOf({ past, text, dirty }: Draft): Past | null {
    try {
      if (past && this.textOf(past.graph) === text) return past;
    } catch {
      // Kept by another version of the page.
    }
    try {
      const { graph } = openText(text, this.editor.catalogue);
      return fresh(graph, dirty ? null : graph);
    } catch {
      return null;
    }
  }

  private makeSheet(id: string = newId(), opened: number = Date.now()): Sheet {
    const runtime = this.editor.runtime.blank();
    const sheet = { id, opened, shown: opened, past: fresh(EMPTY), place: null, runtime, job: null, seeds: new Map() };
    this.sheets.set(id, sheet);
    return sheet;
  }

  private adopt(past: Past, place: Place | null = null): void {
    const { document, ui, canvas } = this.editor;
    ui.setState({ nodes: NOTHING, groups: NOTHING, cables: NOTHING, palette: null, live: NOTHING });
    document.take(past);
    if (place) canvas?.goTo(place);
    else canvas?.fit(undefined, true);
  }
}

function tabOf(id: string): Tab {
  return { id, name: "", file: null, dirty: false };
}
