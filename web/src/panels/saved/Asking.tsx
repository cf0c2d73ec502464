// What the user is asked: under which name a graph is saved, what becomes of two that were saved in the
// same file, and whether one may be closed.

import { useState } from "react";
import { useStore } from "zustand";

import { t } from "../../i18n/t";
import { useEditor } from "../../state/context";
import { ask, openTheirs, save, saveAnyway, saveAs, saveCopy } from "../../state/saving";
import { Window } from "./Window";

function useShownName(): string {
  const { tabs } = useEditor();
  return useStore(tabs.store, (state) => state.tabs.find(({ id }) => id === state.shown)?.name) || t("tabs.unnamed");
}

export function SaveAs({ closing }: { closing: boolean }) {
  const editor = useEditor();
  const [name, setName] = useState(useShownName());
  const [taken, setTaken] = useState<string | null>(null);
  const wanted = name.trim();
  const send = async (replace: boolean): Promise<void> => {
    if (!wanted) return;
    const done = await saveAs(editor, wanted, { replace, closing });
    if (done === "taken") setTaken(wanted);
  };
  const asking = taken !== null && taken === wanted;
  return (
    <Window label={t("save.label")} kind="asking">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void send(asking);
        }}
      >
        <h2>{t("save.label")}</h2>
        <label>
          {t("save.name")}
          <input
            type="text"
            required
            maxLength={200}
            value={name}
            onFocus={(event) => event.target.select()}
            onChange={(event) => setName(event.target.value)}
          />
        </label>
        {asking && <p role="alert">{t("save.taken")}</p>}
        <div className="files-buttons">
          <button type="button" onClick={() => ask(editor, null)}>
            {t("save.cancel")}
          </button>
          <button type="submit" className="main">
            {t(asking ? "save.replace" : "save.save")}
          </button>
        </div>
      </form>
    </Window>
  );
}

export function Conflict({ gone, closing }: { gone: boolean; closing: boolean }) {
  const editor = useEditor();
  const name = useShownName();
  const label = t(gone ? "conflict.gone.label" : "conflict.label");
  const theirs = async (): Promise<void> => {
    if (await openTheirs(editor)) ask(editor, null);
  };
  return (
    <Window label={label} kind="asking">
      <h2>{label}</h2>
      <p>{t(gone ? "conflict.gone" : "conflict.text", { name })}</p>
      <div className="files-choices">
        {!gone && (
          <button type="button" className="main" onClick={() => void saveCopy(editor, closing)}>
            {t("conflict.copy")}
          </button>
        )}
        {!gone && (
          <button type="button" onClick={() => void theirs()}>
            {t("conflict.theirs")}
          </button>
        )}
        <button type="button" className={gone ? "main" : ""} onClick={() => void saveAnyway(editor, closing)}>
          {t(gone ? "conflict.gone.again" : "conflict.over")}
        </button>
        <button type="button" onClick={() => ask(editor, null)}>
          {t("conflict.later")}
        </button>
      </div>
    </Window>
  );
}

export function Close() {
  const editor = useEditor();
  const name = useShownName();
  return (
    <Window label={t("close.label")} kind="asking">
      <h2>{t("close.label")}</h2>
      <p>{t("close.text", { name })}</p>
      <div className="files-buttons">
        <button type="button" onClick={() => editor.tabs.close(editor.tabs.shown.id, true)}>
          {t("close.discard")}
        </button>
        <button type="button" onClick={() => ask(editor, null)}>
          {t("close.cancel")}
        </button>
        <button type="button" className="main" onClick={() => void save(editor, true)}>
          {t("close.save")}
        </button>
      </div>
    </Window>
  );
}
