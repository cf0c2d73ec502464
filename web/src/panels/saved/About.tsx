// What can be done with a saved graph: its name, its earlier versions, deleting it.

import { useEffect, useState } from "react";

import { t } from "../../i18n/t";
import type { FileVersion } from "../../protocol/shapes";
import { useEditor } from "../../state/context";
import type { Saved } from "../../state/saving";
import { openVersion, remove, rename, restore, versionsOf } from "../../state/saving";
import { say } from "../../state/ui";
import { timeOf } from "./times";

interface AboutProps {
  readonly graph: Saved;
  readonly changed: () => void;
  readonly done: (went: boolean) => void;
}

export function About({ graph: { path, name }, changed, done }: AboutProps) {
  const editor = useEditor();
  const [wanted, setWanted] = useState(name);
  const [versions, setVersions] = useState<readonly FileVersion[] | null>(null);
  useEffect(() => {
    versionsOf(editor, path).then(setVersions, (error: unknown) => {
      setVersions([]);
      say(editor.ui, error instanceof Error ? error.message : String(error), true);
    });
  }, [editor, path]);
  return (
    <div className="files-about">
      <form
        className="files-row"
        onSubmit={(event) => {
          event.preventDefault();
          void rename(editor, path, wanted.trim()).then((went) => went && changed());
        }}
      >
        <input
          type="text"
          required
          maxLength={200}
          aria-label={t("files.rename.label", { name })}
          value={wanted}
          onChange={(event) => setWanted(event.target.value)}
        />
        <button type="submit" disabled={!wanted.trim() || wanted.trim() === name}>
          {t("files.rename")}
        </button>
        <button type="button" onClick={() => void remove(editor, path).then((went) => went && changed())}>
          {t("files.delete")}
        </button>
      </form>
      <h4>{t("files.versions")}</h4>
      {versions && !versions.length && <p className="none">{t("files.versions.none")}</p>}
      <ul aria-label={t("files.versions")}>
        {versions?.map(({ version, modified }) => {
          const time = timeOf(modified * 1000);
          const called = t("files.version.name", { name, time });
          return (
            <li key={version} className="files-row">
              <time>{time}</time>
              <button
                type="button"
                aria-label={t("files.versions.view.name", { time })}
                onClick={() => void openVersion(editor, path, version, called).then(done)}
              >
                {t("files.versions.view")}
              </button>
              <button
                type="button"
                aria-label={t("files.versions.restore.name", { time })}
                onClick={() => void restore(editor, path, version).then(done)}
              >
                {t("files.versions.restore")}
              </button>
            </li>
          );
        })}
      </ul>
    </div>
  );
}
