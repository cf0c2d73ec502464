// The menu of nodes, groups, cables and the canvas: commands of the table, colours, and lining up.

import { useEffect, useLayoutEffect, useRef } from "react";
import type { KeyboardEvent, ReactNode } from "react";

import { nodeElement } from "../canvas/elements";
import { t } from "../i18n/t";
import { chosenNodes } from "../state/chosen";
import { useEditor, useUi } from "../state/context";
import type { Editor } from "../state/editor";
import { COLORS, paint } from "../state/organising";
import type { Menu as Asked } from "../state/ui";
import type { CommandId } from "./commands";
import { applies, commandOf, keysOf } from "./commands";
import { Icon } from "./icons";
import type { IconName } from "./icons";
import { keyWords } from "./keynames";
import "./menu.css";

type Entry = CommandId | "-" | "colours" | "lines";

const ENTRIES: Readonly<Record<Asked["about"], readonly Entry[]>> = {
  node: [
    "run.here", "live", "hint", "mask", "-",
    "rename", "collapse", "pin", "mute", "bypass", "-", "colours", "lines", "-",
    "duplicate", "copy", "group", "select.connected", "-", "remove",
  ],
  group: ["rename", "group.fit", "-", "colours", "-", "collapse", "mute", "bypass", "duplicate", "copy", "-", "remove", "group.remove"],
  cable: ["bend", "remove"],
  canvas: ["add", "note", "find", "-", "undo", "redo", "-", "select.all", "arrange", "fit", "-", "keys", "settings"],
};

/** Commands that line several nodes up, and their signs. */
export const LINES: readonly (readonly [CommandId, IconName])[] = [
  ["align.left", "alignLeft"],
  ["align.centre", "alignCentre"],
  ["align.right", "alignRight"],
  ["align.top", "alignTop"],
  ["align.middle", "alignMiddle"],
  ["align.bottom", "alignBottom"],
  ["distribute.x", "spaceAcross"],
  ["distribute.y", "spaceDown"],
];

/** What is so already of commands that switch something. */
function isOn(editor: Editor, id: CommandId): boolean | undefined {
  const nodes = [...chosenNodes(editor)].flatMap((each) => editor.graph.nodes.get(each) ?? []);
  const all = (is: (node: (typeof nodes)[number]) => boolean): boolean => nodes.length > 0 && nodes.every(is);
  switch (id) {
    case "collapse":
      return all((node) => node.collapsed);
    case "pin":
      return all((node) => node.pinned);
    case "mute":
      return all((node) => node.mode === "muted");
    case "bypass":
      return all((node) => node.mode === "bypassed");
    case "live":
      return all((node) => editor.ui.getState().live.has(node.id));
    default:
      return undefined;
  }
}

export function Menu() {
  const asked = useUi((state) => state.menu);
  return asked && <List key={`${asked.at.x} ${asked.at.y} ${asked.about}`} asked={asked} />;
}

