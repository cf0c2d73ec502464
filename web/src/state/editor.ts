// The editor: the document, the server and what is shown, put together. Panels and the canvas get it
// by context and change the graph through it.

import type { Catalogue } from "../doc/catalogue";
import { FileProblem } from "../doc/editor-read";
import type { Opened } from "../doc/editor-read";
import { toEditor } from "../doc/editor-write";
import type { Bounds, Graph, NodeId, Point } from "../doc/graph";
import { EMPTY } from "../doc/graph";
import { GraphDocument } from "../doc/history";
import type { Json } from "../doc/json";
import { formatJson } from "../doc/json";
import { openBytes, openData, toRun } from "../doc/open";
import { leadingTo, runTo } from "../doc/partial";
import { remembered, reseed, seedsOf } from "../doc/seed";
import { t } from "../i18n/t";
import { newId } from "../protocol/client";
import type { Connection } from "../protocol/connection";
import type { Api, Faults } from "../protocol/http";
import { ApiError } from "../protocol/http";
import type { Drafts } from "./drafts";
import { Runs } from "./runs";
import type { Runtime } from "./runtime";
import { ServerDrafts } from "./server-drafts";
import type { ServerStore } from "./server";
import { Tabs } from "./tabs";
import type { UiStore } from "./ui";
import { say } from "./ui";

/** Where the canvas is: how far it is moved, in pixels of the screen, and its zoom. */
export interface Place extends Point {
  readonly zoom: number;
}

/** What others ask of the canvas. Positions are the graph's. */
export interface CanvasControl {
  /** Shows these nodes, or all; readable: or as many as can be read. */
  readonly fit: (ids?: readonly NodeId[], readable?: boolean) => void;
  readonly toGraph: (screen: Point) => Point;
  readonly view: () => Bounds;
  /** What is seen of the graph, and to see it again. */
  readonly place: () => Place;
  readonly goTo: (place: Place) => void;
  /** Brings a node into view, and gives it the focus. */
  readonly show: (id: NodeId) => void;
  /** Makes all larger, or smaller, about the middle of what is seen. */
  readonly zoom: (by: number) => void;
}

export interface Parts {
  readonly api: Api;
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly server: ServerStore;
  readonly ui: UiStore;
  readonly drafts: Drafts;
  readonly client: string;
}

const FIRST = "text_to_image";
const QUIET = 400; // milliseconds after a change before it is kept

export class Editor implements Parts {
  readonly document = new GraphDocument(EMPTY);
  readonly api: Api;
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly server: ServerStore;
  readonly ui: UiStore;
  readonly drafts: Drafts;
  readonly client: string;
  readonly runs: Runs;
  private shownOn: CanvasControl | null = null;
  /** The open graphs. */
  readonly tabs: Tabs;
  /** What is not saved, on the server as well. */
  readonly serverDrafts: ServerDrafts;
  private keeping: ReturnType<typeof setTimeout> | undefined;

  constructor(parts: Parts) {
    ({
      api: this.api,
      connection: this.connection,
      runtime: this.runtime,
      server: this.server,
      ui: this.ui,
      drafts: this.drafts,
      client: this.client,
    } = parts);
    this.runs = new Runs(this.api, () => this.catalogue);
    this.tabs = new Tabs(this);
    this.serverDrafts = new ServerDrafts(this.api);
    this.document.subscribe(() => {
      this.forgetGone();
      this.keepSoon();
    });
  }

  /** The canvas, while there is one. */
  get canvas(): CanvasControl | null {
    return this.shownOn;
  }

  attach(canvas: CanvasControl | null): void {
    this.shownOn = canvas;
  }

  get graph(): Graph {
    return this.document.graph;
  }

  /** The node types. Nothing is shown before they are there. */
  get catalogue(): Catalogue {
    return this.server.getState().catalogue ?? new Map();
  }

  /** Opens the drafts of this page, or else the first example. */
  async begin(): Promise<void> {
    const drafts = await this.drafts.restore(newId);
    for (const { tab } of drafts) this.serverDrafts.resume(tab);
    if (!this.tabs.restore(drafts)) await this.openTemplate(FIRST, true);
  }

  // -- files ----------------------------------------------------------------------------------------

  /** Opens a file. Whether it could be. quiet: nothing is said if it went well. */
  async open(bytes: Uint8Array, name: string, quiet = false): Promise<boolean> {
    return this.show(() => openBytes(bytes, this.catalogue), name, quiet);
  }

  async openData(data: Json, name: string): Promise<boolean> {
    return this.show(async () => openData(data, this.catalogue), name);
  }

  async openTemplate(name: string, quiet = false): Promise<boolean> {
    return this.show(async () => openData(await this.api.template(name), this.catalogue), name, quiet);
  }

  private async show(read: () => Promise<Opened>, name: string, quiet = false): Promise<boolean> {
    try {
      const { graph, warnings } = await read();
      this.tabs.place(graph, name);
      const [first] = warnings;
      if (first !== undefined) say(this.ui, t("say.warnings", { count: warnings.length, name, first }), true);
      else if (!quiet) say(this.ui, t("say.opened", { name: name || t("app.name") }));
      return true;
    } catch (error) {
      if (!(error instanceof FileProblem || error instanceof ApiError || error instanceof Error)) throw error;
      say(this.ui, error.message, true);
      return false;
    }
  }

