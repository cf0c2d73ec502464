// The settings: how the page looks, and the keys of all commands.

import { useEffect, useRef, useState } from "react";

import { t } from "../i18n/t";
import { useEditor, useUi } from "../state/context";
import { changeKeys, resetKeys } from "../state/keymap";
import type { Density, Theme } from "../state/ui";
import type { Command } from "./commands";
import { COMMANDS, holders, keysOf } from "./commands";
import { isModifier, keyOf, keyWords } from "./keynames";
import "./keys.css";

const THEMES: readonly Theme[] = ["auto", "dark", "light"];
const DENSITIES: readonly Density[] = ["normal", "compact"];

export default function Settings() {
  const { ui } = useEditor();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const theme = useUi((state) => state.theme);
  const density = useUi((state) => state.density);
  const minimap = useUi((state) => state.minimap);
  const close = (): void => ui.setState({ settings: false });
  return (
    <dialog
      ref={dialog}
      className="settings"
      aria-label={t("settings.label")}
      onClose={close}
      onClick={(event) => event.target === event.currentTarget && close()}
    >
      <div className="keys-top">
        <h2>{t("settings.label")}</h2>
        <button type="button" onClick={close}>
          {t("keys.close")}
        </button>
      </div>
      <div className="settings-body">
        <h3>{t("settings.look")}</h3>
        <Choices
          name="theme"
          legend={t("bar.theme")}
          all={THEMES}
          chosen={theme}
          words={(each) => t(`theme.${each}`)}
          choose={(each) => ui.setState({ theme: each })}
        />
        <Choices
          name="density"
          legend={t("bar.density")}
          all={DENSITIES}
          chosen={density}
          words={(each) => t(`density.${each}`)}
          choose={(each) => ui.setState({ density: each })}
        />
        <fieldset>
          <legend>{t("bar.minimap")}</legend>
          <label>
            <input type="checkbox" checked={minimap} onChange={(event) => ui.setState({ minimap: event.target.checked })} />
            {t("settings.minimap")}
          </label>
        </fieldset>
        <KeyTable />
      </div>
    </dialog>
  );
}

interface ChoicesProps<Value extends string> {
  readonly name: string;
  readonly legend: string;
  readonly all: readonly Value[];
  readonly chosen: Value;
  readonly words: (value: Value) => string;
  readonly choose: (value: Value) => void;
}

function Choices<Value extends string>({ name, legend, all, chosen, words, choose }: ChoicesProps<Value>) {
  return (
    <fieldset>
      <legend>{legend}</legend>
      {all.map((each) => (
        <label key={each}>
          <input type="radio" name={name} checked={each === chosen} onChange={() => choose(each)} />
          {words(each)}
        </label>
      ))}
    </fieldset>
  );
}

function KeyTable() {
  const editor = useEditor();
  const changed = useUi((state) => Object.keys(state.keymap).length);
  const [query, setQuery] = useState("");
  const wanted = query.trim().toLowerCase();
  const keymap = useUi((state) => state.keymap);
  const found = COMMANDS.filter((each) => {
    const keys = keysOf(each, keymap).map((key) => keyWords(key));
    return [t(`cmd.${each.id}`), ...keys].some((words) => words.toLowerCase().includes(wanted));
  });
  return (
    <>
      <h3>{t("settings.keys")}</h3>
      <input
        type="search"
        className="settings-filter"
        aria-label={t("settings.filter")}
        placeholder={t("settings.filter")}
        value={query}
        onChange={(event) => setQuery(event.target.value)}
      />
      <ul className="settings-keys" aria-label={t("settings.keys")}>
        {found.map((each) => (
          <KeyRow key={each.id} command={each} />
        ))}
      </ul>
      {!found.length && <p className="none">{t("widget.nothing")}</p>}
      <p>
        <button type="button" disabled={!changed} onClick={() => resetKeys(editor)}>
          {t("settings.reset.all")}
        </button>
      </p>
    </>
  );
}

/** What a row waits for: nothing, a key, or whether a key that others have is taken from them. */
type Waiting = { readonly kind: "no" } | { readonly kind: "key" } | { readonly kind: "answer"; readonly key: string };

function KeyRow({ command }: { command: Command }) {
  const editor = useEditor();
  const keymap = useUi((state) => state.keymap);
  const [waiting, setWaiting] = useState<Waiting>({ kind: "no" });
  const name = t(`cmd.${command.id}`);
  const keys = keysOf(command, keymap);
  const othersWith = (key: string): Command[] => holders(key, keymap).filter((each) => each !== command);
  const stop = (): void => setWaiting({ kind: "no" });
  const give = (key: string): void => {
    const taken = othersWith(key).map((each) => [each.id, keysOf(each, keymap).filter((one) => one !== key)] as const);
    changeKeys(editor, { ...Object.fromEntries(taken), [command.id]: [key] });
    stop();
  };
  const hear = (event: KeyboardEvent): void => {
    event.preventDefault();
    event.stopPropagation();
    if (isModifier(event)) return;
    const key = keyOf(event);
    if (key === "Escape" && command.id !== "escape") stop();
    else if (othersWith(key).length) setWaiting({ kind: "answer", key });
    else give(key);
  };
  return (
    <li>
      <span>{name}</span>
      <span>
        {keys.map((key) => {
          const others = othersWith(key).map((each) => t(`cmd.${each.id}`));
          const shared = others.length ? t("settings.shared", { others: others.join(", ") }) : undefined;
          return (
            <kbd key={key} data-shared={others.length > 0} title={shared}>
              {keyWords(key)}
              {shared && <span className="unseen">{shared}</span>}
            </kbd>
          );
        })}
        {!keys.length && <span className="none">{t("settings.nokey")}</span>}
      </span>
      <span className="settings-buttons">
        <button
          type="button"
          aria-label={waiting.kind === "key" ? t("settings.press") : t("settings.change", { name })}
          data-waiting={waiting.kind === "key"}
          onClick={() => setWaiting(waiting.kind === "key" ? { kind: "no" } : { kind: "key" })}
          onBlur={() => waiting.kind === "key" && stop()}
          onKeyDown={(event) => waiting.kind === "key" && hear(event.nativeEvent)}
        >
          {waiting.kind === "key" ? t("settings.press") : t("settings.change.short")}
        </button>
        {keys.length > 0 && (
          <button type="button" aria-label={t("settings.remove", { name })} onClick={() => changeKeys(editor, { [command.id]: [] })}>
            {t("settings.remove.short")}
          </button>
        )}
        {keymap[command.id] && (
          <button type="button" aria-label={t("settings.reset", { name })} onClick={() => changeKeys(editor, { [command.id]: null })}>
            {t("settings.reset.short")}
          </button>
        )}
      </span>
      {waiting.kind === "answer" && (
        <p className="settings-conflict" role="alert">
          <span>
            {t("settings.conflict", {
              key: keyWords(waiting.key),
              others: othersWith(waiting.key).map((each) => t(`cmd.${each.id}`)).join(", "),
            })}
          </span>
          <button type="button" onClick={() => give(waiting.key)}>
            {t("settings.take")}
          </button>
          <button type="button" onClick={stop}>
            {t("settings.leave")}
          </button>
        </p>
      )}
    </li>
  );
}
