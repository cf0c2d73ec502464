// What was made: a picture of each run, the newest first; and one of them large.

import { useEffect, useRef } from "react";

import { asObject } from "../doc/json";
import { t } from "../i18n/t";
import { useEditor, useUi } from "../state/context";
import type { Editor } from "../state/editor";
import type { Shown } from "../state/ui";
import { say } from "../state/ui";
import { useJobs } from "./jobs";

const SHOWN = 60;

export function Gallery() {
  const { api, ui } = useEditor();
  const [jobs] = useJobs(["completed"], SHOWN);
  const pictures = jobs.flatMap(({ id, preview_output: file }) =>
    file && file.mediaType === "images" ? [{ id, file }] : [],
  );
  if (!pictures.length) return <p className="none">{t("gallery.none")}</p>;
  return (
    <ul className="gallery">
      {pictures.map(({ id, file }) => (
        <li key={id}>
          <button
            type="button"
            aria-label={t("gallery.show", { name: file.filename })}
            onClick={() => ui.setState({ shown: { file, job: id } })}
          >
            <img src={api.viewUrl(file, { preview: "webp;80" })} alt="" loading="lazy" />
          </button>
        </li>
      ))}
    </ul>
  );
}

/** The picture that is shown large, if there is one. */
export function Large() {
  const shown = useUi((state) => state.shown);
  return shown && <Window shown={shown} />;
}

function Window({ shown: { file, job } }: { shown: Shown }) {
  const editor = useEditor();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const close = (): void => editor.ui.setState({ shown: null });
  const url = editor.api.viewUrl(file);
  return (
    <dialog
      ref={dialog}
      className="large"
      aria-label={file.filename}
      onClose={close}
      onClick={(event) => event.target === event.currentTarget && close()}
    >
      <img src={url} alt={file.filename} />
      <div className="large-bottom">
        <span>{file.filename}</span>
        {job !== null && (
          <button type="button" onClick={() => void openGraph(editor, job, file.filename).then(close)}>
            {t("gallery.open")}
          </button>
        )}
        <a href={url} download={file.filename}>
          {t("gallery.download")}
        </a>
        <button type="button" onClick={close}>
          {t("gallery.close")}
        </button>
      </div>
    </dialog>
  );
}

/** Opens the graph of a run. */
async function openGraph(editor: Editor, job: string, name: string): Promise<void> {
  try {
    const { workflow } = await editor.api.job(job);
    const drawn = asObject(workflow.extra_data["extra_pnginfo"])["workflow"];
    await editor.openData(drawn ?? workflow.prompt, name.replace(/\.\w+$/, ""));
  } catch (error) {
    say(editor.ui, error instanceof Error ? error.message : String(error), true);
  }
}
