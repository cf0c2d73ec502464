// What is in a subgraph: to be looked at, not to be changed. Where one is within another, crumbs lead back.

import { useEffect, useMemo, useRef } from "react";

import { Canvas } from "../canvas/Canvas";
import { titleOf } from "../doc/ports";
import { t } from "../i18n/t";
import { EditorContext, useEditor } from "../state/context";
import { along, lookingAt } from "../state/looking";
import "./inside.css";

export default function Inside({ path }: { path: readonly string[] }) {
  const editor = useEditor();
  const { ui, graph } = editor;
  const dialog = useRef<HTMLDialogElement>(null);
  const levels = useMemo(() => along(editor, path), [editor, path]);
  const here = levels.at(-1);
  const looking = useMemo(() => (here ? lookingAt(editor, here) : null), [editor, here]);
  const close = (): void => ui.setState({ inside: null });
  useEffect(() => dialog.current?.showModal(), []);
  useEffect(() => {
    if (!here) ui.setState({ inside: null });
  }, [here, ui]);
  // What is asked for in there is one level further in.
  useEffect(
    () => looking?.ui.subscribe(({ inside }) => inside && ui.setState({ inside: [...path, ...inside] })),
    [looking, ui, path],
  );
  const [first] = path;
  const outer = first === undefined ? undefined : graph.nodes.get(first);
  const name = outer && levels[0] ? outer.title || levels[0].name : "";
  return (
    <dialog ref={dialog} className="inside" aria-label={t("inside.label", { name })} onClose={close}>
      <div className="inside-top">
        <nav aria-label={t("inside.crumbs")}>
          <button type="button" onClick={close}>
            {ui.getState().name || t("inside.graph")}
          </button>
          {levels.map((level, index) => (
            <span key={path.slice(0, index + 1).join(":")}>
              <span aria-hidden="true"> › </span>
              <button
                type="button"
                aria-current={level === here ? "page" : undefined}
                onClick={() => ui.setState({ inside: path.slice(0, index + 1) })}
              >
                {crumb(levels, path, index, name)}
              </button>
            </span>
          ))}
        </nav>
        <span className="inside-note">{t("inside.note")}</span>
        <button type="button" onClick={close}>
          {t("keys.close")}
        </button>
      </div>
      <div
        className="inside-canvas"
        onDropCapture={(event) => {
          event.preventDefault();
          event.stopPropagation();
        }}
      >
        {looking && (
          <EditorContext key={path.join(":")} value={looking}>
            <Canvas />
          </EditorContext>
        )}
      </div>
    </dialog>
  );
}

function crumb(levels: ReturnType<typeof along>, path: readonly string[], index: number, first: string): string {
  if (index === 0) return first;
  const node = levels[index - 1]?.graph.nodes.get(path[index] ?? "");
  return node?.title ? titleOf(node, undefined) : (levels[index]?.name ?? "");
}
