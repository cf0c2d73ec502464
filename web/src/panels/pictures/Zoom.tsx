// The picture itself, as it is looked at; and the buttons for that.

import type { CSSProperties, ReactNode } from "react";

import type { Size } from "../../doc/graph";
import type { View } from "../../doc/zoom";
import { t } from "../../i18n/t";
import type { Looking } from "./useView";

/** Where a picture of this size is drawn. Others are stretched to it, so that they lie over each other. */
export function placed(view: View, { width, height }: Size): CSSProperties {
  return {
    width: width * view.scale,
    height: height * view.scale,
    transform: `translate(${view.x}px, ${view.y}px)`,
    imageRendering: view.scale > 1 ? "pixelated" : "auto",
  };
}

export function ZoomButtons({ looking: { view, zoom, one, fit }, children }: { looking: Looking; children?: ReactNode }) {
  return (
    <div className="zoom" role="group" aria-label={t("zoom.label")}>
      <button type="button" aria-label={t("zoom.out")} title={`${t("zoom.out")} (−)`} onClick={() => zoom(1 / 1.4)}>−</button>
      <span className="zoom-scale">{Math.round(view.scale * 100)} %</span>
      <button type="button" aria-label={t("zoom.in")} title={`${t("zoom.in")} (+)`} onClick={() => zoom(1.4)}>+</button>
      <button type="button" title={`${t("zoom.fit")} (0)`} aria-label={t("zoom.fit")} onClick={fit}>⤢</button>
      <button type="button" title={`${t("zoom.one")} (1)`} aria-label={t("zoom.one")} onClick={one}>1:1</button>
      {children}
    </div>
  );
}
