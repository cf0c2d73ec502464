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
import { reseed } from "../doc/seed";
import { t } from "../i18n/t";
import { newId } from "../protocol/client";
import type { Connection } from "../protocol/connection";
import type { Api, Faults } from "../protocol/http";
import { ApiError } from "../protocol/http";
import type { Drafts } from "./drafts";
import type { Runtime } from "./runtime";
import type { ServerStore } from "./server";
import type { UiStore } from "./ui";
import { NOTHING, say } from "./ui";

/** What others ask of the canvas. Positions are the graph's. */
export interface CanvasControl {
  /** Shows these nodes, or all; readable: or as many as can be read. */
  readonly fit: (ids?: readonly NodeId[], readable?: boolean) => void;
  readonly toGraph: (screen: Point) => Point;
  readonly view: () => Bounds;
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
  private shownOn: CanvasControl | null = null;
  private job: string | null = null;
  private keeping: ReturnType<typeof setTimeout> | undefined;
  /** The seeds of the last run, by "node input". */
  private readonly lastSeeds = new Map<string, number | bigint>();

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
    this.document.subscribe(({ reason }) => {
      this.forgetGone();
      if (reason !== "saved") this.keepSoon();
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

  /** Opens the draft of this tab, or else the first example. */
  async begin(): Promise<void> {
    const draft = await this.drafts.restore();
    this.drafts.hold();
    if (draft && (await this.open(new TextEncoder().encode(draft.text), draft.name, true))) {
      if (draft.job !== null) this.follow(draft.job);
      return;
    }
    await this.openTemplate(FIRST, true);
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
      this.runtime.clear();
      this.job = null;
      this.lastSeeds.clear();
      this.ui.setState({ nodes: NOTHING, groups: NOTHING, cables: NOTHING, palette: null, name });
      // As a step, so that a graph that was replaced by mistake is one undo away.
      if (this.graph === EMPTY) this.document.reset(graph);
      else this.document.apply(t("do.open"), () => graph);
      this.document.markSaved();
      this.document.seal();
      this.canvas?.fit(undefined, true);
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

  /** Keeps the draft now. */
  async keep(): Promise<void> {
    clearTimeout(this.keeping);
    if (this.server.getState().catalogue === null || this.graph === EMPTY) return;
    await this.drafts.save({ name: this.ui.getState().name, text: this.text(), job: this.job });
  }

  // -- runs -----------------------------------------------------------------------------------------

  /** Puts the graph into the queue, its seeds set anew as their modes have it. front: before others. */
  async run(front = false): Promise<void> {
    const { graph, changed } = reseed(this.graph, this.catalogue);
    this.document.apply(t("do.run"), () => graph, { merge: "run" });
    for (const { node, input, after } of changed) this.lastSeeds.set(`${node} ${input}`, after);
    const { prompt, workflow } = toRun(graph, this.catalogue);
    const promptId = newId();
    this.connection.expect(promptId);
    try {
      const { faults } = await this.api.submit({ prompt, workflow, promptId, clientId: this.client, front });
      this.job = promptId;
      this.runtime.submitted(promptId, faults);
      void this.keep();
    } catch (error) {
      this.connection.unwatch(promptId);
      if (!(error instanceof Error)) throw error;
      this.refused(error);
    }
  }

  private refused(error: Error): void {
    const faults: Faults = error instanceof ApiError ? error.faults : new Map();
    this.runtime.setFaults(faults);
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
    return alive(this.job) ? this.job : null;
  }

  /** The seed that the last run of this page used; null before the first. */
  lastSeed(node: NodeId, input: string): number | bigint | null {
    return this.lastSeeds.get(`${node} ${input}`) ?? null;
  }

  /** Hears of a job that was submitted before this page was loaded. */
  private follow(id: string): void {
    this.job = id;
    this.runtime.submitted(id);
    this.connection.watch(id, 0);
  }

  private forgetGone(): void {
    const { nodes, groups } = this.ui.getState();
    const left = [...nodes].filter((id) => this.graph.nodes.has(id));
    const leftGroups = [...groups].filter((id) => this.graph.groups.has(id));
    if (left.length === nodes.size && leftGroups.length === groups.size) return;
    this.ui.setState({ nodes: new Set(left), groups: new Set(leftGroups) });
  }
}
