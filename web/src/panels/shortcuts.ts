// Keys. Those of fields stay theirs: there, only what has Ctrl and is no editing of text counts.

import { useEffect } from "react";

import {
  copySelected, duplicateSelected, groupSelected, pasteText, removeSelected, selectAll, take, toggleSelectedLook,
  toggleSelectedMode,
} from "../state/actions";
import { useEditor } from "../state/context";
import type { Editor } from "../state/editor";
import { NOTHING } from "../state/ui";
import { saveFile } from "./files";

interface Key {
  /** "Ctrl+Shift+Z"; Ctrl stands for Cmd as well. */
  readonly keys: readonly string[];
  readonly words: string;
  readonly act: (editor: Editor) => void;
  /** It works in fields, too. */
  readonly anywhere?: boolean;
}

export const KEYS: readonly Key[] = [
  { keys: ["Ctrl+Enter"], words: "Run the graph", act: (editor) => void editor.run(), anywhere: true },
  { keys: ["Ctrl+Shift+Enter"], words: "Run it before all that waits", act: (editor) => void editor.run(true), anywhere: true },
  { keys: ["Ctrl+Alt+Enter"], words: "Cancel the run", act: (editor) => void editor.cancel(), anywhere: true },
  { keys: ["Tab", "Shift+A"], words: "Add a node", act: (editor) => openPalette(editor) },
  { keys: ["Ctrl+Z"], words: "Undo", act: ({ document }) => document.undo() },
  { keys: ["Ctrl+Shift+Z", "Ctrl+Y"], words: "Redo", act: ({ document }) => document.redo() },
  { keys: ["Delete", "Backspace"], words: "Delete what is selected", act: removeSelected },
  { keys: ["Ctrl+A"], words: "Select all", act: selectAll },
  { keys: ["Ctrl+D"], words: "Duplicate", act: duplicateSelected },
  { keys: ["Ctrl+M"], words: "Mute: it does not run", act: (editor) => toggleSelectedMode(editor, "muted") },
  { keys: ["Ctrl+B"], words: "Bypass: what comes in goes on", act: (editor) => toggleSelectedMode(editor, "bypassed") },
  { keys: ["Alt+C"], words: "Collapse", act: (editor) => toggleSelectedLook(editor, "collapsed") },
  { keys: ["P"], words: "Pin: it cannot be moved", act: (editor) => toggleSelectedLook(editor, "pinned") },
  { keys: ["Ctrl+G"], words: "Group", act: groupSelected },
  { keys: ["Ctrl+S"], words: "Save as a file", act: saveFile, anywhere: true },
  { keys: ["Ctrl+O"], words: "Open a file", act: () => document.getElementById("open-file")?.click(), anywhere: true },
  { keys: ["."], words: "Show what is selected, or all", act: fitSelected },
  { keys: ["Q"], words: "Queue", act: ({ ui }) => ui.setState(({ panel }) => ({ panel: panel === "queue" ? null : "queue" })) },
  { keys: ["R"], words: "Ask the server for its nodes and models again", act: ({ server }) => void server.getState().refresh() },
  { keys: ["?"], words: "This list", act: ({ ui }) => ui.setState({ keys: true }) },
  { keys: ["Escape"], words: "Close, or select nothing", act: escape },
];

/** What the mouse and the clipboard do, for the list. */
export const GESTURES: readonly (readonly [string, string])[] = [
  ["Ctrl+C, Ctrl+V", "Copy, paste"],
  ["Ctrl+Shift+V", "Paste with the cables that come in"],
  ["Ctrl+↑, Ctrl+↓", "In a text: more or less weight"],
  ["Shift+drag", "Select all in a box"],
  ["Double click on a cable", "Bend it"],
  ["Cable to empty space", "Nodes that it may go to"],
  ["Node onto a cable", "Insert it there"],
  ["Enter on a port, then on another", "Lay a cable"],
];

function fitSelected({ ui, canvas }: Editor): void {
  const { nodes } = ui.getState();
  canvas?.fit(nodes.size ? [...nodes] : undefined);
}

function escape({ ui }: Editor): void {
  const { palette, panel, nodes, groups } = ui.getState();
  if (palette) ui.setState({ palette: null });
  else if (nodes.size || groups.size) ui.setState({ nodes: NOTHING, groups: NOTHING, cables: NOTHING });
  else if (panel) ui.setState({ panel: null });
}

/** The search for a node, in the middle of the page. */
export function openPalette(editor: Editor): void {
  const at = { x: innerWidth / 2, y: innerHeight / 3 };
  const position = editor.canvas?.toGraph(at) ?? { x: 0, y: 0 };
  const rounded = { x: Math.round(position.x), y: Math.round(position.y) };
  editor.ui.setState({ palette: { at: { x: at.x - 160, y: at.y - 80 }, position: rounded, drawn: null } });
}

/** A key as the list has it. */
export function keyOf({ key, ctrlKey, metaKey, altKey, shiftKey, code }: KeyboardEvent): string {
  const letter = altKey && /^Key[A-Z]$/.test(code) ? code.slice(3) : key;
  const name = letter.length === 1 ? letter.toUpperCase() : letter;
  const sign = letter.length === 1 && !/[a-z0-9]/i.test(letter);
  return [
    ...(ctrlKey || metaKey ? ["Ctrl"] : []),
    ...(altKey ? ["Alt"] : []),
    ...(shiftKey && !sign ? ["Shift"] : []),
    name,
  ].join("+");
}

function inField(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest("input, textarea, select, [contenteditable]") !== null;
}

/** Tab adds a node where nothing else has the focus; elsewhere it goes on to the next thing. */
function free(target: EventTarget | null, key: string): boolean {
  if (key === "Tab") return target === document.body || (target as Element).matches(".react-flow__pane, .react-flow");
  return true;
}

export function useShortcuts(): void {
  const editor = useEditor();
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent): void => {
      if (document.querySelector("dialog[open]")) return;
      const name = keyOf(event);
      const key = KEYS.find(({ keys }) => keys.includes(name));
      if (!key || (inField(event.target) && !key.anywhere) || !free(event.target, name)) return;
      event.preventDefault();
      key.act(editor);
    };
    const onCopy = (event: ClipboardEvent): void => {
      const text = inField(event.target) || hasSelectedText() ? null : copySelected(editor);
      if (text === null) return;
      event.preventDefault();
      event.clipboardData?.setData("text/plain", text);
      if (event.type === "cut") removeSelected(editor);
    };
    let shift = false;
    const noteShift = (event: KeyboardEvent): void => {
      shift = event.shiftKey;
    };
    const onPaste = (event: ClipboardEvent): void => {
      if (inField(event.target)) return;
      const [file] = event.clipboardData?.files ?? [];
      const view = editor.canvas?.view() ?? { x: 0, y: 0, width: 0, height: 0 };
      if (file) void take(editor, file, { x: view.x + view.width / 3, y: view.y + view.height / 3 });
      else pasteText(editor, event.clipboardData?.getData("text/plain") ?? "", shift);
      event.preventDefault();
    };
    addEventListener("keydown", onKeyDown);
    addEventListener("keydown", noteShift);
    addEventListener("copy", onCopy);
    addEventListener("cut", onCopy);
    addEventListener("paste", onPaste);
    return () => {
      removeEventListener("keydown", onKeyDown);
      removeEventListener("keydown", noteShift);
      removeEventListener("copy", onCopy);
      removeEventListener("cut", onCopy);
      removeEventListener("paste", onPaste);
    };
  }, [editor]);
}

function hasSelectedText(): boolean {
  return (getSelection()?.toString() ?? "") !== "";
}
