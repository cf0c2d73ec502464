// The brush, what is shown, and what can be done with the whole mask.

import { useId } from "react";
import type { ReactNode } from "react";

import { t } from "../../i18n/t";
import type { BrushChoice } from "../../state/ui";
import type { Shown } from "./Stage";

interface ToolsProps {
  readonly brush: BrushChoice;
  readonly change: (brush: Partial<BrushChoice>) => void;
  /** The picture's shorter side, in pixels. */
  readonly side: number;
  readonly erase: boolean;
  readonly setErase: (erase: boolean) => void;
  readonly shown: Shown;
  readonly setShown: (shown: Shown) => void;
  readonly scale: number;
  readonly zoom: (factor: number) => void;
  readonly fit: () => void;
  readonly invert: () => void;
  readonly clear: () => void;
  readonly share: number;
  readonly locked: boolean;
}

export function Tools(props: ToolsProps) {
  const { brush, change, side, erase, setErase, shown, setShown, scale, zoom, fit, invert, clear, share, locked } = props;
  const size = Math.round(sizeOf(brush, side));
  return (
    <div className="mask-tools">
      <Choice
        label={t("mask.tool")}
        value={erase ? "erase" : "paint"}
        options={[["paint", t("mask.brush"), t("mask.brush.hint")], ["erase", t("mask.eraser"), t("mask.eraser.hint")]]}
        choose={(tool) => setErase(tool === "erase")}
      />
      <div className="mask-sliders">
        <Slider
          label={t("mask.size")}
          hint={t("mask.size.hint")}
          words={t("mask.pixels", { count: size })}
          value={(100 * Math.log(sizeOf(brush, side))) / Math.log(Math.max(2, side))}
          change={(value) => change({ size: Math.max(2, side) ** (value / 100) / side })}
        />
        <Slider
          label={t("mask.softness")}
          words={percent(brush.softness)}
          value={100 * brush.softness}
          change={(value) => change({ softness: value / 100 })}
        />
        <Slider
          label={t("mask.strength")}
          words={percent(brush.strength)}
          least={1}
          value={100 * brush.strength}
          change={(value) => change({ strength: value / 100 })}
        />
      </div>
      <Choice
        label={t("mask.shown")}
        value={shown}
        options={[["both", t("mask.both")], ["mask", t("mask.alone")], ["picture", t("mask.picture")]]}
        choose={setShown}
      />
      <div className="mask-row">
        <Action label={t("mask.invert")} hint={t("mask.invert.hint")} act={invert} disabled={locked} />
        <Action label={t("mask.clear")} hint={t("mask.clear.hint")} act={clear} disabled={locked || share === 0} />
      </div>
      <div className="mask-row mask-zoom" role="group" aria-label={t("mask.zoom")}>
        <Action label={t("mask.zoom.out")} hint={t("mask.zoom.out.hint")} act={() => zoom(0.8)}>
          −
        </Action>
        <span className="mask-value">{percent(scale)}</span>
        <Action label={t("mask.zoom.in")} hint={t("mask.zoom.in.hint")} act={() => zoom(1.25)}>
          +
        </Action>
        <Action label={t("mask.fit")} hint={t("mask.fit.hint")} act={fit} />
      </div>
      <p className="mask-share" role="status">
        {share === 0 ? t("mask.none") : t("mask.share", { share: share < 0.01 ? "< 1 %" : percent(share) })}
      </p>
      <p className="mask-help" id="mask-help">
        {t("mask.help")}
      </p>
    </div>
  );
}

/** The diameter of the brush on a picture, in pixels. */
export function sizeOf({ size }: BrushChoice, side: number): number {
  return Math.min(Math.max(1, size * side), Math.max(2, side));
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

interface ChoiceProps<Value extends string> {
  readonly label: string;
  readonly value: Value;
  /** Value, words, and more words. */
  readonly options: readonly (readonly [Value, string, string?])[];
  readonly choose: (value: Value) => void;
}

/** One of a few, side by side. */
function Choice<Value extends string>({ label, value, options, choose }: ChoiceProps<Value>) {
  const name = useId();
  return (
    <div className="mask-choice" role="radiogroup" aria-label={label}>
      {options.map(([option, words, hint]) => (
        <label key={option} title={hint ?? words}>
          <input type="radio" name={name} checked={option === value} onChange={() => choose(option)} />
          <span>{words}</span>
        </label>
      ))}
    </div>
  );
}

interface SliderProps {
  readonly label: string;
  readonly hint?: string;
  readonly words: string;
  readonly value: number;
  readonly least?: number;
  readonly change: (value: number) => void;
}

function Slider({ label, hint, words, value, least = 0, change }: SliderProps) {
  return (
    <label className="mask-slider" title={hint ?? label}>
      <span>{label}</span>
      <span className="mask-value">{words}</span>
      <input
        type="range"
        aria-label={label}
        aria-valuetext={words}
        min={least}
        max={100}
        step="any"
        value={value}
        onChange={(event) => change(Number(event.target.value))}
      />
    </label>
  );
}

interface ActionProps {
  readonly label: string;
  readonly hint: string;
  readonly act: () => void;
  readonly disabled?: boolean;
  readonly children?: ReactNode;
}

function Action({ label, hint, act, disabled = false, children }: ActionProps) {
  return (
    <button type="button" className="mask-action" aria-label={label} title={hint} disabled={disabled} onClick={act}>
      {children ?? label}
    </button>
  );
}
