// All that keys and menus can do, in one table: what it is called in en.json ("cmd." and its id), its
// usual keys, and when it applies.

import { hasInside } from "../doc/inside";
import {
  arrangeAll, copySelected, duplicateSelected, removeSelected, selectAll, toggleSelectedLook,
  toggleSelectedMode,
} from "../state/actions";
import type { Editor } from "../state/editor";
import { openMask, selectedMaskable } from "../state/masks";
import {
  addNote, alignSelected, bendSelected, distributeSelected, fitGroups, groupSelected, growSelection, moveSelected,
  removeWithContents, renameSelected, selectNothing, walk,
} from "../state/organising";
import { toggleLive } from "../state/live";
import { ask, save } from "../state/saving";
import { askForSelected } from "../state/steering";
import type { Keymap, PanelName } from "../state/ui";
import { say } from "../state/ui";
import type { Words } from "../i18n/t";
import { t } from "../i18n/t";
import { beside, openMenu, openPalette } from "./opening";

type IdOf<Key> = Key extends `cmd.${infer Id}` ? Id : never;
export type CommandId = IdOf<Words>;

/** anywhere: in fields, too. page: not in fields. The others: not in fields, and only while something
 * is selected: anything, a node, a group, a cable, or one picture that a mask can be painted on. */
export type When = "anywhere" | "page" | "selected" | "nodes" | "groups" | "cables" | "mask";

/** Where the list of keys has it. */
export type Section = "run" | "edit" | "select" | "organise" | "view";

export interface Command {
  readonly id: CommandId;
  readonly section: Section;
  /** "Ctrl+Shift+Z"; Ctrl stands for Cmd as well. */
  readonly keys: readonly string[];
  readonly when: When;
  readonly act: (editor: Editor) => void;
}

const STEP = 5; // pixels, as the canvas itself has it
const LEAP = 20;

function command(id: CommandId, section: Section, keys: string, when: When, act: Command["act"]): Command {
  return { id, section, keys: keys ? keys.split(" ") : [], when, act };
}

export const COMMANDS: readonly Command[] = [
  command("run", "run", "Ctrl+Enter", "anywhere", (editor) => void editor.run()),
  command("run.front", "run", "Ctrl+Shift+Enter", "anywhere", (editor) => void editor.run(true)),
  command("run.here", "run", "Ctrl+Alt+Shift+Enter", "anywhere", (editor) => void editor.runTo(editor.ui.getState().nodes)),
  command("live", "run", "Alt+L", "nodes", (editor) => editor.ui.getState().nodes.forEach((id) => toggleLive(editor, id))),
  command("cancel", "run", "Ctrl+Alt+Enter", "anywhere", (editor) => void editor.cancel()),
  command("queue", "run", "Q", "page", (editor) => togglePanel(editor, "queue")),
  command("refresh", "run", "R", "page", ({ server }) => void server.getState().refresh()),

  command("undo", "edit", "Ctrl+Z", "page", ({ document }) => document.undo()),
  command("redo", "edit", "Ctrl+Shift+Z Ctrl+Y", "page", ({ document }) => document.redo()),
  command("add", "edit", "Tab Shift+A", "page", (editor) => openPalette(editor)),
  command("note", "edit", "Shift+N", "page", addNote),
  command("remove", "edit", "Delete Backspace", "selected", removeSelected),
  command("duplicate", "edit", "Ctrl+D", "selected", duplicateSelected),
  command("copy", "edit", "", "selected", copyByMenu),
  command("rename", "edit", "F2", "selected", renameSelected),
  command("mask", "edit", "Shift+M", "mask", maskSelected),
  command("hint", "edit", "", "nodes", (editor) => askForSelected(editor, beside(editor))),
  command("bend", "edit", "", "cables", bendSelected),
  command("save", "edit", "Ctrl+S", "anywhere", (editor) => void save(editor)),
  command("saveas", "edit", "Ctrl+Shift+S", "anywhere", (editor) => ask(editor, { kind: "save", closing: false })),
  command("open", "edit", "Ctrl+O", "anywhere", (editor) => ask(editor, { kind: "graphs" })),
  command("tab.next", "view", "Alt+PageDown", "anywhere", ({ tabs }) => tabs.step(1)),
  command("tab.last", "view", "Alt+PageUp", "anywhere", ({ tabs }) => tabs.step(-1)),
  command("tab.close", "view", "Alt+W", "page", ({ tabs }) => tabs.close(tabs.shown.id)),

  command("select.all", "select", "Ctrl+A", "page", selectAll),
  command("select.none", "select", "Ctrl+Shift+A", "selected", selectNothing),
  command("select.connected", "select", "L", "nodes", growSelection),
  command("find", "select", "Ctrl+F", "anywhere", ({ ui }) => ui.setState({ finding: true })),
  command("walk.on", "select", "Ctrl+ArrowRight", "page", (editor) => walk(editor, "on")),
  command("walk.back", "select", "Ctrl+ArrowLeft", "page", (editor) => walk(editor, "back")),
  command("walk.up", "select", "Ctrl+ArrowUp", "page", (editor) => walk(editor, "up")),
  command("walk.down", "select", "Ctrl+ArrowDown", "page", (editor) => walk(editor, "down")),
  command("menu", "select", "Shift+F10 ContextMenu", "page", (editor) => openMenu(editor)),

  command("mute", "organise", "Ctrl+M", "selected", (editor) => toggleSelectedMode(editor, "muted")),
  command("bypass", "organise", "Ctrl+B", "selected", (editor) => toggleSelectedMode(editor, "bypassed")),
  command("collapse", "organise", "Alt+C", "selected", (editor) => toggleSelectedLook(editor, "collapsed")),
  command("pin", "organise", "P", "selected", (editor) => toggleSelectedLook(editor, "pinned")),
  command("group", "organise", "Ctrl+G", "nodes", groupSelected),
  command("group.fit", "organise", "", "groups", fitGroups),
  command("group.remove", "organise", "", "groups", removeWithContents),
  command("arrange", "organise", "", "page", arrangeAll),
  command("move.left", "organise", "ArrowLeft", "selected", (editor) => moveSelected(editor, { x: -STEP, y: 0 })),
  command("move.right", "organise", "ArrowRight", "selected", (editor) => moveSelected(editor, { x: STEP, y: 0 })),
  command("move.up", "organise", "ArrowUp", "selected", (editor) => moveSelected(editor, { x: 0, y: -STEP })),
  command("move.down", "organise", "ArrowDown", "selected", (editor) => moveSelected(editor, { x: 0, y: STEP })),
  command("leap.left", "organise", "Shift+ArrowLeft", "selected", (editor) => moveSelected(editor, { x: -LEAP, y: 0 })),
  command("leap.right", "organise", "Shift+ArrowRight", "selected", (editor) => moveSelected(editor, { x: LEAP, y: 0 })),
  command("leap.up", "organise", "Shift+ArrowUp", "selected", (editor) => moveSelected(editor, { x: 0, y: -LEAP })),
  command("leap.down", "organise", "Shift+ArrowDown", "selected", (editor) => moveSelected(editor, { x: 0, y: LEAP })),
  command("align.left", "organise", "Alt+Shift+ArrowLeft", "nodes", (editor) => alignSelected(editor, "left")),
  command("align.centre", "organise", "", "nodes", (editor) => alignSelected(editor, "centre")),
  command("align.right", "organise", "Alt+Shift+ArrowRight", "nodes", (editor) => alignSelected(editor, "right")),
  command("align.top", "organise", "Alt+Shift+ArrowUp", "nodes", (editor) => alignSelected(editor, "top")),
  command("align.middle", "organise", "", "nodes", (editor) => alignSelected(editor, "middle")),
  command("align.bottom", "organise", "Alt+Shift+ArrowDown", "nodes", (editor) => alignSelected(editor, "bottom")),
  command("distribute.x", "organise", "Alt+Shift+H", "nodes", (editor) => distributeSelected(editor, "x")),
  command("distribute.y", "organise", "Alt+Shift+V", "nodes", (editor) => distributeSelected(editor, "y")),

  command("fit", "view", ".", "page", fitSelected),
  command("zoom.in", "view", "Alt+=", "page", ({ canvas }) => canvas?.zoom(1.25)),
  command("zoom.out", "view", "Alt+-", "page", ({ canvas }) => canvas?.zoom(0.8)),
  command("keys", "view", "?", "page", ({ ui }) => ui.setState({ keys: true })),
  command("settings", "view", "Ctrl+,", "anywhere", ({ ui }) => ui.setState({ settings: true })),
  command("inside", "view", "I", "nodes", lookInside),
  command("escape", "view", "Escape", "page", escape),
];

