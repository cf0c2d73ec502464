// A drag of nodes and groups, from its start to its end: one step of the history. With Alt, copies are
// made where it starts, and what React Flow reports of the originals is done with the copies.

import type { NodeChange } from "@xyflow/react";

import { duplicate } from "../doc/clipboard";
import { insertNode, insertion } from "../doc/connect";
import type { NodeId, Point } from "../doc/graph";
import { t } from "../i18n/t";
import { cableOf } from "../state/actions";
import { insideOf } from "../state/chosen";
import type { Editor } from "../state/editor";
import { select } from "../state/ui";
import type { AnyNode } from "./adapter";
import { frameId, groupOf } from "./adapter";
import type { Along } from "./moving";
import { alongWith, takeChanges } from "./moving";

const NO_COPIES: ReadonlyMap<string, string> = new Map();
const STILL: Along = new Map();

export class Dragging {
  private along = STILL;
  /** The copies that are dragged in place of originals, as the canvas names both. */
  private copies = NO_COPIES;

  constructor(private readonly editor: Editor) {}

  /** copying: copies are dragged. */
  start(dragged: readonly AnyNode[], copying: boolean): void {
    const { document } = this.editor;
    document.begin(t(copying ? "do.duplicate" : "do.move"));
    this.copies = copying ? this.copy(dragged) : NO_COPIES;
    this.along = alongWith(this.editor, dragged.map(({ id }) => ({ id: this.copies.get(id) ?? id })));
  }

  /** Makes the changes that React Flow reports, in a drag or without one. */
  take(changes: readonly NodeChange<AnyNode>[]): void {
    const meant = changes.map((change) =>
      change.type === "position" ? { ...change, id: this.copies.get(change.id) ?? change.id } : change,
    );
    takeChanges(this.editor, meant, this.along);
  }

  /** The cable at a point of the screen that the dragged node can be put into. */
  cableAt({ x, y }: Point, dragged: readonly AnyNode[]): string | null {
    const node = this.single(dragged);
    if (node === null) return null;
    for (const element of document.elementsFromPoint(x, y)) {
      const id = element.closest<HTMLElement>(".react-flow__edge")?.dataset["id"];
      if (id && insertion(this.editor.graph, cableOf(id), node, this.editor.catalogue)) return id;
    }
    return null;
  }

  /** Ends it. cable: the node was let go over it, and is put into it. */
  end(dragged: readonly AnyNode[], cable: string | null): void {
    const { document, catalogue } = this.editor;
    const node = this.single(dragged);
    if (node !== null && cable !== null) {
      document.apply(t("do.insert"), (graph) => insertNode(graph, cableOf(cable), node, catalogue));
    }
    document.commit();
    document.seal();
    [this.along, this.copies] = [STILL, NO_COPIES];
  }

  /** The node that is dragged alone. */
  private single(dragged: readonly AnyNode[]): NodeId | null {
    const [first] = dragged;
    if (!first || dragged.length !== 1 || groupOf(first.id) !== null) return null;
    return this.copies.get(first.id) ?? first.id;
  }

  private copy(dragged: readonly AnyNode[]): ReadonlyMap<string, string> {
    const { document, graph, ui } = this.editor;
    const groups = dragged.flatMap(({ id }) => groupOf(id) ?? []);
    const alone = dragged.flatMap(({ id }) => (groupOf(id) === null ? [id] : []));
    const wanted = new Set([...alone, ...groups.flatMap((id) => insideOf(this.editor, id))]);
    // In the order of the graph, in which copies are made.
    const originals = [...graph.nodes.keys()].filter((id) => wanted.has(id));
    const frames = [...graph.groups.keys()].filter((id) => groups.includes(id));
    const copies = new Map<string, string>();
    document.apply(t("do.duplicate"), (before) => {
      const made = duplicate(before, originals, frames, { x: 0, y: 0 });
      originals.forEach((id, index) => copies.set(id, made.nodes[index] ?? id));
      frames.forEach((id, index) => copies.set(frameId(id), frameId(made.groups[index] ?? id)));
      const dragging = alone.flatMap((id) => copies.get(id) ?? []);
      queueMicrotask(() => select(ui, dragging, made.groups));
      return made.graph;
    });
    return copies;
  }
}
