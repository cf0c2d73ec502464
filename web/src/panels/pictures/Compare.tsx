// Two pictures compared: one over the other with a slider, side by side, by turns, or what differs.

import "./viewer.css";
import "./compare.css";

import { useState } from "react";
import type { KeyboardEvent } from "react";

import type { Size } from "../../doc/graph";
import { differences } from "../../doc/recipe";
import { t } from "../../i18n/t";
import { useEditor } from "../../state/context";
import type { Picture } from "../../state/ui";
import { Icon } from "../icons";
import { useModal } from "../useModal";
import { settingName, useRecipe } from "./RecipeList";
import { Slider } from "./Slider";
import { useFlicker } from "./useFlicker";
import { useView } from "./useView";
import { ZoomButtons, placed } from "./Zoom";

const MODES = ["slider", "side", "flicker", "difference"] as const;
type Mode = (typeof MODES)[number];

const NONE: Size = { width: 0, height: 0 };
const STRENGTHS = [1, 4, 16] as const;

export default function Compare({ pictures }: { pictures: readonly [Picture, Picture] }) {
  const { ui, api } = useEditor();
  const [mode, setMode] = useState<Mode>("slider");
  const [share, setShare] = useState(0.5);
  const [strength, setStrength] = useState<number>(1);
  const [sizes, setSizes] = useState<Readonly<Record<string, Size>>>({});
  const [first, second] = pictures;
  const [a, b] = [api.viewUrl(first.file), api.viewUrl(second.file)];
  const [small, large] = [sizes[a] ?? NONE, sizes[b] ?? NONE];
  const size = { width: Math.max(small.width, large.width), height: Math.max(small.height, large.height) };
  const { around, measure, ...looking } = useView(size, mode === "slider" ? (at, frame) => setShare(at.x / frame.width) : undefined);
  const flicker = useFlicker(mode === "flicker");

  const close = (): void => ui.setState({ compared: null });
  const [dialog, onClose] = useModal(close);
  const swap = (): void => ui.setState({ compared: [second, first] });
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.defaultPrevented || !looking.key(event)) return;
    event.preventDefault();
  };
  const learn = (url: string, image: HTMLImageElement): void => {
    setSizes((known) => ({ ...known, [url]: { width: image.naturalWidth, height: image.naturalHeight } }));
  };
  const picture = (url: string, alt: string) => (
    <img
      src={url}
      alt={alt}
      draggable={false}
      style={placed(looking.view, size)}
      onLoad={({ currentTarget }) => learn(url, currentTarget)}
    />
  );
  const one = picture(a, `${t("compare.first")}: ${first.file.filename}`);
  const other = picture(b, `${t("compare.second")}: ${second.file.filename}`);
  return (
    <dialog ref={dialog} className="viewer compare" aria-label={t("compare.label")} onClose={onClose} onKeyDown={onKeyDown}>
      <div className="compare-top">
        <h2>{t("compare.label")}</h2>
        <Modes mode={mode} choose={setMode} />
        {mode === "difference" && (
          <div className="zoom" role="group" aria-label={t("compare.mode.difference")}>
            {STRENGTHS.map((count) => (
              <button
                key={count}
                type="button"
                aria-pressed={strength === count}
                aria-label={t("compare.strength", { count })}
                onClick={() => setStrength(count)}
              >
                ×{count}
              </button>
            ))}
          </div>
        )}
        {mode === "flicker" && (
          <div className="zoom" role="group" aria-label={t("compare.mode.flicker")}>
            <button type="button" onClick={flicker.turn}>{t("compare.flick")}</button>
            <button type="button" aria-pressed={flicker.auto} onClick={flicker.toggle}>{t("compare.auto")}</button>
          </div>
        )}
        <span className="bar-space" />
        <button type="button" className="compare-swap" onClick={swap}>{t("compare.swap")}</button>
        <button type="button" className="button" aria-label={t("gallery.close")} onClick={close}>
          <Icon name="close" />
        </button>
      </div>
      <div className="compare-stages" data-mode={mode} ref={around}>
        <div className="picture-stage" ref={measure} {...looking.pointers}>
          {mode === "slider" && (
            <Slider looking={looking} size={size} share={share} change={setShare} left={one} right={other} />
          )}
          {mode === "side" && one}
          {mode === "flicker" && (
            <>
              <div className="layer" hidden={flicker.second}>{one}</div>
              <div className="layer" hidden={!flicker.second}>{other}</div>
            </>
          )}
          {mode === "difference" && (
            <div className="layer difference" style={{ filter: `brightness(${strength})` }}>
              {one}
              {other}
            </div>
          )}
          {mode !== "difference" && (
            <span className="compare-name" data-side="left">
              {mode === "flicker" && flicker.second ? second.file.filename : first.file.filename}
            </span>
          )}
          {mode === "slider" && <span className="compare-name" data-side="right">{second.file.filename}</span>}
        </div>
        {mode === "side" && (
          <div className="picture-stage" {...looking.pointers}>
            {other}
            <span className="compare-name" data-side="left">{second.file.filename}</span>
          </div>
        )}
        <ZoomButtons looking={looking} />
      </div>
      <Differences a={first} b={second} />
    </dialog>
  );
}

function Modes({ mode, choose }: { mode: Mode; choose: (mode: Mode) => void }) {
  const onKeyDown = (event: KeyboardEvent): void => {
    const by = ["ArrowRight", "ArrowDown"].includes(event.key) ? 1 : ["ArrowLeft", "ArrowUp"].includes(event.key) ? -1 : 0;
    if (!by) return;
    event.preventDefault();
    const next = MODES[(MODES.indexOf(mode) + by + MODES.length) % MODES.length] ?? mode;
    choose(next);
    event.currentTarget.querySelector<HTMLElement>(`[data-mode="${next}"]`)?.focus();
  };
  return (
    <div className="zoom" role="radiogroup" aria-label={t("compare.modes")} onKeyDown={onKeyDown}>
      {MODES.map((each) => (
        <button
          key={each}
          type="button"
          role="radio"
          data-mode={each}
          aria-checked={mode === each}
          tabIndex={mode === each ? 0 : -1}
          onClick={() => choose(each)}
        >
          {t(`compare.mode.${each}`)}
        </button>
      ))}
    </div>
  );
}

/** What was set otherwise when the second picture was made. */
function Differences({ a, b }: { a: Picture; b: Picture }) {
  const [one, other] = [useRecipe(a), useRecipe(b)];
  if (!one || !other) return <div className="compare-bottom" />;
  const found = differences(one, other);
  if (!found.length) return <p className="compare-bottom">{t("compare.same")}</p>;
  return (
    <dl className="compare-bottom">
      {found.map(({ name, a: left, b: right }) => (
        <div key={name}>
          <dt>{settingName(name)}</dt>
          <dd>
            <span>{left || "–"}</span> → <span>{right || "–"}</span>
          </dd>
        </div>
      ))}
    </dl>
  );
}
