// The bar at the top: running, undoing, files, and what is shown.

import { useId, useRef, useState, useSyncExternalStore } from "react";
import type { ReactNode } from "react";
import { useStore } from "zustand";

import { t } from "../i18n/t";
import { arrangeAll, take } from "../state/actions";
import { useCurrentJob, useEditor, useShownJob, useUi } from "../state/context";
import { ask, save } from "../state/saving";
import type { Theme } from "../state/ui";
import type { CommandId } from "./commands";
import { useHint } from "./hints";
import type { IconName } from "./icons";
import { Icon } from "./icons";
import { Latest } from "./Latest";
import { openPalette } from "./opening";

interface ButtonProps {
  readonly icon: IconName;
  readonly label: string;
  readonly hint?: string;
  readonly onClick: () => void;
  readonly disabled?: boolean;
  readonly pressed?: boolean;
  readonly words?: boolean;
  readonly kind?: string;
}

interface CommandProps extends ButtonProps {
  readonly command: CommandId;
}

/** A button that does what a key does, and names it. */
function CommandButton({ command, hint, label, ...others }: CommandProps) {
  return <Button {...others} label={label} hint={useHint(command)(hint ?? label)} />;
}

export function Button({ icon, label, hint, onClick, disabled = false, pressed, words = false, kind }: ButtonProps) {
  return (
    <button
      type="button"
      className={`button ${kind ?? ""}`}
      aria-label={label}
      title={hint ?? label}
      aria-pressed={pressed}
      disabled={disabled}
      onClick={onClick}
    >
      <Icon name={icon} />
      <span className={words ? undefined : "button-words"}>{label}</span>
    </button>
  );
}

const THEMES: readonly Theme[] = ["auto", "dark", "light"];

export function Toolbar() {
  const editor = useEditor();
  const { ui, document } = editor;
  const current = useCurrentJob();
  const chooser = useRef<HTMLInputElement>(null);
  const theme = useUi((state) => state.theme);
  const minimap = useUi((state) => state.minimap);
  return (
    <header className="top">
      <h1 className="unseen">{t("app.name")}</h1>
      <div className="bar" role="toolbar" aria-label={t("bar.label")}>
        <div className="runs" role="group" aria-label={t("bar.runs")}>
          <CommandButton command="run" kind="primary" icon="run" words label={t("bar.run")} hint={t("bar.run.hint")} onClick={() => void editor.run()} />
          <CommandButton
            command="cancel"
            kind="cancel"
            icon="cancel"
            label={t("bar.cancel")}
            hint={t("bar.cancel.hint")}
            disabled={current === null}
            onClick={() => void editor.cancel()}
          />
          <RunState />
          <Latest />
        </div>
        <span className="bar-gap bar-wide" />
        <History />
        <CommandButton command="add" icon="add" label={t("bar.add")} hint={t("bar.add.hint")} onClick={() => openPalette(editor)} />
        <CommandButton command="fit" icon="fit" label={t("bar.fit")} hint={t("bar.fit.hint")} onClick={() => editor.canvas?.fit()} />
        <span className="bar-gap bar-wide" />
        <Name document={document} />
        <span className="bar-space" />
        <Connected />
        <More>
          <CommandButton command="open" icon="open" label={t("bar.open")} hint={t("bar.open.hint")} onClick={() => ask(editor, { kind: "graphs" })} />
          <CommandButton command="save" icon="save" label={t("bar.save")} hint={t("bar.save.hint")} onClick={() => void save(editor)} />
          <CommandButton command="arrange" icon="arrange" label={t("bar.arrange")} hint={t("bar.arrange.hint")} onClick={() => arrangeAll(editor)} />
          <span className="bar-gap" />
          <Button icon="map" label={t("bar.minimap")} pressed={minimap} onClick={() => ui.setState({ minimap: !minimap })} />
          <Button
            icon="theme"
            label={`${t("bar.theme")}: ${theme}`}
            onClick={() => ui.setState({ theme: THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? "auto" })}
          />
          <CommandButton command="keys" icon="keys" label={t("bar.keys")} onClick={() => ui.setState({ keys: true })} />
          <CommandButton command="settings" icon="settings" label={t("settings.label")} hint={t("bar.settings.hint")} onClick={() => ui.setState({ settings: true })} />
        </More>
        <input
          ref={chooser}
          id="open-file"
          type="file"
          accept=".json,image/png,image/webp,image/jpeg"
          aria-label={t("files.computer")}
          hidden
          onChange={(event) => {
            const [file] = event.target.files ?? [];
            const view = editor.canvas?.view() ?? { x: 0, y: 0, width: 0, height: 0 };
            if (file) void take(editor, file, { x: view.x + view.width / 2, y: view.y + view.height / 2 });
            event.target.value = "";
          }}
        />
      </div>
    </header>
  );
}