function List({ asked: { at, about } }: { asked: Asked }) {
  const editor = useEditor();
  const { ui } = editor;
  const list = useRef<HTMLDivElement>(null);
  const close = (): void => ui.setState({ menu: null });
  useLayoutEffect(() => {
    const box = list.current;
    if (!box) return;
    const { width, height } = box.getBoundingClientRect();
    box.style.left = `${Math.max(8, Math.min(at.x, innerWidth - width - 8))}px`;
    box.style.top = `${Math.max(8, Math.min(at.y, innerHeight - height - 8))}px`;
  }, [at]);
  useEffect(() => {
    const had = document.activeElement;
    itemsOf(list.current)[0]?.focus();
    return () => {
      if (document.activeElement !== document.body) return;
      const [id] = chosenNodes(editor); // the focus may have been on its way to a node as this opened
      const node = id === undefined ? null : nodeElement(id);
      const back = had instanceof HTMLElement && had !== document.body && had.isConnected ? had : node;
      back?.focus();
    };
  }, [editor]);
  const onKeyDown = (event: KeyboardEvent): void => {
    event.stopPropagation();
    if (event.key === "Escape" || event.key === "Tab") {
      event.preventDefault();
      return close();
    }
    const items = itemsOf(list.current);
    const here = items.findIndex((each) => each === document.activeElement);
    const next = placeAfter(event.key, here, items.length);
    if (next === null) return;
    event.preventDefault();
    items[next]?.focus();
  };
  return (
    <section
      className="cover"
      aria-label={t(`menu.${about}`)}
      onPointerDown={(event) => event.target === event.currentTarget && close()}
      onContextMenu={(event) => event.preventDefault()}
    >
      <div ref={list} className="menu" role="menu" aria-label={t(`menu.${about}`)} onKeyDown={onKeyDown}>
        {ENTRIES[about].map((entry, index) => {
          // oxlint-disable-next-line react/no-array-index-key -- lines between entries have no other names
          if (entry === "-") return <hr key={`line ${index}`} />;
          if (entry === "colours") return <Colours key={entry} close={close} />;
          if (entry === "lines") return <Lines key={entry} close={close} />;
          return <Item key={entry} id={entry} close={close} />;
        })}
      </div>
    </section>
  );
}

function itemsOf(list: HTMLElement | null): HTMLButtonElement[] {
  return [...(list?.querySelectorAll<HTMLButtonElement>("button:not(:disabled)") ?? [])];
}

function placeAfter(key: string, here: number, count: number): number | null {
  switch (key) {
    case "ArrowDown":
    case "ArrowRight":
      return (here + 1) % count;
    case "ArrowUp":
    case "ArrowLeft":
      return (here - 1 + count) % count;
    case "Home":
      return 0;
    case "End":
      return count - 1;
    default:
      return null;
  }
}

function Item({ id, close }: { id: CommandId; close: () => void }) {
  const editor = useEditor();
  const keymap = useUi((state) => state.keymap);
  const command = commandOf(id);
  const on = isOn(editor, id);
  const [key] = keysOf(command, keymap);
  const words = t(`cmd.${id}`);
  return (
    <button
      type="button"
      role={on === undefined ? "menuitem" : "menuitemcheckbox"}
      aria-checked={on}
      disabled={!applies(command, editor)}
      onClick={() => {
        close();
        command.act(editor);
      }}
    >
      <span>{words}</span>
      {key !== undefined && <kbd aria-hidden="true">{keyWords(key)}</kbd>}
    </button>
  );
}

function Row({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div className="menu-row" role="group" aria-label={label}>
      {children}
    </div>
  );
}

function Colours({ close }: { close: () => void }) {
  const editor = useEditor();
  const { nodes, groups } = editor.ui.getState();
  const things = [
    ...[...nodes].map((id) => editor.graph.nodes.get(id)),
    ...[...groups].map((id) => editor.graph.groups.get(id)),
  ];
  return (
    <Row label={t("do.color")}>
      {COLORS.map(([color, words]) => (
        <button
          key={color}
          type="button"
          role="menuitemradio"
          className="swatch"
          aria-label={t(words)}
          title={t(words)}
          aria-checked={things.every((each) => each?.color === color)}
          style={{ background: color || undefined }}
          onClick={() => {
            close();
            paint(editor, color);
          }}
        />
      ))}
    </Row>
  );
}

function Lines({ close }: { close: () => void }) {
  const editor = useEditor();
  const count = useUi((state) => state.nodes.size);
  if (count < 2) return null;
  return (
    <Row label={t("do.align")}>
      {LINES.map(([id, icon]) => (
        <button
          key={id}
          type="button"
          role="menuitem"
          className="menu-sign"
          aria-label={t(`cmd.${id}`)}
          title={t(`cmd.${id}`)}
          onClick={() => {
            close();
            commandOf(id).act(editor);
          }}
        >
          <Icon name={icon} />
        </button>
      ))}
    </Row>
  );
}
