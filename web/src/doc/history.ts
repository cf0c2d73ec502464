// The document with its history. A change is a function from a graph to a graph; what happens
// within a transaction, or in a row with the same `merge`, is one step. What happens while a graph
// runs is no part of it.

import type { Graph } from "./graph";
import { EMPTY } from "./graph";

export type Change = (graph: Graph) => Graph;

/** A step that can be undone. label: what the user did, for the menu. */
export interface Step {
  readonly label: string;
  readonly before: Graph;
  readonly after: Graph;
  readonly merge: string | null;
}

/** What listeners are told. reason: "reset" when another document took its place. */
export interface Changed {
  readonly graph: Graph;
  readonly before: Graph;
  readonly reason: "do" | "undo" | "redo" | "reset" | "saved";
}

/** A document with its history, to be taken up again. saved: the graph that is saved; null: none is. */
export interface Past {
  readonly steps: readonly Step[];
  readonly undone: readonly Step[];
  readonly graph: Graph;
  readonly saved: Graph | null;
}

export interface Options {
  /** Steps in a row with the same key become one: dragging, typing. */
  readonly merge?: string;
}

export class GraphDocument {
  private steps: Step[] = [];
  private undone: Step[] = [];
  private current: Graph;
  private savedAs: Graph | null;
  private open: { readonly before: Graph; readonly label: string; depth: number } | null = null;
  private sealed = true;
  private readonly listeners = new Set<(changed: Changed) => void>();

  /** limit: steps that are remembered. */
  constructor(
    graph: Graph = EMPTY,
    private readonly limit = 500,
  ) {
    this.current = graph;
    this.savedAs = graph;
  }

  get graph(): Graph {
    return this.current;
  }

  get canUndo(): boolean {
    return this.steps.length > 0;
  }

  get canRedo(): boolean {
    return this.undone.length > 0;
  }

  get undoLabel(): string | null {
    return this.steps.at(-1)?.label ?? null;
  }

  get redoLabel(): string | null {
    return this.undone.at(-1)?.label ?? null;
  }

  /** Whether it differs from what was saved. */
  get dirty(): boolean {
    return this.current !== this.savedAs;
  }

  /** Whether a transaction is open. */
  get changing(): boolean {
    return this.open !== null;
  }

  get length(): number {
    return this.steps.length;
  }

  /** Makes a change, as a step or as part of the open transaction. Whether there was one. */
  apply(label: string, change: Change, options: Options = {}): boolean {
    const before = this.current;
    const after = change(before);
    if (after === before) return false;
    this.current = after;
    if (!this.open) this.push({ label, before, after, merge: options.merge ?? null });
    this.tell(before, "do");
    return true;
  }

  /** Makes all changes of `work` one step. What it throws undoes them, and goes on. */
  transact<T>(label: string, work: () => T): T {
    this.begin(label);
    try {
      const result = work();
      this.commit();
      return result;
    } catch (error) {
      this.rollback();
      throw error;
    }
  }

  /** Opens a transaction (a drag, say), to be ended by commit or rollback. They may be nested. */
  begin(label: string): void {
    if (this.open) this.open.depth += 1;
    else this.open = { before: this.current, label, depth: 0 };
  }

  commit(): void {
    const open = this.open;
    if (!open) return;
    if (open.depth > 0) {
      open.depth -= 1;
      return;
    }
    this.open = null;
    if (open.before !== this.current) {
      this.push({ label: open.label, before: open.before, after: this.current, merge: null });
      this.tell(open.before, "do"); // there is a step to undo now
    }
  }

  /** Ends the transaction, however deep, and takes back what it changed. */
  rollback(): void {
    const open = this.open;
    if (!open) return;
    this.open = null;
    const before = this.current;
    this.current = open.before;
    if (before !== this.current) this.tell(before, "undo");
  }

  undo(): boolean {
    this.commitAll();
    const step = this.steps.pop();
    if (!step) return false;
    this.undone.push(step);
    return this.show(step.before, "undo");
  }

  redo(): boolean {
    this.commitAll();
    const step = this.undone.pop();
    if (!step) return false;
    this.steps.push(step);
    return this.show(step.after, "redo");
  }

  /** The next change is a step of its own, whatever its merge key. */
  seal(): void {
    this.sealed = true;
  }

  /** Another graph takes its place; its history begins anew. */
  reset(graph: Graph): void {
    const before = this.current;
    [this.steps, this.undone, this.open, this.sealed] = [[], [], null, true];
    this.current = graph;
    this.savedAs = graph;
    this.tell(before, "reset");
  }

  /** The document as it is, with its history. */
  get past(): Past {
    this.commitAll();
    return { steps: [...this.steps], undone: [...this.undone], graph: this.current, saved: this.savedAs };
  }

  /** Another document takes its place, with its history. */
  take({ steps, undone, graph, saved }: Past): void {
    const before = this.current;
    [this.steps, this.undone, this.open, this.sealed] = [[...steps], [...undone], null, true];
    this.current = graph;
    this.savedAs = saved;
    this.tell(before, "reset");
  }

  /** What there is now is what is saved. graph: what was saved, if there were changes meanwhile. */
  markSaved(graph: Graph = this.current): void {
    this.savedAs = graph;
    this.tell(this.current, "saved");
  }

  /** Calls the listener after each change; the function returned ends that. */
  subscribe(listener: (changed: Changed) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private push(step: Step): void {
    const last = this.steps.at(-1);
    const merges = !this.sealed && step.merge !== null && last?.merge === step.merge;
    if (merges && last) this.steps[this.steps.length - 1] = { ...last, after: step.after };
    else this.steps.push(step);
    if (this.steps.length > this.limit) this.steps.shift();
    this.undone = [];
    this.sealed = false;
  }

  private commitAll(): void {
    while (this.open) this.commit();
  }

  private show(graph: Graph, reason: "undo" | "redo"): boolean {
    const before = this.current;
    this.current = graph;
    this.sealed = true;
    this.tell(before, reason);
    return true;
  }

  private tell(before: Graph, reason: Changed["reason"]): void {
    for (const listener of [...this.listeners]) listener({ graph: this.current, before, reason });
  }
}

/** A document without a history. */
export function fresh(graph: Graph, saved: Graph | null = graph): Past {
  return { steps: [], undone: [], graph, saved };
}

/** A history with the last steps only, so many that their graphs have at most `nodes` nodes together. */
export function shortened(past: Past, nodes: number): Past {
  let left = nodes - past.graph.nodes.size;
  const last = (steps: readonly Step[]): readonly Step[] => {
    let count = 0;
    for (const { before } of steps.toReversed()) {
      left -= before.nodes.size + 1;
      if (left < 0) break;
      count += 1;
    }
    return count === steps.length ? steps : steps.slice(steps.length - count);
  };
  const steps = last(past.steps);
  return { ...past, steps, undone: last(past.undone) };
}
