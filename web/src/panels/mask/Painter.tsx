// The picture, the tools beside it, and the keys for both.

import { useEffect, useRef, useState } from "react";
import type { KeyboardEvent } from "react";

import type { Size } from "../../doc/graph";
import { filled, inverted, share } from "../../doc/mask";
import type { MaskDocument } from "../../doc/mask-history";
import type { View } from "../../doc/zoom";
import { fitted, kept, zoomed } from "../../doc/zoom";
import { t } from "../../i18n/t";
import { useEditor, useUi } from "../../state/context";
import type { BrushChoice } from "../../state/ui";
import { keyOf } from "../keynames";
import { Button } from "../Toolbar";
import type { Shown } from "./Stage";
import { Stage } from "./Stage";
import { Tools, sizeOf } from "./Tools";

interface PainterProps {
  readonly document: MaskDocument;
  readonly picture: string;
  readonly name: string;
  readonly saving: boolean;
  readonly refusal: string | null;
  readonly save: () => void;
  readonly cancel: () => void;
}

const MARGIN = 12; // pixels around the whole picture
const GROWTH = 1.25;
const BRACKETS: ReadonlySet<string> = new Set("[]"); // which some keyboards have with Alt

export function Painter({ document, picture, name, saving, refusal, save, cancel }: PainterProps) {
  const { ui } = useEditor();
  const brush = useUi((state) => state.brush);
  const now = useMask(document);
  const [erase, setErase] = useState(false);
  const [shown, setShown] = useState<Shown>("both");
  const [frame, setFrame] = useState<Size>({ width: 0, height: 0 });
  const [chosen, look] = useState<View | null>(null); // null: the whole picture
  const stage = useRef<HTMLDivElement>(null);
  useEffect(() => stage.current?.focus(), []);
  useEffect(() => {
    // Keys are for what has the focus, and a button that has just been switched off gets none.
    if (globalThis.document.activeElement?.matches(":disabled")) stage.current?.focus();
  });

  const room = { width: Math.max(1, frame.width - 2 * MARGIN), height: Math.max(1, frame.height - 2 * MARGIN) };
  const whole = kept(fitted(document.mask, room), document.mask, frame);
  const view = chosen ?? whole;
  const smallest = whole.scale / 2;
  const side = Math.min(document.mask.width, document.mask.height);
  const size = sizeOf(brush, side);
  const change = (part: Partial<BrushChoice>): void => ui.setState({ brush: { ...brush, ...part } });
  const resize = (to: number): void => change({ size: Math.min(Math.max(1, to), side) / side });
  const zoom = (factor: number): void => {
    look(kept(zoomed(view, { x: frame.width / 2, y: frame.height / 2 }, factor, smallest), document.mask, frame));
  };
  const fit = (): void => look(null);
  const invert = (): void => document.apply(inverted);
  const clear = (): void => document.apply((mask) => filled(mask, 0));
  const escape = (): void => {
    if (document.stroking) document.drop();
    else cancel();
  };

  const keys: Readonly<Record<string, () => void>> = {
    "[": () => resize(Math.min(size - 1, size / GROWTH)),
    "]": () => resize(Math.max(size + 1, size * GROWTH)),
    B: () => setErase(false),
    E: () => setErase(!erase),
    I: invert,
    Delete: clear,
    Backspace: clear,
    "+": () => zoom(GROWTH),
    "=": () => zoom(GROWTH),
    "-": () => zoom(1 / GROWTH),
    "0": fit,
    V: () => setShown(shown === "both" ? "mask" : shown === "mask" ? "picture" : "both"),
    "Ctrl+Z": () => document.undo(),
    "Ctrl+Shift+Z": () => document.redo(),
    "Ctrl+Y": () => document.redo(),
    "Ctrl+Enter": save,
    "Ctrl+S": save,
    Escape: escape,
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.defaultPrevented) return;
    const name = keyOf(event.nativeEvent);
    const act = keys[name] ?? (BRACKETS.has(event.key) ? keys[event.key] : undefined);
    if (!act) return;
    event.preventDefault();
    const held = event.repeat && /^[A-Z]$/.test(name); // what is switched on and off is so once
    if (!saving && !held) act();
  };

  return (
    <div className="masking-inside" onKeyDown={onKeyDown} aria-busy={saving}>
      <div className="mask-top">
        <h2>{t("mask.label")}</h2>
        <span className="mask-name">{name}</span>
        <Button icon="undo" label={t("mask.undo")} hint={t("mask.undo.hint")} disabled={saving || !now.canUndo} onClick={() => document.undo()} />
        <Button icon="redo" label={t("mask.redo")} hint={t("mask.redo.hint")} disabled={saving || !now.canRedo} onClick={() => document.redo()} />
        <button type="button" className="mask-action" onClick={cancel} disabled={saving}>
          {t("mask.cancel")}
        </button>
        <button type="button" className="button primary" onClick={save} disabled={saving} title={t("mask.save.hint")}>
          {saving ? t("mask.saving") : t("mask.save")}
        </button>
      </div>
      <Stage
        document={document}
        picture={picture}
        name={name}
        brush={{ size, softness: brush.softness, strength: brush.strength, erase }}
        shown={shown}
        frame={frame}
        view={view}
        smallest={smallest}
        look={look}
        resized={setFrame}
        locked={saving}
        stage={stage}
      />
      <Tools
        brush={brush}
        change={change}
        side={side}
        erase={erase}
        setErase={setErase}
        shown={shown}
        setShown={setShown}
        scale={view.scale}
        zoom={zoom}
        fit={fit}
        invert={invert}
        clear={clear}
        share={now.share}
        locked={saving}
      />
      {refusal !== null && (
        <p className="mask-refusal" role="alert">
          {refusal}
        </p>
      )}
    </div>
  );
}

interface Now {
  readonly canUndo: boolean;
  readonly canRedo: boolean;
  readonly share: number;
}

/** What there is to know of the mask between its strokes. */
function useMask(document: MaskDocument): Now {
  const [now, setNow] = useState(() => nowOf(document));
  useEffect(
    () => document.subscribe(() => {
      if (!document.stroking) setNow(nowOf(document));
    }),
    [document],
  );
  return now;
}

function nowOf({ canUndo, canRedo, mask }: MaskDocument): Now {
  return { canUndo, canRedo, share: share(mask) };
}
