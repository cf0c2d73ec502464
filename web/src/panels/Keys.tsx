// The list of keys: all commands that have one, and what the mouse does.

import { useEffect, useRef } from "react";

import type { Words } from "../i18n/t";
import { t } from "../i18n/t";
import { useEditor, useUi } from "../state/context";
import type { Keymap } from "../state/ui";
import type { Section } from "./commands";
import { COMMANDS, keysOf } from "./commands";
import { keyWords } from "./keynames";
import "./keys.css";

export const SECTIONS: readonly Section[] = ["run", "edit", "select", "organise", "view"];

/** Commands that differ in their direction alone. */
const FAMILIES = ["move", "leap"] as const;

/** What the mouse and the clipboard do. */
const GESTURES: readonly Words[] = [
  "gesture.copy", "gesture.paste", "gesture.weight", "gesture.box", "gesture.copying", "gesture.bend",
  "gesture.empty", "gesture.insert", "gesture.menu", "gesture.port", "gesture.plug",
];

export function Keys() {
  return useUi((state) => state.keys) && <Sheet />;
}

interface Line {
  readonly keys: readonly string[];
  readonly words: string;
}

/** The lines of a section: a command each, those of a family in one. */
function linesOf(section: Section, keymap: Keymap): Line[] {
  const lines = new Map<string, Line>();
  for (const command of COMMANDS) {
    const keys = keysOf(command, keymap);
    if (command.section !== section || !keys.length) continue;
    const family = FAMILIES.find((each) => command.id.startsWith(`${each}.`));
    const words = family ? t(`family.${family}`) : t(`cmd.${command.id}`);
    lines.set(words, { keys: [...(lines.get(words)?.keys ?? []), ...keys], words });
  }
  return [...lines.values()];
}

function Sheet() {
  const { ui } = useEditor();
  const keymap = useUi((state) => state.keymap);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const close = (): void => ui.setState({ keys: false });
  return (
    <dialog
      ref={dialog}
      className="keys"
      aria-label={t("keys.label")}
      onClose={close}
      onClick={(event) => event.target === event.currentTarget && close()}
    >
      <div className="keys-top">
        <h2>{t("keys.label")}</h2>
        <button
          type="button"
          onClick={() => {
            close();
            ui.setState({ settings: true });
          }}
        >
          {t("keys.change")}
        </button>
        <button type="button" onClick={close}>
          {t("keys.close")}
        </button>
      </div>
      <div className="keys-columns">
        {SECTIONS.map((section) => (
          <section key={section} aria-label={t(`section.${section}`)}>
            <h3>{t(`section.${section}`)}</h3>
            <dl>
              {linesOf(section, keymap).map(({ keys, words }) => (
                <div key={words}>
                  <dt>
                    {keys.map((key) => (
                      <kbd key={key}>{keyWords(key)}</kbd>
                    ))}
                  </dt>
                  <dd>{words}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
        <section aria-label={t("section.mouse")}>
          <h3>{t("section.mouse")}</h3>
          <dl>
            {GESTURES.map((words) => {
              const [gesture = "", effect = ""] = t(words).split(": ");
              return (
                <div key={words}>
                  <dt>
                    <kbd>{gesture}</kbd>
                  </dt>
                  <dd>{effect}</dd>
                </div>
              );
            })}
          </dl>
        </section>
      </div>
    </dialog>
  );
}
