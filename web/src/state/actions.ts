// What the user does to the graph: each is one step of the history.

import type { NodeDef } from "../doc/catalogue";
import { clipText, copy, duplicate, paste, readClip } from "../doc/clipboard";
import type { Drawn } from "../doc/connect";
import { attach, connect, disconnect, fittingTypes } from "../doc/connect";
import {
  addNode, removeGroups, removeNodes, setLook, setSeedMode, setValue, toggleMode,
} from "../doc/edit";
import type { InputRef, Mode, NodeId, Point, SeedMode, Source } from "../doc/graph";
import type { Json } from "../doc/json";
import { arranged } from "../doc/open";
import { readTexts } from "../doc/pictures";
import { uploadPort } from "../doc/uploads";
import { t } from "../i18n/t";
import { chosenNodes } from "./chosen";
import type { Editor } from "./editor";
import { NOTHING, say, select } from "./ui";

const RECENT = 12;

/** "5:samples" names the cable that ends there. */
export function cableId({ node, input }: InputRef): string {
  return `${node}:${input}`;
}

export function cableOf(id: string): InputRef {
  const at = id.indexOf(":");
  return { node: id.slice(0, at), input: id.slice(at + 1) };
}

/** Adds a node, and connects it with the cable that was let go. Its id. */
export function add(editor: Editor, def: NodeDef, position: Point, drawn: Drawn | null = null): NodeId {
  const { document, catalogue, ui } = editor;
  const port = drawn && fittingTypes(document.graph, drawn, catalogue).find((each) => each.def === def)?.port;
  let made = "";
  document.apply(t("do.add", { name: def.title }), (graph) => {
    const added = addNode(graph, def, position);
    made = added.id;
    return drawn && typeof port === "string" ? attach(added.graph, drawn, made, port) : added.graph;
  });
  select(ui, [made]);
  const others = ui.getState().recent.filter((type) => type !== def.type);
  ui.setState({ recent: [def.type, ...others].slice(0, RECENT) });
  return made;
}

export function setWidget(editor: Editor, node: NodeId, input: string, value: Json): void {
  editor.document.apply(t("do.value", { name: input }), (graph) => setValue(graph, node, input, value), {
    merge: `value ${node} ${input}`,
  });
  editor.runtime.forgiveFault(node, input);
}

export function setSeed(editor: Editor, node: NodeId, input: string, mode: SeedMode): void {
  editor.document.apply(t("do.seed"), (graph) => setSeedMode(graph, node, input, mode));
}

/** Takes the seed of the last run and keeps it. */
export function keepLastSeed(editor: Editor, node: NodeId, input: string): void {
  const seed = editor.lastSeed(node, input);
  if (seed !== null) keepSeed(editor, node, input, seed);
}

/** Takes a seed and keeps it. */
export function keepSeed(editor: Editor, node: NodeId, input: string, seed: number | bigint): void {
  editor.document.apply(t("do.seed"), (graph) =>
    setSeedMode(setValue(graph, node, input, seed), node, input, "fixed"),
  );
}

export function lay(editor: Editor, source: Source, to: InputRef): void {
  editor.document.apply(t("do.connect"), (graph) => connect(graph, source, to));
  editor.runtime.forgiveFault(to.node, to.input);
}

/** Deletes what is selected: nodes, groups, cables. */
export function removeSelected(editor: Editor): void {
  const { nodes, groups, cables } = editor.ui.getState();
  editor.document.apply(t("do.remove"), (graph) => {
    const cut = [...cables].reduce((result, id) => disconnect(result, cableOf(id)), graph);
    return removeGroups(removeNodes(cut, nodes, editor.catalogue), groups);
  });
  editor.ui.setState({ cables: NOTHING });
}

export function toggleSelectedMode(editor: Editor, mode: Exclude<Mode, "normal">): void {
  const label = t(mode === "muted" ? "do.mute" : "do.bypass");
  editor.document.apply(label, (graph) => toggleMode(graph, chosenNodes(editor), mode));
}

/** Collapses or pins what is selected, or ends that if all of it is so. */
export function toggleSelectedLook(editor: Editor, name: "collapsed" | "pinned"): void {
  const nodes = chosenNodes(editor);
  const all = [...nodes].every((id) => editor.graph.nodes.get(id)?.[name]);
  const label = t(name === "collapsed" ? "do.collapse" : "do.pin");
  editor.document.apply(label, (graph) => setLook(graph, nodes, { [name]: !all }));
}

