// What happens while graphs run, by node: never part of the document or its history. Each node has
// its own listeners, so that a step of a sampler concerns one node on the canvas and no other.

import type { CurvePoint } from "../doc/curve";
import { addPoint } from "../doc/curve";
import type { NodeId } from "../doc/graph";
import type { JsonObject } from "../doc/json";
import type { Fault, Faults } from "../protocol/http";
import type { FileRef } from "../protocol/shapes";
import type { JobMessage, JobMessages, NodeProgress, PictureFrame } from "../protocol/messages";

export type NodeState = "idle" | "running" | "done" | "cached" | "error";

/** A node at work, and what is left of its last run. */
export interface NodeRun {
  readonly state: NodeState;
  readonly value: number;
  readonly max: number;
  /** Why it failed, in the last run. */
  readonly failure: Failure | null;
  /** What is wrong with it in the graph as it was submitted last. */
  readonly faults: readonly Fault[];
  /** What it showed in its last run, as {"images": [...]}. */
  readonly output: JsonObject | null;
  readonly preview: Preview | null;
  /** What it measured while it learned, in the last run in which it did. */
  readonly curve: Curve | null;
}

/** points: of the steps so far, of `total`. samples: pictures it drew on the way, the last ones. */
export interface Curve {
  readonly job: string;
  readonly total: number;
  readonly points: readonly CurvePoint[];
  readonly samples: readonly Sample[];
}

export interface Sample {
  readonly step: number;
  readonly file: FileRef;
}

export interface Failure {
  readonly message: string;
  readonly type: string;
  readonly traceback: readonly string[];
}

/** A picture of a node at work. */
export interface Preview {
  readonly media: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export type JobState = "pending" | "running" | "success" | "error" | "interrupted" | "lost";

/** A job of this page's. Times in milliseconds. */
export interface JobRun {
  readonly id: string;
  readonly state: JobState;
  readonly started: number | null;
  readonly ended: number | null;
  readonly failure: (Failure & { readonly node: NodeId | null }) | null;
}

export const IDLE: NodeRun = {
  state: "idle",
  value: 0,
  max: 0,
  failure: null,
  faults: [],
  output: null,
  preview: null,
  curve: null,
};

const MOST_SAMPLES = 100;

export class Runtime {
  private runs = new Map<NodeId, NodeRun>();
  private jobs = new Map<string, JobRun>();
  private shown: string | null = null;
  private readonly nodeListeners = new Map<NodeId, Set<() => void>>();
  private readonly listeners = new Set<() => void>();
  private readonly allListeners = new Set<(id: NodeId) => void>();

  /** resolve: the node on the canvas that stands for one that runs, as a subgraph's instance does. */
  constructor(private readonly resolve: (id: NodeId) => NodeId = (id) => id) {}

  node(id: NodeId): NodeRun {
    return this.runs.get(id) ?? IDLE;
  }

  /** All nodes of which something is known. */
  nodes(): ReadonlyMap<NodeId, NodeRun> {
    return this.runs;
  }

  job(id: string): JobRun | null {
    return this.jobs.get(id) ?? null;
  }

  /** The job that the nodes show: the one that began last. */
  get shownJob(): JobRun | null {
    return this.shown === null ? null : this.job(this.shown);
  }

  /** Calls the listener after each change of one node; the function returned ends that. */
  subscribeNode(id: NodeId, listener: () => void): () => void {
    const all = this.nodeListeners.get(id) ?? new Set();
    this.nodeListeners.set(id, all.add(listener));
    return () => {
      all.delete(listener);
      if (!all.size && this.nodeListeners.get(id) === all) this.nodeListeners.delete(id);
    };
  }

  /** Calls the listener after each change of any node. */
  subscribeNodes(listener: (id: NodeId) => void): () => void {
    this.allListeners.add(listener);
    return () => this.allListeners.delete(listener);
  }

  /** Calls the listener when a job changes its state. */
  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** A job of this page is in the queue. faults: of the part of the graph that will not run. */
  submitted(jobId: string, faults: Faults = new Map()): void {
    if (!this.jobs.has(jobId)) {
      this.setJob({ id: jobId, state: "pending", started: null, ended: null, failure: null });
    }
    this.setFaults(faults);
  }

  /** What is wrong with the graph, by node; what was wrong before is gone. */
  setFaults(faults: Faults): void {
    const given = new Map<NodeId, Fault[]>();
    for (const [id, list] of faults) {
      const top = this.resolve(id);
      given.set(top, [...(given.get(top) ?? []), ...list]);
    }
    for (const [id, run] of this.runs) {
      if (run.faults.length && !given.has(id)) this.set(id, { faults: [] });
    }
    for (const [id, list] of given) this.set(id, { faults: list });
  }

  /** The user changed an input: what was wrong with it may be right now. */
  forgiveFault(id: NodeId, input: string): void {
    const { faults } = this.node(id);
    const left = faults.filter((fault) => fault.input !== input);
    if (left.length < faults.length) this.set(id, { faults: left });
  }

  /** The server no longer knows a job. */
  lost(jobId: string): void {
    this.end(jobId, "lost", null);
  }

