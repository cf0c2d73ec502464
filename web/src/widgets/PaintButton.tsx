// What is masked of a node's picture, and the button on it that opens the painting of the mask.

import "./paint-button.css";

import type { NodeId } from "../doc/graph";
import type { PictureFile } from "../doc/uploads";
import { t } from "../i18n/t";
import { useHint } from "../panels/hints";
import { useEditor } from "../state/context";
import { openMask } from "../state/masks";

/** Under a picture, its colours: they show where it is transparent, that is masked. */
export function MaskedPart({ file }: { readonly file: PictureFile }) {
  const { api } = useEditor();
  const url = api.viewUrl(file, { preview: "webp;60", size: 512, channel: "rgb" });
  return <img className="masked-part" src={url} alt="" draggable={false} />;
}

export function PaintButton({ node, title }: { readonly node: NodeId; readonly title: string }) {
  const editor = useEditor();
  const hint = useHint("mask");
  return (
    <button
      type="button"
      className="paint-button nodrag"
      aria-label={`${t("mask.paint")}, ${title}`}
      title={hint(t("mask.paint.hint"))}
      onClick={() => openMask(editor, node)}
    >
      <svg className="icon" viewBox="0 0 24 24" aria-hidden="true">
        <path d="M20 4L10.5 13.5M13 16l7-12M10.5 13.5a3.5 3.5 0 0 0-3.5 3.5c0 2-1.5 3-3 3 1.5 1 3 1 4 1a4 4 0 0 0 5-5z" />
      </svg>
      {t("mask.paint")}
    </button>
  );
}
