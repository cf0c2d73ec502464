// All that can be done with a picture of the gallery, as a menu beside it.

import { useEffect, useRef } from "react";
import type { KeyboardEvent } from "react";
import { createPortal } from "react-dom";

import type { Point } from "../../doc/graph";
import { t } from "../../i18n/t";
import { useEditor, useUi } from "../../state/context";
import { asInput, compareWithBefore, mark, openGraph, recallPrompt, recallSeed } from "../../state/pictures";
import { samePicture } from "../../state/runs";
import { askForHint } from "../../state/steering";
import type { Picture } from "../../state/ui";

const WIDTH = 236; // as in gallery.css
const HEIGHT = 330;

interface MenuProps {
  readonly picture: Picture;
  readonly at: Point;
  readonly forget: () => void;
  readonly close: () => void;
}

export function PictureMenu({ picture, at, forget, close }: MenuProps) {
  const editor = useEditor();
  const list = useRef<HTMLDivElement>(null);
  const marked = useUi((state) => state.marked.some((each) => samePicture(each, picture)));
  useEffect(() => {
    const before = document.activeElement;
    list.current?.querySelector<HTMLElement>("[role=menuitem]")?.focus();
    return () => {
      if (before instanceof HTMLElement && before.isConnected && !document.querySelector("dialog[open]")) before.focus();
    };
  }, []);
  const { file } = picture;
  const items: readonly (readonly [string, () => void])[] = [
    [t("gallery.open"), () => void openGraph(editor, picture)],
    [t("recall.seed"), () => void recallSeed(editor, picture)],
    [t("recall.prompt"), () => void recallPrompt(editor, picture)],
    [t("picture.use"), () => asInput(editor, picture)],
    [t("hint.use"), () => askForHint(editor, { node: null, file }, at)],
    [t(marked ? "compare.unmark" : "compare.mark"), () => mark(editor, picture)],
    [t("compare.before"), () => void compareWithBefore(editor, picture)],
    [t("gallery.download"), () => download(editor.api.viewUrl(file), file.filename)],
    [t("gallery.forget"), forget],
  ];
  const onKeyDown = (event: KeyboardEvent<HTMLDivElement>): void => {
    event.stopPropagation();
    if (event.key === "Escape" || event.key === "Tab") {
      event.preventDefault();
      return close();
    }
    const all = [...event.currentTarget.querySelectorAll<HTMLElement>("[role=menuitem]")];
    const here = all.findIndex((item) => item === document.activeElement);
    const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    all[(to + all.length) % all.length]?.focus();
  };
  const left = Math.max(8, Math.min(at.x, innerWidth - WIDTH - 8));
  const top = Math.max(8, Math.min(at.y, innerHeight - HEIGHT - 8));
  return createPortal(
    <div
      className="cover"
      onPointerDown={(event) => event.target === event.currentTarget && close()}
      onContextMenu={(event) => event.preventDefault()}
    >
      <div
        ref={list}
        className="picture-menu"
        role="menu"
        aria-label={t("picture.menu", { name: file.filename })}
        style={{ left, top }}
        onKeyDown={onKeyDown}
      >
        {items.map(([words, act]) => (
          <button
            key={words}
            type="button"
            role="menuitem"
            tabIndex={-1}
            onClick={() => {
              close();
              act();
            }}
          >
            {words}
          </button>
        ))}
      </div>
    </div>,
    document.querySelector("main") ?? document.body, // above all panels, and in a landmark
  );
}

function download(url: string, name: string): void {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
}
