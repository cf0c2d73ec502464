// Saving graphs on the server, each in a file of its own, and opening them again. What a file held before
// is kept there. Nobody overwrites what somebody else has saved without being asked.

import { fresh } from "../doc/history";
import { openText } from "../doc/open";
import { t } from "../i18n/t";
import { ApiError } from "../protocol/http";
import type { FileVersion, UserFile } from "../protocol/shapes";
import type { Editor } from "./editor";
import type { Offered } from "./server-drafts";
import type { Dialog } from "./tabs";
import { say } from "./ui";

const FOLDER = "workflows";
const TAKEN = 409;
const CHANGED = 412;

/** A graph that is saved. modified: milliseconds since the epoch. */
export interface Saved {
  readonly path: string;
  readonly name: string;
  readonly modified: number;
  /** Of one that was deleted: the version to restore. */
  readonly etag: string;
}

export function pathOf(name: string): string {
  return `${FOLDER}/${name}.json`;
}

export function nameOf(path: string): string {
  return path.replace(/^workflows\//, "").replace(/\.json$/, "");
}

/** Shows a dialog about files; null: closes it. */
export function ask({ tabs }: Editor, dialog: Dialog | null): void {
  tabs.store.setState({ dialog });
}

/** Saves the graph that is shown: in its file, or where it has none the user is asked for a name.
 * closing: it is closed then. */
export async function save(editor: Editor, closing = false): Promise<boolean> {
  const { file } = editor.tabs.shown;
  if (file === null) {
    ask(editor, { kind: "save", closing });
    return false;
  }
  return write(editor, file.path, { match: file.etag, closing });
}

/** Saves the graph that is shown under a name. "taken": there is such a file, and it is not replaced. */
export async function saveAs(
  editor: Editor,
  name: string,
  { replace = false, closing = false }: { replace?: boolean; closing?: boolean } = {},
): Promise<"saved" | "taken" | "failed"> {
  const path = pathOf(name);
  const own = editor.tabs.shown.file;
  if (own?.path === path) return (await write(editor, path, { match: own.etag, closing })) ? "saved" : "failed";
  try {
    return (await put(editor, path, { overwrite: replace, closing })) ? "saved" : "failed";
  } catch (error) {
    if (error instanceof ApiError && error.status === TAKEN) return "taken";
    report(editor, error);
    return "failed";
  }
}

/** Saves it over what is in its file now, whoever wrote that: it stays there as a version. */
export async function saveAnyway(editor: Editor, closing = false): Promise<boolean> {
  const { file } = editor.tabs.shown;
  return file !== null && write(editor, file.path, { closing });
}

/** Saves it beside its file, under a name that is free. */
export async function saveCopy(editor: Editor, closing = false): Promise<void> {
  const name = editor.tabs.shown.name || t("app.name");
  for (let number = 2; number < 100; number += 1) {
    const done = await saveAs(editor, `${name} (${number})`, { closing });
    if (done !== "taken") return;
  }
}

interface Way {
  readonly match?: string;
  readonly overwrite?: boolean;
  readonly closing?: boolean;
}

async function write(editor: Editor, path: string, way: Way): Promise<boolean> {
  try {
    return await put(editor, path, way);
  } catch (error) {
    const changed = error instanceof ApiError && error.status === CHANGED;
    if (!changed) report(editor, error);
    else return conflict(editor, path, way.closing ?? false);
    return false;
  }
}

async function put(editor: Editor, path: string, { match, overwrite = true, closing = false }: Way): Promise<boolean> {
  const { tabs, graph, api } = editor;
  const { id } = tabs.shown;
  const { etag } = await api.writeUserFile(path, editor.text(), overwrite, match);
  tabs.saved(id, graph, { path, etag });
  tabs.change(id, { name: nameOf(path) });
  ask(editor, null);
  say(editor.ui, t("say.saved", { name: nameOf(path) }));
  if (closing) tabs.close(id);
  return true;
}

/** The file is another than the one that was opened, or it is gone. */
async function conflict(editor: Editor, path: string, closing: boolean): Promise<boolean> {
  const { tabs, graph, api } = editor;
  const { id } = tabs.shown;
  const text = editor.text();
  try {
    const found = await api.openUserFile(path);
    if (found?.text === text) {
      // Our own, whose answer was lost on the way.
      tabs.saved(id, graph, { path, etag: found.etag });
      if (closing) tabs.close(id);
      return true;
    }
    ask(editor, { kind: "conflict", gone: found === null, closing });
  } catch (error) {
    report(editor, error);
  }
  return false;
}

// -- saved graphs -----------------------------------------------------------------------------------

/** The graphs that are saved, the latest first. */
export async function savedGraphs({ api }: Editor): Promise<readonly Saved[]> {
  const files = await api.userFiles(FOLDER);
  const graphs = files.map((file) => savedOf({ ...file, path: `${FOLDER}/${file.path}` }));
  return graphs.filter(({ path }) => path.endsWith(".json")).toSorted((a, b) => b.modified - a.modified);
}

/** Those that were deleted and can be had again, the latest first. */
export async function deletedGraphs({ api }: Editor): Promise<readonly Saved[]> {
  return (await api.deletedUserFiles(FOLDER)).filter(({ path }) => path.endsWith(".json")).map(savedOf);
}

function savedOf({ path, modified, etag }: UserFile): Saved {
  return { path, name: nameOf(path), modified: modified * 1000, etag };
}

/** Opens a saved graph beside what is open, or shows it if it is open. Whether it could be. */
export async function openSaved(editor: Editor, path: string): Promise<boolean> {
  const { tabs } = editor;
  const open = tabs.store.getState().tabs.find(({ file }) => file?.path === path);
  if (open) {
    tabs.show(open.id);
    return true;
  }
  return attempt(editor, async () => {
    const { text, etag } = await fileAt(editor, path);
    tabs.place(openText(text, editor.catalogue).graph, nameOf(path), { path, etag });
  });
}

/** Opens the graph that is in the shown one's file now beside it. */
export async function openTheirs(editor: Editor): Promise<boolean> {
  const { file } = editor.tabs.shown;
  if (!file) return false;
  return attempt(editor, async () => {
    const { text, etag } = await fileAt(editor, file.path);
    const { graph } = openText(text, editor.catalogue);
    // What is open here is no longer that file's: it is saved under a name of its own.
    editor.tabs.change(editor.tabs.shown.id, { file: null });
    editor.tabs.add(fresh(graph), nameOf(file.path), { path: file.path, etag });
  });
}

/** Open graphs in which nothing is unsaved show what somebody else has saved in their files since. */
export async function catchUp(editor: Editor): Promise<void> {
  const open = editor.tabs.store.getState().tabs.filter(({ file, dirty }) => file && !dirty);
  if (!open.length) return;
  try {
    const etags = new Map((await savedGraphs(editor)).map(({ path, etag }) => [path, etag]));
    for (const { id, file } of open) {
      if (!file || (etags.get(file.path) ?? file.etag) === file.etag) continue;
      const { text, etag } = await fileAt(editor, file.path);
      const now = editor.tabs.store.getState().tabs.find((tab) => tab.id === id);
      if (!now || now.dirty || now.file?.etag !== file.etag) continue;
      editor.tabs.replace(id, t("do.update"), openText(text, editor.catalogue).graph, { path: file.path, etag });
    }
  } catch {
    // Saving finds out, and asks.
  }
}

async function fileAt({ api }: Editor, path: string): Promise<{ readonly text: string; readonly etag: string }> {
  const found = await api.openUserFile(path);
  if (!found) throw new Error(t("files.gone", { name: nameOf(path) }));
  return found;
}

/** Gives a saved graph another name, also where it is open. */
export async function rename(editor: Editor, path: string, name: string): Promise<boolean> {
  return attempt(editor, async () => {
    const { path: now, etag } = await editor.api.moveUserFile(path, pathOf(name));
    for (const { id, file } of editor.tabs.store.getState().tabs) {
      if (file?.path === path) editor.tabs.change(id, { name: nameOf(now), file: { path: now, etag: file.etag } });
    }
    return etag;
  });
}

/** Deletes a saved graph; it can be restored. Where it is open it is one that is not saved. */
export async function remove(editor: Editor, path: string): Promise<boolean> {
  return attempt(editor, async () => {
    await editor.api.deleteUserFile(path);
    for (const { id, file } of editor.tabs.store.getState().tabs) {
      if (file?.path === path) editor.tabs.unsaved(id);
    }
  });
}

export async function versionsOf({ api }: Editor, path: string): Promise<readonly FileVersion[]> {
  return api.versions(path);
}

/** Saves an earlier version once more and shows it. Where the graph is open, that is a step that can be
 * undone. */
export async function restore(editor: Editor, path: string, version: string): Promise<boolean> {
  return attempt(editor, async () => {
    await editor.api.restoreVersion(path, version);
    const open = editor.tabs.store.getState().tabs.find(({ file }) => file?.path === path);
    if (!open) {
      await openSaved(editor, path);
      return;
    }
    const { text, etag } = await fileAt(editor, path);
    editor.tabs.show(open.id);
    editor.tabs.replace(open.id, t("do.restore"), openText(text, editor.catalogue).graph, { path, etag });
  });
}

/** Opens an earlier version beside what is open, as a graph that is not saved. */
export async function openVersion(editor: Editor, path: string, version: string, name: string): Promise<boolean> {
  return attempt(editor, async () => {
    const { graph } = openText(await editor.api.readVersion(path, version), editor.catalogue);
    editor.tabs.add(fresh(graph, null), name);
  });
}

// -- drafts that others left ------------------------------------------------------------------------

/** Something that is not saved and not open here. here: left by this browser. */
export interface Left extends Offered {
  readonly here: boolean;
}

/** What is not saved: of pages of this browser that are no longer open, and of other browsers. */
export async function leftDrafts({ drafts, serverDrafts, tabs }: Editor): Promise<readonly Left[]> {
  const left = (await drafts.leftBehind()).filter(({ dirty }) => dirty);
  const known = new Set([...(await drafts.ids()), ...tabs.store.getState().tabs.map(({ id }) => id)]);
  const others = await serverDrafts.others(known);
  return [
    ...left.map(({ tab, name, saved, text }) => ({ tab, name, saved, graph: text, here: true })),
    ...others.map((each) => ({ ...each, here: false })),
  ].toSorted((a, b) => b.saved - a.saved);
}

/** Opens such a draft as a graph of its own. What another browser has stays there. */
export async function openLeft(editor: Editor, left: Left): Promise<boolean> {
  return attempt(editor, async () => {
    const { graph } = openText(left.graph, editor.catalogue);
    editor.tabs.add(fresh(graph, null), left.name);
    await editor.keep();
    if (left.here) await editor.drafts.remove(left.tab);
  });
}

/** Throws such a draft away. */
export async function discardLeft({ drafts, serverDrafts }: Editor, { tab }: Left): Promise<void> {
  serverDrafts.forget(tab, true);
  await drafts.remove(tab);
}

async function attempt(editor: Editor, work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    report(editor, error);
    return false;
  }
}

function report({ ui }: Editor, error: unknown): void {
  if (!(error instanceof Error)) throw error;
  const details = error instanceof ApiError && error.details ? `: ${error.details}` : "";
  say(ui, `${error.message}${details}`, true);
}
