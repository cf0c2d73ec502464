// What can be done with a picture that the server has: its graph, seed or prompt taken back, used as an
// input, compared. Each change of the graph is one step, and is told.

import type { Graph, NodeId, Point } from "../doc/graph";
import { asObject } from "../doc/json";
import { titleOf } from "../doc/ports";
import type { Recalled } from "../doc/recall";
import { recallSeeds, recallTexts } from "../doc/recall";
import type { Recipe } from "../doc/recipe";
import { pictureValue, uploadPort } from "../doc/uploads";
import type { Words } from "../i18n/t";
import { t } from "../i18n/t";
import type { FileRef } from "../protocol/shapes";
import { add, setWidget } from "./actions";
import type { Editor } from "./editor";
import { recipeFor, samePicture } from "./runs";
import type { Picture } from "./ui";
import { say } from "./ui";

/** What a picture is called while it is dragged from a list onto the canvas. */
export const DRAGGED = "application/x-nodegraph-picture";

const LOADER = "LoadImage";
const LOOKED = 60; // runs among which the one before is looked for

/** Does something with the server; what goes wrong is told. */
export async function trying<T>(editor: Editor, work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    say(editor.ui, error instanceof Error ? error.message : String(error), true);
    return null;
  }
}

/** Opens the graph of a picture's run: beside the present one, unless that has nothing to be lost. */
export async function openGraph(editor: Editor, { job, file }: Picture): Promise<boolean> {
  if (job === null) return false;
  const details = await trying(editor, () => editor.api.job(job));
  if (!details) return false;
  const drawn = asObject(details.workflow.extra_data["extra_pnginfo"])["workflow"];
  return editor.openData(drawn ?? details.workflow.prompt, file.filename.replace(/\.\w+$/, ""));
}

/** Puts the seed of a picture into the graph as it stands, and has it stay. */
export async function recallSeed(editor: Editor, picture: Picture): Promise<void> {
  await recall(editor, picture, "seed", recallSeeds);
}

/** Puts the texts of a picture into the graph as it stands. */
export async function recallPrompt(editor: Editor, picture: Picture): Promise<void> {
  await recall(editor, picture, "prompt", recallTexts);
}

async function recall(
  editor: Editor,
  picture: Picture,
  what: "seed" | "prompt",
  change: (graph: Graph, recipe: Recipe, catalogue: Editor["catalogue"]) => Recalled,
): Promise<void> {
  const { job } = picture;
  const run = job === null ? null : await trying(editor, () => editor.runs.get(job, true));
  if (!run) return;
  const { graph, set, left } = change(editor.graph, recipeFor(run, picture), editor.catalogue);
  editor.document.apply(t(`do.recall.${what}`), () => graph);
  editor.document.seal();
  for (const { node, input } of set) editor.runtime.forgiveFault(node, input);
  if (!set.length) return say(editor.ui, t(left ? `recall.${what}.place` : `recall.${what}.none`), true);
  const names = [...new Set(set.map(({ node }) => nameOf(editor, node)))].join(", ");
  const [first] = set;
  const words: Words = left ? `recall.${what}.part` : `recall.${what}.done`;
  say(editor.ui, t(words, { names, value: String(first?.value ?? ""), count: left }));
}

function nameOf({ graph, catalogue }: Editor, id: NodeId): string {
  const node = graph.nodes.get(id);
  return node ? titleOf(node, catalogue.get(node.type)) : id;
}

/** The input of a node that names a picture; null if it has none, or a cable brings it. */
function pictureInput({ graph, catalogue }: Editor, id: NodeId): string | null {
  const node = graph.nodes.get(id);
  const port = uploadPort(catalogue.get(node?.type ?? ""));
  return node && port && !Object.hasOwn(node.links, port.name) ? port.name : null;
}

/** Has a node load a picture of the server's: the one it is dropped on, or else a new one. */
export function loadFrom(editor: Editor, file: FileRef, position: Point, onto: NodeId | null = null): void {
  const port = onto === null ? null : pictureInput(editor, onto);
  if (onto !== null && port !== null) {
    editor.document.seal();
    setWidget(editor, onto, port, pictureValue(file));
    return;
  }
  const def = editor.catalogue.get(LOADER);
  if (!def) return say(editor.ui, t("picture.noloader"), true);
  editor.document.transact(t("do.load"), () => {
    const id = add(editor, def, position);
    const input = pictureInput(editor, id);
    if (input !== null) setWidget(editor, id, input, pictureValue(file));
  });
  editor.document.seal();
}

/** The same, in the middle of what is seen of the canvas. */
export function asInput(editor: Editor, { file }: Picture): void {
  const view = editor.canvas?.view() ?? { x: 0, y: 0, width: 0, height: 0 };
  const at = { x: Math.round(view.x + view.width / 2 - 120), y: Math.round(view.y + view.height / 2 - 100) };
  loadFrom(editor, file, at);
  say(editor.ui, t("picture.used", { name: file.filename }));
}

/** What a drop brings, if it is a picture from a list. */
export function readDragged(data: Pick<DataTransfer, "getData">): FileRef | null {
  const text = data.getData(DRAGGED);
  if (!text) return null;
  const { filename, subfolder, type } = JSON.parse(text) as Record<string, unknown>;
  const known = typeof filename === "string" && typeof subfolder === "string" && typeof type === "string";
  return known ? { filename, subfolder, type } : null;
}

// -- comparing --------------------------------------------------------------------------------------

/** Chooses a picture to be compared, or no longer; of three the first is let go. */
export function mark({ ui }: Editor, picture: Picture): void {
  const { marked } = ui.getState();
  const others = marked.filter((each) => !samePicture(each, picture));
  ui.setState({ marked: others.length < marked.length ? others : [...others, picture].slice(-2) });
}

export function compareMarked({ ui }: Editor): void {
  const [a, b] = ui.getState().marked;
  if (a && b) ui.setState({ compared: [a, b], shown: null });
}

/** Compares a picture with the one that the run before it made at the same place. */
export async function compareWithBefore(editor: Editor, picture: Picture): Promise<void> {
  const before = await trying(editor, () => pictureBefore(editor, picture));
  if (before) editor.ui.setState({ compared: [before, picture], shown: null });
  else if (before === undefined) say(editor.ui, t("compare.none.before"), true);
}

async function pictureBefore({ api, runs }: Editor, picture: Picture): Promise<Picture | undefined> {
  const { jobs } = await api.jobs({ status: ["completed", "failed", "cancelled"], limit: LOOKED, order: "desc" });
  const at = jobs.findIndex(({ id }) => id === picture.job);
  const older = jobs.slice(at + 1).filter((job) => job.previewable_outputs_count > 0);
  for (const { id } of older) {
    const found = counterpart((await runs.get(id, true)).pictures, picture, await siblings(runs, picture));
    if (found) return found;
  }
  return undefined;
}

async function siblings(runs: Editor["runs"], { job, node }: Picture): Promise<readonly Picture[]> {
  if (job === null) return [];
  return (await runs.get(job, true)).pictures.filter((each) => each.node === node);
}

/** Of another run, the picture of the same node and place among its pictures. */
function counterpart(pictures: readonly Picture[], picture: Picture, own: readonly Picture[]): Picture | undefined {
  const same = pictures.filter(({ node }) => node === picture.node);
  const list = same.length ? same : pictures;
  return list[Math.max(0, own.findIndex((each) => samePicture(each, picture)))] ?? list[0];
}