const BY_ID: ReadonlyMap<string, Command> = new Map(COMMANDS.map((each) => [each.id, each]));

export function commandOf(id: CommandId): Command {
  const found = BY_ID.get(id);
  if (!found) throw new Error(`there is no command ${id}`);
  return found;
}

/** The keys of a command: those that the user gave it, or the usual ones. */
export function keysOf({ id, keys }: Command, keymap: Keymap): readonly string[] {
  return keymap[id] ?? keys;
}

/** The commands that have a key, in order: the first one that applies gets it. */
export function holders(key: string, keymap: Keymap): Command[] {
  return COMMANDS.filter((each) => keysOf(each, keymap).includes(key));
}

/** Whether a command has something to act on. */
export function applies({ when }: Command, editor: Editor): boolean {
  const { nodes, groups, cables } = editor.ui.getState();
  switch (when) {
    case "anywhere":
    case "page":
      return true;
    case "selected":
      return nodes.size + groups.size + cables.size > 0;
    case "nodes":
      return nodes.size > 0;
    case "groups":
      return groups.size > 0;
    case "cables":
      return cables.size > 0;
    case "mask":
      return selectedMaskable(editor) !== null;
  }
}

function maskSelected(editor: Editor): void {
  const id = selectedMaskable(editor);
  if (id !== null) openMask(editor, id);
}

function togglePanel({ ui }: Editor, name: PanelName): void {
  ui.setState(({ panel }) => ({ panel: panel === name ? null : name }));
}

function fitSelected({ ui, canvas }: Editor): void {
  const { nodes } = ui.getState();
  canvas?.fit(nodes.size ? [...nodes] : undefined);
}

function lookInside({ ui, graph }: Editor): void {
  const [id] = ui.getState().nodes;
  const node = id === undefined ? undefined : graph.nodes.get(id);
  if (node && hasInside(graph, node)) ui.setState({ inside: [node.id] });
}

function copyByMenu(editor: Editor): void {
  const text = copySelected(editor);
  const refused = (): void => say(editor.ui, t("say.nocopy"), true);
  // Without https there is no such clipboard.
  if (text !== null && !navigator.clipboard) refused();
  else if (text !== null) navigator.clipboard.writeText(text).catch(refused);
}

function escape(editor: Editor): void {
  const { palette, panel, nodes, groups, cables } = editor.ui.getState();
  if (palette) editor.ui.setState({ palette: null });
  else if (nodes.size + groups.size + cables.size) selectNothing(editor);
  else if (panel) editor.ui.setState({ panel: null });
}
