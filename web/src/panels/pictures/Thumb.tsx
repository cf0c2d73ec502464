// A picture in a list: small, as the server sends it; it opens large, and can be dragged onto the canvas.

import { useState } from "react";
import type { DragEvent, KeyboardEvent, MouseEvent } from "react";

import type { Point } from "../../doc/graph";
import { t } from "../../i18n/t";
import { useEditor, useUi } from "../../state/context";
import { DRAGGED } from "../../state/pictures";
import { samePicture } from "../../state/runs";
import type { Picture } from "../../state/ui";

export const SMALL = { size: 256, preview: "webp;80" } as const;

interface ThumbProps {
  readonly picture: Picture;
  readonly show: () => void;
  readonly menu: (at: Point) => void;
}

export function Thumb({ picture, show, menu }: ThumbProps) {
  const { api } = useEditor();
  const [gone, setGone] = useState(false);
  const place = useUi((state) => state.marked.findIndex((each) => samePicture(each, picture)));
  const { file } = picture;
  const onDragStart = (event: DragEvent): void => {
    event.dataTransfer.setData(DRAGGED, JSON.stringify(file));
    event.dataTransfer.effectAllowed = "copy";
  };
  const press = (event: KeyboardEvent): void => {
    if ((event.key !== "Enter" && event.key !== " ") || event.ctrlKey) return;
    event.preventDefault();
    show();
  };
  const ask = (event: MouseEvent): void => {
    event.preventDefault();
    menu({ x: event.clientX, y: event.clientY });
  };
  return (
    <li className="thumb" data-marked={place >= 0} onContextMenu={ask}>
      {/* No <button>: Firefox does not let those be dragged. */}
      <div
        role="button"
        tabIndex={0}
        className="thumb-picture"
        aria-label={t("gallery.show", { name: file.filename })}
        title={file.filename}
        draggable={!gone}
        onDragStart={onDragStart}
        onClick={show}
        onKeyDown={press}
      >
        {gone ? (
          <span className="thumb-gone">{t("picture.gone")}</span>
        ) : (
          <img src={api.viewUrl(file, SMALL)} alt="" loading="lazy" decoding="async" draggable={false} onError={() => setGone(true)} />
        )}
        {place >= 0 && <span className="thumb-mark">{"AB"[place]}</span>}
      </div>
      <button
        type="button"
        className="thumb-more"
        aria-haspopup="menu"
        aria-label={t("picture.menu", { name: file.filename })}
        onClick={(event) => {
          const box = event.currentTarget.getBoundingClientRect();
          menu({ x: box.right, y: box.top });
        }}
      >
        <span>⋯</span>
      </button>
    </li>
  );
}
