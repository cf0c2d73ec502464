// A node that learns: its loss as it falls, what else it measures in words, and what it draws on the
// way. All of it is larger in a window of its own.

import { figureNames, seriesOf, shownFigure } from "../doc/curve";
import type { CurvePoint } from "../doc/curve";
import { t } from "../i18n/t";
import { useEditor, useUi } from "../state/context";
import type { Curve } from "../state/runtime";
import { CurveChart } from "./CurveChart";

const SHOWN = 4; // samples on the node, the newest first; wide ones get lines of their own

export function Training({ id, curve, title }: { id: string; curve: Curve; title: string }) {
  const { api, ui } = useEditor();
  const log = useUi((state) => state.curveLog);
  const smooth = useUi((state) => state.curveSmooth);
  const { points, samples, total } = curve;
  const [first] = figureNames(points);
  const words = lastFigures(points);
  return (
    <div className="training">
      <div className="training-top">
        <span className="training-words" title={words}>
          {words}
        </span>
        <button
          type="button"
          className="training-button nodrag"
          aria-pressed={log}
          aria-label={t("curve.log")}
          title={t("curve.log")}
          onClick={() => ui.setState({ curveLog: !log })}
        >
          log
        </button>
        <button
          type="button"
          className="training-button nodrag"
          aria-label={t("curve.large", { title })}
          title={t("curve.large", { title })}
          onClick={() => ui.setState({ curve: id })}
        >
          ⤢
        </button>
      </div>
      {first !== undefined && (
        <CurveChart points={points} name={first} title={title} total={total} log={log} smooth={smooth} />
      )}
      {samples.length > 0 && (
        <div className="training-samples">
          {samples.slice(-SHOWN).toReversed().map(({ step, file }) => (
            <button
              key={step}
              type="button"
              className="nodrag"
              aria-label={t("curve.sample.show", { step })}
              title={t("curve.sample", { step })}
              onClick={() => ui.setState({ shown: { file, job: null } })}
            >
              <img src={api.viewUrl(file, { preview: "webp;85" })} alt="" draggable={false} />
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

/** The last values of all figures: "loss 0.12 · rate 1.00e-4". */
function lastFigures(points: readonly CurvePoint[]): string {
  return figureNames(points)
    .slice(0, 3)
    .map((name) => `${name} ${shownFigure(seriesOf(points.slice(-20), name).values.at(-1) ?? 0)}`)
    .join(" · ");
}
