// A picture large, with how it was made beside it, and the others of its list to the left and right.

import "./viewer.css";

import { useState } from "react";
import type { KeyboardEvent } from "react";

import type { Size } from "../../doc/graph";
import { t } from "../../i18n/t";
import { useEditor, useUi } from "../../state/context";
import {
  asInput, compareMarked, compareWithBefore, mark, openGraph, recallPrompt, recallSeed,
} from "../../state/pictures";
import { samePicture } from "../../state/runs";
import { askForHint } from "../../state/steering";
import type { Picture, Shown } from "../../state/ui";
import { Icon } from "../icons";
import { useModal } from "../useModal";
import { RecipeList, useRecipe } from "./RecipeList";
import { useView } from "./useView";
import { ZoomButtons, placed } from "./Zoom";

const NONE: Size = { width: 0, height: 0 };

export default function Viewer({ shown }: { shown: Shown }) {
  const { api, ui } = useEditor();
  const [size, setSize] = useState<{ readonly url: string; readonly size: Size } | null>(null);
  const { file, among = [] } = shown;
  const url = api.viewUrl(file);
  const natural = size?.url === url ? size.size : (size?.size ?? NONE);
  const { around, measure, ...looking } = useView(natural);
  const at = among.findIndex((each) => samePicture(each, shown));
  const close = (): void => ui.setState({ shown: null });
  const [dialog, onClose] = useModal(close);
  const go = (by: number): void => {
    const next = among[at + by];
    if (!next) return;
    looking.fit();
    ui.setState({ shown: { ...next, among } });
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (by && !event.altKey && !event.ctrlKey) go(by);
    else if (!looking.key(event)) return;
    event.preventDefault();
  };
  return (
    <dialog ref={dialog} className="viewer" aria-label={file.filename} onClose={onClose} onKeyDown={onKeyDown}>
      <div className="viewer-left" ref={around}>
        <div className="picture-stage" ref={measure} {...looking.pointers}>
          <img
            key={url}
            src={url}
            alt={file.filename}
            draggable={false}
            style={placed(looking.view, natural)}
            onLoad={({ currentTarget: { naturalWidth: width, naturalHeight: height } }) => setSize({ url, size: { width, height } })}
          />
        </div>
        {/* One that leads nowhere stays: with it the focus would go, and the keys with that. */}
        {among.length > 1 && (
          <>
            <button type="button" className="viewer-turn" data-to="previous" aria-label={t("viewer.previous")} aria-disabled={at <= 0} onClick={() => go(-1)}>
              ‹
            </button>
            <button type="button" className="viewer-turn" data-to="next" aria-label={t("viewer.next")} aria-disabled={at + 1 >= among.length} onClick={() => go(1)}>
              ›
            </button>
          </>
        )}
        <ZoomButtons looking={looking}>
          {among.length > 1 && <span className="zoom-count">{t("viewer.count", { at: at + 1, count: among.length })}</span>}
        </ZoomButtons>
      </div>
      <aside className="viewer-side">
        <div className="viewer-top">
          <h2>{file.filename}</h2>
          <button type="button" className="button" aria-label={t("gallery.close")} onClick={close}>
            <Icon name="close" />
          </button>
        </div>
        {natural.width > 0 && <p className="viewer-size">{t("viewer.size", { ...natural })}</p>}
        <Made picture={shown} close={close} />
      </aside>
    </dialog>
  );
}

function Made({ picture, close }: { picture: Shown; close: () => void }) {
  const editor = useEditor();
  const recipe = useRecipe(picture);
  const marked = useUi((state) => state.marked);
  const isMarked = marked.some((each) => samePicture(each, picture));
  const of: Picture = { file: picture.file, job: picture.job, node: picture.node ?? null };
  return (
    <>
      {recipe && (
        <section aria-label={t("viewer.made")}>
          <RecipeList recipe={recipe} />
        </section>
      )}
      <div className="viewer-actions">
        {picture.job !== null && (
          <>
            <button type="button" onClick={() => void openGraph(editor, of).then(close)}>{t("gallery.open")}</button>
            <button type="button" disabled={!recipe?.seeds.length} onClick={() => void recallSeed(editor, of).then(close)}>
              {t("recall.seed")}
            </button>
            <button type="button" disabled={!recipe?.positive.length} onClick={() => void recallPrompt(editor, of).then(close)}>
              {t("recall.prompt")}
            </button>
          </>
        )}
        <button
          type="button"
          onClick={() => {
            asInput(editor, of);
            close();
          }}
        >
          {t("picture.use")}
        </button>
        <button
          type="button"
          onClick={() => askForHint(editor, { node: null, file: picture.file }, { x: innerWidth / 2, y: innerHeight / 3 })}
        >
          {t("hint.use")}
        </button>
        {picture.job !== null && (
          <button type="button" onClick={() => void compareWithBefore(editor, of)}>{t("compare.before")}</button>
        )}
        <button type="button" aria-pressed={isMarked} onClick={() => mark(editor, of)}>
          {t(isMarked ? "compare.unmark" : "compare.mark")}
        </button>
        {marked.length === 2 && (
          <button type="button" onClick={() => compareMarked(editor)}>{t("compare.go")}</button>
        )}
        <a href={editor.api.viewUrl(picture.file)} download={picture.file.filename}>{t("gallery.download")}</a>
      </div>
    </>
  );
}
