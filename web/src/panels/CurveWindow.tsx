// What a node measured while it learned, large: each figure as a curve, the pictures it drew on the
// way, and the figures as a table.

import { useEffect, useRef, useState } from "react";

import type { CurvePoint } from "../doc/curve";
import { figureNames, shownFigure } from "../doc/curve";
import { titleOf } from "../doc/ports";
import { t } from "../i18n/t";
import { useEditor, useNodeRun, useUi } from "../state/context";
import type { Sample } from "../state/runtime";
import { CurveChart } from "../widgets/CurveChart";
import "../widgets/windows.css";

const ROWS = 25; // of the table, about
const RATE = "rate"; // which is no measurement, and exact

export default function CurveWindow({ id }: { id: string }) {
  const editor = useEditor();
  const { ui, graph, catalogue } = editor;
  const { curve } = useNodeRun(id);
  const log = useUi((state) => state.curveLog);
  const smooth = useUi((state) => state.curveSmooth);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const node = graph.nodes.get(id);
  const title = node ? titleOf(node, catalogue.get(node.type)) : id;
  const close = (): void => ui.setState({ curve: null });
  const points = curve?.points ?? [];
  const names = figureNames(points);
  return (
    <dialog
      ref={dialog}
      className="window curves"
      aria-label={t("curve.window", { title })}
      onClose={close}
      onClick={(event) => event.target === event.currentTarget && close()}
    >
      <div className="window-top curves-top">
        <h2>{t("curve.window", { title })}</h2>
        <label>
          <input type="checkbox" checked={log} onChange={(event) => ui.setState({ curveLog: event.target.checked })} />{" "}
          {t("curve.log")}
        </label>
        <label className="curves-smooth">
          {t("curve.smooth")}
          <input
            type="range"
            min={0}
            max={0.99}
            step={0.01}
            value={smooth}
            onChange={(event) => ui.setState({ curveSmooth: event.target.valueAsNumber })}
          />
          <output>{smooth.toFixed(2)}</output>
        </label>
        <button type="button" onClick={close}>
          {t("gallery.close")}
        </button>
      </div>
      <div className="curves-body">
        {names.map((name) => (
          <section key={name} className="curves-one" data-name={name}>
            <h3>{name}</h3>
            <CurveChart
              points={points}
              name={name}
              title={title}
              total={curve?.total ?? 0}
              log={log}
              smooth={name === RATE ? 0 : smooth}
            />
          </section>
        ))}
        {curve && curve.samples.length > 0 && <Samples samples={curve.samples} />}
        <details className="curves-table">
          <summary>{t("curve.table")}</summary>
          <Table points={points} names={names} />
        </details>
      </div>
    </dialog>
  );
}

/** One sample, and a slider from the first to the last; while it stands at the last it follows. */
function Samples({ samples }: { samples: readonly Sample[] }) {
  const { api } = useEditor();
  const [chosen, setChosen] = useState<number | null>(null);
  const last = samples.length - 1;
  const at = Math.min(chosen ?? last, last);
  const sample = samples[at];
  if (!sample) return null;
  const words = t("curve.sample", { step: sample.step });
  return (
    <section className="curves-samples">
      <h3>{words}</h3>
      <img src={api.viewUrl(sample.file)} alt={words} />
      {last > 0 && (
        <input
          type="range"
          aria-label={t("curve.samples")}
          aria-valuetext={words}
          min={0}
          max={last}
          value={at}
          onChange={({ target }) => setChosen(target.valueAsNumber === last ? null : target.valueAsNumber)}
        />
      )}
    </section>
  );
}

function Table({ points, names }: { points: readonly CurvePoint[]; names: readonly string[] }) {
  const every = Math.ceil(points.length / ROWS) || 1;
  const rows = points.filter((_, index) => index % every === 0 || index === points.length - 1);
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">{t("curve.step")}</th>
          {names.map((name) => (
            <th key={name} scope="col">
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map(({ step, figures }) => (
          <tr key={step}>
            <th scope="row">{step}</th>
            {names.map((name) => {
              const value = figures[name];
              return <td key={name}>{value === undefined ? "" : shownFigure(value)}</td>;
            })}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
