// What can be done with the picture of a node, on it: a ControlNet's hint, and the live preview.

import "./picture-actions.css";

import type { MouseEvent } from "react";

import type { NodeId } from "../doc/graph";
import { t } from "../i18n/t";
import { Icon } from "../panels/icons";
import type { FileRef } from "../protocol/shapes";
import { useEditor, useUi } from "../state/context";
import { toggleLive } from "../state/live";
import { askForHint } from "../state/steering";

interface ActionsProps {
  readonly node: NodeId;
  readonly title: string;
  /** The picture that it made last; null: the one that it loads. */
  readonly file: FileRef | null;
  /** It only shows what comes in. */
  readonly viewer: boolean;
}

export function PictureActions({ node, title, file, viewer }: ActionsProps) {
  const editor = useEditor();
  const live = useUi((state) => state.live.has(node));
  const ask = (event: MouseEvent<HTMLButtonElement>): void => {
    const { left, bottom } = event.currentTarget.getBoundingClientRect();
    askForHint(editor, { node, file }, { x: left, y: bottom + 4 });
  };
  return (
    <div className="picture-actions nodrag" data-live={live}>
      {viewer && (
        <button
          type="button"
          aria-label={t("live.switch", { title })}
          aria-pressed={live}
          title={t("live.hint")}
          onClick={() => toggleLive(editor, node)}
        >
          <Icon name="live" />
          {t("live.on")}
        </button>
      )}
      {!viewer && (
        <button type="button" aria-label={t("hint.use.of", { title })} title={t("hint.use")} onClick={ask}>
          <Icon name="hint" />
          {t("hint.short")}
        </button>
      )}
    </div>
  );
}
