// Keeping a graph in order: lining nodes up, groups, colours, notes, and getting from one to the next.
// Each change is one step of the history.

import type { Axis, Edge } from "../doc/align";
import { align, around, distribute } from "../doc/align";
import { addReroute, disconnect } from "../doc/connect";
import {
  addGroup, addNode, changeGroup, moveGroup, moveNodes, placeNodes, removeGroups, removeNodes, setLook,
} from "../doc/edit";
import type { Bounds, Graph, GroupId, InputRef, NodeId, Point } from "../doc/graph";
import { NOTE } from "../doc/graph";
import { titleOf } from "../doc/ports";
import type { Way } from "../doc/walk";
import { connectedTo, firstNode, stepFrom } from "../doc/walk";
import { t } from "../i18n/t";
import { cableOf } from "./actions";
import { chosenNodes, insideOf } from "./chosen";
import type { Editor } from "./editor";
import { boxesOf, layoutOf } from "./sizes";
import { NOTHING, announce, select } from "./ui";

/** Colours of nodes and groups, as files have them, and their names in en.json. */
export const COLORS = [
  ["", "color.none"],
  ["#d9534f", "color.red"],
  ["#e08a3c", "color.orange"],
  ["#cfae2b", "color.yellow"],
  ["#4fa35a", "color.green"],
  ["#2f9e9b", "color.teal"],
  ["#4a86d9", "color.blue"],
  ["#8b63d6", "color.purple"],
  ["#c65d9f", "color.pink"],
] as const;

const MARGIN = 24; // pixels between a group's frame and what is in it

/** The frame of a group around a box. */
export function frameAround({ x, y, width, height }: Bounds): Bounds {
  return { x: x - MARGIN, y: y - 2 * MARGIN, width: width + 2 * MARGIN, height: height + 3 * MARGIN };
}

// -- lining up ------------------------------------------------------------------------------------

export function alignSelected(editor: Editor, edge: Edge): void {
  const places = align(boxesOf(editor, movable(editor)), edge);
  editor.document.apply(t("do.align"), (graph) => placeNodes(graph, places));
}

export function distributeSelected(editor: Editor, axis: Axis): void {
  const places = distribute(boxesOf(editor, movable(editor)), axis);
  editor.document.apply(t("do.distribute"), (graph) => placeNodes(graph, places));
}

function movable({ graph, ui }: Editor): NodeId[] {
  return [...ui.getState().nodes].filter((id) => graph.nodes.get(id)?.pinned === false);
}

/** Moves what is selected; groups take along what is in them. Moves in a row are one step. */
export function moveSelected(editor: Editor, by: Point): void {
  const { nodes, groups } = editor.ui.getState();
  const inside = new Set([...groups].flatMap((id) => insideOf(editor, id)));
  const alone = [...nodes].filter((id) => !inside.has(id));
  const width = (node: Parameters<typeof layoutOf>[1]): number => layoutOf(editor, node).width;
  editor.document.apply(
    t("do.move"),
    (graph) => [...groups].reduce((result, id) => moveGroup(result, id, by, width), moveNodes(graph, alone, by)),
    { merge: "move" },
  );
}

// -- groups ---------------------------------------------------------------------------------------

/** A frame around what is selected, its title open to be typed. */
export function groupSelected(editor: Editor): void {
  const { ui } = editor;
  const bounds = around(boxesOf(editor, ui.getState().nodes).values());
  if (!bounds) return;
  let made = "";
  editor.document.apply(t("do.group"), (graph) => {
    const added = addGroup(graph, t("group.new"), frameAround(bounds));
    made = added.id;
    return added.graph;
  });
  select(ui, [], [made]);
  ui.setState({ renaming: { kind: "group", id: made } });
}

/** Makes the frames of selected groups as large as what is in them. */
export function fitGroups(editor: Editor): void {
  const { groups } = editor.ui.getState();
  const fitted = (graph: Graph, id: GroupId): Graph => {
    const bounds = around(boxesOf(editor, insideOf(editor, id)).values());
    return bounds ? changeGroup(graph, id, { bounds: frameAround(bounds) }) : graph;
  };
  editor.document.apply(t("do.group.fit"), (graph) => [...groups].reduce(fitted, graph));
}