export function selectAll({ graph, ui }: Editor): void {
  select(ui, graph.nodes.keys(), graph.groups.keys());
}

export function duplicateSelected(editor: Editor): void {
  const { groups } = editor.ui.getState();
  const nodes = chosenNodes(editor);
  editor.document.apply(t("do.duplicate"), (graph) => {
    const made = duplicate(graph, nodes, groups);
    queueMicrotask(() => select(editor.ui, made.nodes, made.groups));
    return made.graph;
  });
}

/** What is selected, as text for the clipboard; null if nothing is. */
export function copySelected(editor: Editor): string | null {
  const { groups } = editor.ui.getState();
  const nodes = chosenNodes(editor);
  if (!nodes.size && !groups.size) return null;
  return clipText(copy(editor.graph, nodes, groups), editor.catalogue);
}

/** Pastes a text; whether there was something in it. outer: with cables from outside. place: where, if
 * it is not in the middle of what is seen. */
export function pasteText(editor: Editor, text: string, outer = false, place: Point | null = null): boolean {
  const clip = readClip(text, editor.catalogue);
  if (!clip) return false;
  const view = editor.canvas?.view();
  const middle = view && { x: view.x + view.width / 3, y: view.y + view.height / 3 };
  const at = roundedPoint(place ?? middle);
  editor.document.apply(t("do.paste"), (graph) => {
    const made = paste(graph, clip, { ...(at ? { at } : {}), outer });
    queueMicrotask(() => select(editor.ui, made.nodes, made.groups));
    return made.graph;
  });
  return true;
}

function roundedPoint(point: Point | undefined): Point | undefined {
  return point && { x: Math.round(point.x), y: Math.round(point.y) };
}

export function arrangeAll(editor: Editor): void {
  editor.document.apply(t("do.arrange"), (graph) => arranged(graph, editor.catalogue));
  editor.canvas?.fit();
}

/** A file that was dropped, pasted or chosen: a graph, or else a picture to be loaded.
 * onto: the node it was dropped on. */
export async function take(editor: Editor, file: File, position: Point, onto: NodeId | null = null): Promise<void> {
  const picture = file.type.startsWith("image/");
  const port = onto === null ? null : uploadInput(editor, onto);
  if (onto !== null && port !== null && picture) return upload(editor, file, onto, port);
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (picture && !(await carriesGraph(bytes))) return loadPicture(editor, file, position);
  await editor.open(bytes, file.name.replace(/\.\w+$/, ""));
}

async function carriesGraph(bytes: Uint8Array): Promise<boolean> {
  const texts = await readTexts(bytes);
  return texts.has("workflow") || texts.has("prompt");
}

function uploadInput({ graph, catalogue }: Editor, id: NodeId): string | null {
  return uploadPort(catalogue.get(graph.nodes.get(id)?.type ?? ""))?.name ?? null;
}

/** A node with a picture, once the server has it: one step, and never another picture meanwhile. */
async function loadPicture(editor: Editor, file: File, position: Point): Promise<void> {
  const def = editor.catalogue.get("LoadImage");
  const tab = editor.tabs.shown.id;
  const name = def && (await send(editor, file));
  if (!def || name === null || name === undefined || editor.tabs.shown.id !== tab) return;
  editor.document.transact(t("do.load"), () => {
    const id = add(editor, def, position);
    const port = uploadInput(editor, id);
    if (port !== null) setWidget(editor, id, port, name);
  });
  editor.document.seal();
  await editor.server.getState().refresh();
}

/** Sends a picture to the server and has a node's widget name it. */
export async function upload(editor: Editor, file: File, node: NodeId, input: string): Promise<void> {
  const name = await send(editor, file);
  if (name === null) return;
  setWidget(editor, node, input, name);
  await editor.server.getState().refresh();
}

/** Sends a picture to the server; what a widget names it by, null if it could not be. */
async function send(editor: Editor, file: File): Promise<string | null> {
  try {
    const { filename, subfolder } = await editor.api.uploadImage(file, file.name);
    say(editor.ui, t("widget.upload.done", { name: filename }));
    return subfolder ? `${subfolder}/${filename}` : filename;
  } catch (error) {
    say(editor.ui, error instanceof Error ? error.message : String(error), true);
    return null;
  }
}
