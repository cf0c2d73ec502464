// Where a node is on the page: React Flow's element of it.

import type { NodeId } from "../doc/graph";

const NODE = ".react-flow__node";

/** The element of a node; null while the canvas does not show it. */
export function nodeElement(id: NodeId): HTMLElement | null {
  return document.querySelector<HTMLElement>(`${NODE}[data-id="${CSS.escape(id)}"]`);
}

/** The element of the node that something is part of. */
export function nodeAround(part: Element | null | undefined): HTMLElement | null {
  return part?.closest<HTMLElement>(NODE) ?? null;
}

/** The node that something is part of. */
export function nodeIdAround(part: Element | null | undefined): NodeId | null {
  return nodeAround(part)?.dataset["id"] ?? null;
}