  hear(message: JobMessage): void {
    const id = message.data.prompt_id;
    if (message.type === "execution_start") this.begin(id, message.data.timestamp);
    if (id !== this.shown) return this.hearOfOther(message);
    switch (message.type) {
      case "execution_cached":
        for (const node of message.data.nodes) this.set(this.resolve(node), { state: "cached" });
        return;
      case "progress_state":
        for (const node of Object.values(message.data.nodes)) this.progress(node);
        return;
      case "executing":
        if (message.data.node !== null) this.running(message.data.display_node ?? message.data.node);
        return;
      case "progress":
        return; // progress_state says it as well, for all nodes
      case "figures":
        return this.measured(message.data);
      case "executed":
        return this.executed(message.data);
      case "execution_error":
        return this.failed(message.data);
      case "execution_success":
        return this.end(id, "success", message.data.timestamp);
      case "execution_interrupted":
        return this.end(id, "interrupted", message.data.timestamp);
    }
  }

  /** A picture of a node at work, or one that a job sent. */
  show(picture: PictureFrame): void {
    if (picture.node === null || (picture.jobId !== null && picture.jobId !== this.shown)) return;
    const { media, bytes } = picture;
    this.set(this.resolve(picture.node), { preview: { media, bytes } });
  }

  /** Forgets everything: another document is open. */
  clear(): void {
    const ids = [...this.runs.keys()];
    this.runs.clear();
    this.jobs.clear();
    this.shown = null;
    for (const id of ids) this.tell(id);
    for (const listener of [...this.listeners]) listener();
  }

  /** Another document is shown: what is known of its runs and of this one's change places. */
  exchange(other: Runtime): void {
    const ids = new Set([...this.runs.keys(), ...other.runs.keys()]);
    [this.runs, other.runs] = [other.runs, this.runs];
    [this.jobs, other.jobs] = [other.jobs, this.jobs];
    [this.shown, other.shown] = [other.shown, this.shown];
    for (const id of ids) this.tell(id);
    for (const listener of [...this.listeners]) listener();
  }

  /** Another one, of which nothing is known yet. */
  blank(): Runtime {
    return new Runtime(this.resolve);
  }

  /** The jobs that have not ended. */
  unfinished(): readonly string[] {
    const all = [...this.jobs.values()];
    return all.filter(({ state }) => state === "pending" || state === "running").map(({ id }) => id);
  }

  private hearOfOther(message: JobMessage): void {
    const { prompt_id: id } = message.data;
    if (!this.jobs.has(id)) return;
    if (message.type === "execution_success") this.end(id, "success", message.data.timestamp);
    if (message.type === "execution_interrupted") this.end(id, "interrupted", message.data.timestamp);
    if (message.type === "execution_error") this.end(id, "error", message.data.timestamp);
  }

  private begin(jobId: string, at: number): void {
    this.shown = jobId;
    for (const id of [...this.runs.keys()]) {
      this.set(id, { state: "idle", value: 0, max: 0, failure: null, preview: null });
    }
    this.setJob({ id: jobId, state: "running", started: at, ended: null, failure: null });
  }

  private progress({ display_node_id: shown, node_id: id, state, value, max }: NodeProgress): void {
    const top = this.resolve(shown);
    // Of a node that stands for others, the one at work counts.
    if (top !== id && state !== "running") return;
    if (state === "pending") return;
    const states = { running: "running", finished: "done", error: "error" } as const;
    this.set(top, { state: states[state], value, max });
  }

  private running(node: NodeId): void {
    const id = this.resolve(node);
    if (this.node(id).state !== "running") this.set(id, { state: "running", value: 0, max: 0 });
  }

  private executed({ node, display_node: shown, output }: JobMessages["executed"]): void {
    const top = this.resolve(shown);
    const done = top === node && this.node(top).state === "running" ? { state: "done" as const } : {};
    this.set(top, { output, ...done });
  }

  private measured({ prompt_id: job, display_node: shown, step, total, figures, sample }: JobMessages["figures"]): void {
    const id = this.resolve(shown);
    const { curve } = this.node(id);
    const { points, samples } = curve?.job === job ? curve : { points: [], samples: [] };
    const point = Object.keys(figures).length ? addPoint(points, { step, figures }) : points;
    const others = samples.filter((each) => each.step < step);
    const drawn = sample ? [...others, { step, file: sample }].slice(-MOST_SAMPLES) : samples;
    this.set(id, { curve: { job, total, points: point, samples: drawn } });
  }

  private failed(data: JobMessages["execution_error"]): void {
    const failure = {
      message: data.exception_message,
      type: data.exception_type,
      traceback: data.traceback,
    };
    const node = data.node_id === null ? null : this.resolve(data.node_id);
    if (node !== null) this.set(node, { state: "error", failure });
    this.end(data.prompt_id, "error", data.timestamp, { ...failure, node });
  }

  private end(jobId: string, state: JobState, at: number | null, failure: JobRun["failure"] = null): void {
    const job = this.jobs.get(jobId);
    if (jobId === this.shown) {
      for (const [id, run] of this.runs) {
        if (run.state === "running") this.set(id, { state: state === "success" ? "done" : "idle" });
        if (run.preview) this.set(id, { preview: null });
      }
    }
    if (job) this.setJob({ ...job, state, ended: at, failure });
  }

  private setJob(job: JobRun): void {
    this.jobs.set(job.id, job);
    for (const listener of [...this.listeners]) listener();
  }

  private set(id: NodeId, changes: Partial<NodeRun>): void {
    const before = this.node(id);
    const same = (Object.keys(changes) as (keyof NodeRun)[]).every((key) => before[key] === changes[key]);
    if (same) return;
    this.runs.set(id, { ...before, ...changes });
    this.tell(id);
  }

  private tell(id: NodeId): void {
    for (const listener of [...(this.nodeListeners.get(id) ?? [])]) listener();
    for (const listener of [...this.allListeners]) listener(id);
  }
}
