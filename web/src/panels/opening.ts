// Where what opens over the canvas comes up: the search for a node, and the menu.

import { nodeAround, nodeElement } from "../canvas/elements";
import type { Point } from "../doc/graph";
import type { Editor } from "../state/editor";
import type { Menu } from "../state/ui";

/** The search for a node, in the middle of the page. */
export function openPalette(editor: Editor): void {
  const at = { x: innerWidth / 2, y: innerHeight / 3 };
  const position = editor.canvas?.toGraph(at) ?? { x: 0, y: 0 };
  const rounded = { x: Math.round(position.x), y: Math.round(position.y) };
  editor.ui.setState({ palette: { at: { x: at.x - 160, y: at.y - 80 }, position: rounded, drawn: null } });
}

/** The menu of what is selected, or of the canvas, beside what has the focus. */
export function openMenu(editor: Editor): void {
  const { nodes, groups, cables } = editor.ui.getState();
  const about: Menu["about"] = nodes.size ? "node" : groups.size ? "group" : cables.size ? "cable" : "canvas";
  const at = beside(editor);
  editor.ui.setState({ menu: { at, position: editor.canvas?.toGraph(at) ?? at, about } });
}

/** A point of the screen at the node that has the focus, or else at one that is selected. */
export function beside({ ui }: Editor): Point {
  const [id] = ui.getState().nodes;
  const focus = nodeAround(document.activeElement);
  const shown = focus ?? (id === undefined ? null : nodeElement(id));
  const box = shown?.getBoundingClientRect();
  return box ? { x: box.left + 24, y: box.top + 24 } : { x: innerWidth / 2, y: innerHeight / 3 };
}
