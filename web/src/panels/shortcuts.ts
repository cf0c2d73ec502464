// Keys. Those of fields stay theirs: there, only what has Ctrl and is no editing of text counts.

import { useEffect } from "react";

import { nodeAround } from "../canvas/elements";
import type { Point } from "../doc/graph";
import { copySelected, pasteText, take } from "../state/actions";
import { useEditor } from "../state/context";
import type { Editor } from "../state/editor";
import { removeWithContents } from "../state/organising";
import type { Command } from "./commands";
import { applies, holders } from "./commands";
import { keyOf } from "./keynames";

function inField(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest("input, textarea, select, [contenteditable]") !== null;
}

/** Tab adds a node where nothing else has the focus; elsewhere it goes on to the next thing. */
function free(target: EventTarget | null, key: string): boolean {
  if (key === "Tab") return target === document.body || (target as Element).matches(".react-flow__pane, .react-flow");
  return true;
}

/** The command that a key is for, where the focus is. */
function commandFor(editor: Editor, event: KeyboardEvent): Command | undefined {
  const name = keyOf(event);
  if (!free(event.target, name)) return undefined;
  const found = holders(name, editor.ui.getState().keymap).filter((each) => applies(each, editor));
  return found.find(({ when }) => when === "anywhere" || !inField(event.target));
}

export function useShortcuts(): void {
  const editor = useEditor();
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent): void => {
      if (event.defaultPrevented || inDialog()) return;
      const command = commandFor(editor, event);
      if (!command) return;
      event.preventDefault();
      command.act(editor);
    };
    /** Arrows on a node are the table's: the canvas would move it whatever else is held. So is Enter
     * with Ctrl, which would select it no longer. */
    const onNodeKey = (event: KeyboardEvent): void => {
      const { target } = event;
      const held = event.ctrlKey || event.altKey || event.metaKey;
      const ours = event.key.startsWith("Arrow") || (event.key === "Enter" && held);
      if (!ours || !(target instanceof Element) || inField(target)) return;
      const around = nodeAround(target);
      const onNode = target === around || target.matches(".react-flow__nodesselection-rect");
      if (!onNode && !(held && around)) return;
      onKeyDown(event);
      event.stopPropagation();
    };
    const onCopy = (event: ClipboardEvent): void => {
      const elsewhere = inField(event.target) || hasSelectedText() || inDialog();
      const text = elsewhere ? null : copySelected(editor);
      if (text === null) return;
      event.preventDefault();
      event.clipboardData?.setData("text/plain", text);
      if (event.type === "cut") removeWithContents(editor);
    };
    let shift = false;
    /** Where the pointer is on the canvas: what is pasted comes to lie there. */
    let pointed: Point | null = null;
    const notePointer = (event: PointerEvent): void => {
      const over = event.pointerType === "mouse" && event.target instanceof Element && event.target.closest(".canvas");
      pointed = over ? { x: event.clientX, y: event.clientY } : null;
    };
    const noteShift = (event: KeyboardEvent): void => {
      shift = event.shiftKey;
    };
    const onPaste = (event: ClipboardEvent): void => {
      if (inField(event.target) || inDialog()) return;
      const [file] = event.clipboardData?.files ?? [];
      const view = editor.canvas?.view() ?? { x: 0, y: 0, width: 0, height: 0 };
      if (file) void take(editor, file, { x: view.x + view.width / 3, y: view.y + view.height / 3 });
      else pasteText(editor, event.clipboardData?.getData("text/plain") ?? "", shift, pointed && (editor.canvas?.toGraph(pointed) ?? null));
      event.preventDefault();
    };
    addEventListener("keydown", onKeyDown);
    addEventListener("keydown", onNodeKey, true);
    addEventListener("keydown", noteShift);
    addEventListener("pointermove", notePointer, { passive: true });
    addEventListener("copy", onCopy);
    addEventListener("cut", onCopy);
    addEventListener("paste", onPaste);
    return () => {
      removeEventListener("keydown", onKeyDown);
      removeEventListener("keydown", onNodeKey, true);
      removeEventListener("keydown", noteShift);
      removeEventListener("pointermove", notePointer);
      removeEventListener("copy", onCopy);
      removeEventListener("cut", onCopy);
      removeEventListener("paste", onPaste);
    };
  }, [editor]);
}

function inDialog(): boolean {
  return document.querySelector("dialog[open]") !== null;
}

function hasSelectedText(): boolean {
  return (getSelection()?.toString() ?? "") !== "";
}
