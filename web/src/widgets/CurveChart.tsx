// One figure over the steps: the values, thin, and their moving average; a pointer or arrow keys read
// single points. The drawing stretches with its box, so that nothing has to be measured.

import "../styles/unseen.css";
import "./curves.css";

import { useId, useState } from "react";
import type { KeyboardEvent, PointerEvent } from "react";

import type { CurvePoint } from "../doc/curve";
import { nearest, pathOf, scaleOf, seriesOf, shownFigure, smoothed, summaryOf } from "../doc/curve";
import { t } from "../i18n/t";

const BOX = { width: 1000, height: 1000 }; // of the drawing, stretched to the element
const DOT = 30; // with so few points each is marked

interface CurveChartProps {
  readonly points: readonly CurvePoint[];
  readonly name: string;
  readonly title: string;
  readonly total: number;
  readonly log: boolean;
  /** What the moving average keeps, in [0, 1). */
  readonly smooth: number;
}

export function CurveChart({ points, name, title, total, log, smooth }: CurveChartProps) {
  const [at, setAt] = useState<number | null>(null); // the step that is read
  const words = useId();
  const series = seriesOf(points, name);
  const summary = summaryOf(series);
  if (!summary) return null;
  const scale = scaleOf(series, total, BOX, log);
  const average = { steps: series.steps, values: smoothed(series.values, smooth) };
  const last = series.steps.length - 1;
  const read = at === null ? last : nearest(series.steps, scale, scale.x(at));
  const step = series.steps[read] ?? 0;
  const value = series.values[read] ?? 0;
  const [left, top] = [scale.x(step) / 10, scale.y(value) / 10];
  const point = t("curve.point", { step, name, value: shownFigure(value) });

  const onPointerMove = (event: PointerEvent<HTMLElement>): void => {
    const { left: from, width } = event.currentTarget.getBoundingClientRect();
    const found = series.steps[nearest(series.steps, scale, ((event.clientX - from) / width) * BOX.width)];
    setAt(found ?? null);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const leap = event.shiftKey ? 10 : 1;
    const moves: Readonly<Record<string, number>> = {
      ArrowLeft: read - leap, ArrowRight: read + leap, Home: 0, End: last,
    };
    const to = moves[event.key];
    if (event.key === "Escape" && at !== null) setAt(null);
    else if (to === undefined) return;
    else setAt(series.steps[Math.min(last, Math.max(0, to))] ?? null);
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div className="curve" data-name={name}>
      <div className="curve-ticks" aria-hidden="true">
        {scale.ticks.map((tick) => (
          <span key={tick} style={{ top: `${scale.y(tick) / 10}%` }}>
            {shownFigure(tick)}
          </span>
        ))}
      </div>
      <div
        className="curve-plot nodrag"
        role="slider"
        tabIndex={0}
        aria-label={t("curve.label", { name, title })}
        aria-valuemin={series.steps[0] ?? 0}
        aria-valuemax={series.steps[last] ?? 0}
        aria-valuenow={step}
        aria-valuetext={point}
        aria-describedby={words}
        onPointerMove={onPointerMove}
        onPointerDown={onPointerMove}
        onPointerLeave={() => setAt(null)}
        onKeyDown={onKeyDown}
        onBlur={() => setAt(null)}
      >
        <svg viewBox={`0 0 ${BOX.width} ${BOX.height}`} preserveAspectRatio="none" aria-hidden="true">
          {scale.ticks.map((tick) => (
            <line key={tick} className="curve-grid" x1={0} x2={BOX.width} y1={scale.y(tick)} y2={scale.y(tick)} />
          ))}
          <path className="curve-raw" data-alone={smooth === 0} d={pathOf(series, scale)} />
          {smooth > 0 && <path className="curve-average" d={pathOf(average, scale)} />}
          {at !== null && <line className="curve-at" x1={scale.x(step)} x2={scale.x(step)} y1={0} y2={BOX.height} />}
        </svg>
        {(at !== null || last < DOT) && (
          <span className="curve-dot" style={{ left: `${left}%`, top: `${top}%` }} aria-hidden="true" />
        )}
        {at !== null && (
          <span className="curve-tip" data-side={left > 50 ? "left" : "right"} style={{ left: `${left}%` }} aria-hidden="true">
            {point}
          </span>
        )}
      </div>
      <p id={words} className="unseen">
        {t("curve.words", {
          name,
          count: summary.count,
          first: shownFigure(summary.first),
          last: shownFigure(summary.last),
          lowest: shownFigure(summary.lowest),
          step: summary.lowestStep,
        })}
      </p>
    </div>
  );
}