  /** The graph as a file of the editor. */
  text(): string {
    return formatJson(toEditor(this.graph, this.catalogue), 2);
  }

  // -- drafts ---------------------------------------------------------------------------------------

  private keepSoon(): void {
    clearTimeout(this.keeping);
    this.keeping = setTimeout(() => void this.keep(), QUIET);
  }

  /** Keeps the draft of an open graph now: of the one that is shown, or another. */
  async keep(id: string = this.tabs.shown.id): Promise<void> {
    if (id === this.tabs.shown.id) clearTimeout(this.keeping);
    const draft = this.server.getState().catalogue === null ? null : this.tabs.draft(id);
    if (!draft) return;
    this.serverDrafts.keep(draft);
    await this.drafts.save(draft);
  }

  /** An open graph is closed: its draft is not needed. */
  async forget(tab: string): Promise<void> {
    this.serverDrafts.forget(tab);
    await this.drafts.remove(tab);
  }

  // -- runs -----------------------------------------------------------------------------------------

  /** Puts the graph into the queue, its seeds set anew as their modes have it. front: before others. */
  async run(front = false): Promise<void> {
    this.reseed(null);
    await this.submit({ front });
  }

  /** Runs what leads to some nodes, and nothing else: their pictures are there without the rest. */
  async runTo(ids: Iterable<NodeId>): Promise<void> {
    const parts = [...ids].map((id) => runTo(this.graph, id, this.catalogue));
    const targets = [...new Set(parts.flatMap((part) => ("targets" in part ? part.targets : [])))];
    const why = parts.find((part) => "why" in part)?.why ?? t("run.here.none");
    if (!targets.length) return say(this.ui, why, true);
    this.reseed(leadingTo(this.graph, targets));
    await this.submit({ targets });
  }

  /** Sets the seeds for the next run: of all nodes, or only of those that run. */
  private reseed(only: ReadonlySet<NodeId> | null): void {
    const { graph } = reseed(this.graph, this.catalogue, undefined, only);
    this.document.apply(t("do.run"), () => graph, { merge: "run" });
    const { seeds } = this.tabs.sheet;
    for (const { node, input, seed } of seedsOf(graph, this.catalogue, only)) {
      seeds.set(`${node} ${input}`, remembered(seeds.get(`${node} ${input}`) ?? [], seed));
    }
  }

  /** Puts the graph into the queue as it stands. targets: run these nodes, and nothing else. quiet:
   * where it is faulty, that is shown at the nodes alone. The id of the job; null: it was refused. */
  async submit(
    { front = false, targets, quiet = false }: { front?: boolean; targets?: readonly NodeId[]; quiet?: boolean } = {},
  ): Promise<string | null> {
    const { prompt, workflow } = toRun(this.graph, this.catalogue);
    const { id } = this.tabs.sheet; // another graph may be shown when the answer comes
    const promptId = newId();
    this.connection.expect(promptId);
    try {
      const part = targets ? { targets } : {};
      const { faults } = await this.api.submit({ prompt, workflow, promptId, clientId: this.client, front, ...part });
      this.tabs.ran(id, promptId);
      this.tabs.runtimeOf(id).submitted(promptId, faults);
      void this.keep(id);
      return promptId;
    } catch (error) {
      this.connection.unwatch(promptId);
      if (!(error instanceof Error)) throw error;
      this.refused(error, this.tabs.runtimeOf(id), quiet);
      return null;
    }
  }

  private refused(error: Error, runtime: Runtime, quiet: boolean): void {
    const faults: Faults = error instanceof ApiError ? error.faults : new Map();
    runtime.setFaults(faults);
    if (faults.size && quiet) return;
    if (faults.size) return this.ui.setState({ panel: "errors" }); // it says all there is to say
    const details = error instanceof ApiError && error.details ? `: ${error.details}` : "";
    say(this.ui, `${error.message}${details}`, true);
  }

  /** Cancels the run of this page that runs or waits, by its id. */
  async cancel(id: string | null = this.current()): Promise<void> {
    if (id === null) return;
    try {
      await this.api.cancel(id);
    } catch (error) {
      say(this.ui, error instanceof Error ? error.message : String(error), true);
    }
  }

  /** The run of this page that has not ended: the one that is shown, or the last one submitted. */
  current(): string | null {
    const alive = (id: string | undefined | null): boolean => {
      const state = id ? this.runtime.job(id)?.state : undefined;
      return state === "running" || state === "pending";
    };
    const shown = this.runtime.shownJob?.id;
    if (shown !== undefined && alive(shown)) return shown;
    const { job } = this.tabs.sheet;
    return alive(job) ? job : null;
  }

  /** The seed that the last run of this page used; null before the first. */
  lastSeed(node: NodeId, input: string): number | bigint | null {
    return this.seedHistory(node, input)[0] ?? null;
  }

  /** The seeds of the last runs of this page, the newest first. */
  seedHistory(node: NodeId, input: string): readonly (number | bigint)[] {
    return this.tabs.sheet.seeds.get(`${node} ${input}`) ?? [];
  }

  private forgetGone(): void {
    const { nodes, groups } = this.ui.getState();
    const left = [...nodes].filter((id) => this.graph.nodes.has(id));
    const leftGroups = [...groups].filter((id) => this.graph.groups.has(id));
    if (left.length === nodes.size && leftGroups.length === groups.size) return;
    this.ui.setState({ nodes: new Set(left), groups: new Set(leftGroups) });
  }
}
