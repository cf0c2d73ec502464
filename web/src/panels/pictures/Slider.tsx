// Two pictures over each other, with a line between what is seen of the one and of the other.

import { useRef } from "react";
import type { KeyboardEvent, PointerEvent, ReactNode } from "react";

import type { Size } from "../../doc/graph";
import { span } from "../../doc/zoom";
import { t } from "../../i18n/t";
import type { Looking } from "./useView";

const STEPS: Readonly<Record<string, number>> = {
  ArrowLeft: -0.02, ArrowDown: -0.02, ArrowRight: 0.02, ArrowUp: 0.02, PageDown: -0.1, PageUp: 0.1, Home: -1, End: 1,
};

interface SliderProps {
  readonly looking: Looking;
  readonly size: Size;
  /** Where the line is, as a share of the frame. */
  readonly share: number;
  readonly change: (share: number) => void;
  readonly left: ReactNode;
  readonly right: ReactNode;
}

export function Slider({ looking: { view, frame }, size, share, change, left, right }: SliderProps) {
  const held = useRef<number | null>(null);
  const [from, to] = span(view, size, frame);
  const at = Math.min(Math.max(share * frame.width, from), to);
  // What is heard: how much of what can be seen is the first picture.
  const percent = to > from ? Math.round((100 * (at - from)) / (to - from)) : 50;
  const put = (x: number): void => change(Math.min(Math.max(x, from), to) / (frame.width || 1));
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = STEPS[event.key];
    if (step === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    put(at + step * (event.shiftKey ? 5 : 1) * (to - from));
  };
  const onPointerDown = (event: PointerEvent): void => {
    if (event.button !== 0) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    held.current = event.clientX - at;
  };
  return (
    <>
      <div className="layer">{left}</div>
      <div className="layer" style={{ clipPath: `inset(0 0 0 ${at}px)` }}>{right}</div>
      <div
        className="compare-line"
        role="slider"
        tabIndex={0}
        aria-label={t("compare.slider")}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={percent}
        aria-valuetext={t("compare.slider.value", { share: percent })}
        style={{ left: at }}
        onKeyDown={onKeyDown}
        onPointerDown={onPointerDown}
        onPointerMove={(event) => held.current !== null && put(event.clientX - held.current)}
        onPointerUp={() => (held.current = null)}
        onPointerCancel={() => (held.current = null)}
      >
        <span className="compare-grip" aria-hidden="true">⇔</span>
      </div>
    </>
  );
}