/** Buttons that stand in the bar where there is room, and elsewhere in a menu with their words. */
function More({ children }: { children: ReactNode }) {
  const [open, setOpen] = useState(false);
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  return (
    <div
      className="more"
      onBlur={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget)) setOpen(false);
      }}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !open) return;
        event.stopPropagation();
        setOpen(false);
        button.current?.focus();
      }}
    >
      <button
        ref={button}
        type="button"
        className="button more-button"
        aria-label={t("bar.more")}
        aria-expanded={open}
        aria-controls={id}
        onClick={() => setOpen(!open)}
      >
        <Icon name="more" />
      </button>
      <div id={id} className="more-items" data-open={open} onClick={() => setOpen(false)}>
        {children}
      </div>
    </div>
  );
}

function History() {
  const { document } = useEditor();
  const labels = useSyncExternalStore(
    (listener) => document.subscribe(listener),
    () => `${document.undoLabel ?? ""}\n${document.redoLabel ?? ""}`,
  );
  const [undo = "", redo = ""] = labels.split("\n");
  return (
    <>
      <CommandButton
        command="undo"
        icon="undo"
        label={t("bar.undo")}
        hint={undo ? t("bar.undo.what", { what: undo }) : t("bar.undo")}
        disabled={!document.canUndo}
        onClick={() => document.undo()}
      />
      <CommandButton
        command="redo"
        icon="redo"
        label={t("bar.redo")}
        hint={redo ? t("bar.redo.what", { what: redo }) : t("bar.redo")}
        disabled={!document.canRedo}
        onClick={() => document.redo()}
      />
    </>
  );
}

function RunState() {
  const job = useShownJob();
  const remaining = useStore(useEditor().server, ({ queueRemaining }) => queueRemaining);
  const state = job?.state ?? null;
  const seconds = job && job.started !== null && job.ended !== null ? (job.ended - job.started) / 1000 : null;
  const said = [
    state && t(`status.${state}`),
    state === "success" && seconds !== null && `${seconds.toFixed(1)} s`,
    remaining > 1 && t("bar.waiting", { count: remaining - 1 }),
  ];
  return (
    <span className="run-state" role="status" aria-label={t("bar.state")} data-state={state}>
      {said.filter(Boolean).join(" · ")}
    </span>
  );
}

function Name({ document }: { document: ReturnType<typeof useEditor>["document"] }) {
  const name = useUi((state) => state.name);
  const dirty = useSyncExternalStore(
    (listener) => document.subscribe(listener),
    () => document.dirty,
  );
  return (
    <span className="bar-name" title={dirty ? t("bar.unsaved") : name}>
      {name}
      {dirty && <span role="img" aria-label={t("bar.unsaved")}> ●</span>}
    </span>
  );
}

function Connected() {
  const { server, connection } = useEditor();
  const state = useStore(server, ({ connection: now }) => now);
  const problem = useStore(server, (now) => now.problem);
  if (state.kind === "open" && problem === null) return null;
  return (
    <span className="offline" role="alert">
      {problem ?? t(`status.${state.kind}`)}
      {state.kind === "waiting" && (
        <button type="button" onClick={() => connection.retryNow()}>
          {t("status.retry")}
        </button>
      )}
    </span>
  );
}