/** Deletes the selected groups and all that is in them. */
export function removeWithContents(editor: Editor): void {
  const { groups } = editor.ui.getState();
  const nodes = chosenNodes(editor);
  editor.document.apply(t("do.remove"), (graph) => removeGroups(removeNodes(graph, nodes, editor.catalogue), groups));
}

// -- looks ----------------------------------------------------------------------------------------

/** Colours what is selected; "": as usual. */
export function paint(editor: Editor, color: string): void {
  const { nodes, groups } = editor.ui.getState();
  editor.document.apply(t("do.color"), (graph) =>
    [...groups].reduce((result, id) => changeGroup(result, id, { color }), setLook(graph, nodes, { color })),
  );
}

/** Opens the title of what is selected, to be changed. */
export function renameSelected({ ui, canvas }: Editor): void {
  const { nodes, groups } = ui.getState();
  const [node] = nodes;
  const [group] = groups;
  if (node !== undefined) {
    canvas?.show(node);
    ui.setState({ renaming: { kind: "node", id: node } });
  } else if (group !== undefined) {
    ui.setState({ renaming: { kind: "group", id: group } });
  }
}

/** A note in the middle of what is seen. */
export function addNote(editor: Editor): void {
  const def = editor.catalogue.get(NOTE);
  const view = editor.canvas?.view();
  if (!def || !view) return;
  const position = { x: Math.round(view.x + view.width / 2 - 160), y: Math.round(view.y + view.height / 3) };
  let made = "";
  editor.document.apply(t("do.add", { name: def.title }), (graph) => {
    const added = addNode(graph, def, position);
    made = added.id;
    return added.graph;
  });
  select(editor.ui, [made]);
}

// -- cables ---------------------------------------------------------------------------------------

/** A bend in the middle of a cable. */
export function bend(editor: Editor, cable: InputRef, position: Point): void {
  editor.document.apply(t("do.reroute"), (graph) => addReroute(graph, cable, position)?.graph ?? graph);
}

/** A bend in the middle of each selected cable. */
export function bendSelected(editor: Editor): void {
  editor.document.transact(t("do.reroute"), () => {
    for (const id of editor.ui.getState().cables) {
      const cable = cableOf(id);
      const middle = middleOf(editor, cable);
      if (middle) bend(editor, cable, middle);
    }
  });
}

function middleOf(editor: Editor, { node: id, input }: InputRef): Point | null {
  const node = editor.graph.nodes.get(id);
  const source = node?.links[input];
  const from = source && editor.graph.nodes.get(source.node);
  if (!node || !from) return null;
  const start = layoutOf(editor, from).handles.find((each) => each.kind === "out" && each.id === source.output);
  const end = layoutOf(editor, node).handles.find((each) => each.kind === "in" && each.id === input);
  if (!start || !end) return null;
  const x = (from.position.x + start.x + node.position.x + end.x) / 2;
  const y = (from.position.y + start.y + node.position.y + end.y) / 2;
  return { x: Math.round(x - 20), y: Math.round(y - 12) };
}

/** Takes the cable out of an input. */
export function unplug(editor: Editor, to: InputRef): void {
  editor.document.apply(t("do.disconnect"), (graph) => disconnect(graph, to));
}

// -- selecting ------------------------------------------------------------------------------------

export function selectNothing({ ui }: Editor): void {
  ui.setState({ nodes: NOTHING, groups: NOTHING, cables: NOTHING });
}

/** Selects all that is joined to what is selected, too. */
export function growSelection({ graph, ui }: Editor): void {
  select(ui, connectedTo(graph, ui.getState().nodes));
}

/** Selects the next node that way, shows it, and says which it is. */
export function walk(editor: Editor, way: Way): void {
  const { graph, ui } = editor;
  const [at] = ui.getState().nodes;
  const next = at === undefined ? firstNode(graph) : stepFrom(graph, at, way);
  if (next === null) announce(ui, t("walk.end"));
  else goTo(editor, next);
}

/** Selects a node and nothing else, brings it into view, and says which it is. */
export function goTo(editor: Editor, id: NodeId): void {
  const { graph, catalogue, ui, canvas } = editor;
  const node = graph.nodes.get(id);
  if (!node) return;
  select(ui, [id]);
  canvas?.show(id);
  announce(ui, titleOf(node, catalogue.get(node.type)));
}
