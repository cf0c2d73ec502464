// A seed: a number, what becomes of it at each run, and the way back to that of the last run.

import type { NumberWidget } from "../doc/catalogue";
import type { GraphNode, SeedMode } from "../doc/graph";
import { SEED_MODES } from "../doc/widgets";
import { t } from "../i18n/t";
import { keepLastSeed, setSeed } from "../state/actions";
import { useEditor, useShownJob } from "../state/context";
import { NumberField } from "./NumberField";
import type { WidgetProps } from "./WidgetRow";

export function Seed({
  node,
  input,
  ...field
}: WidgetProps<number | bigint> & { widget: NumberWidget; node: GraphNode; input: string }) {
  const editor = useEditor();
  useShownJob(); // there may be a last seed now
  const last = editor.lastSeed(node.id, input);
  const mode = node.seeds[input] ?? "fixed";
  return (
    <>
      <NumberField {...field} />
      <select
        className="seed-mode"
        aria-label={t("seed.mode", { name: field.label })}
        value={mode}
        onChange={(event) => setSeed(editor, node.id, input, event.target.value as SeedMode)}
      >
        {SEED_MODES.map((each) => (
          <option key={each} value={each}>
            {t(`seed.${each}`)}
          </option>
        ))}
      </select>
      {last !== null && (last !== field.value || mode !== "fixed") && (
        <button
          type="button"
          className="step"
          aria-label={t("seed.last")}
          title={t("seed.last.hint", { seed: last })}
          onClick={() => keepLastSeed(editor, node.id, input)}
        >
          ↺
        </button>
      )}
    </>
  );
}
