// A seed: a number, what becomes of it at each run, and the way back to those of the last runs.

import { useRef, useState } from "react";

import type { NumberWidget } from "../doc/catalogue";
import type { GraphNode, SeedMode } from "../doc/graph";
import { SEED_MODES } from "../doc/widgets";
import { t } from "../i18n/t";
import { keepLastSeed, keepSeed, setSeed } from "../state/actions";
import { useEditor, useShownJob } from "../state/context";
import { List } from "./Choice";
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
      <Earlier node={node.id} input={input} label={field.label} value={field.value} />
    </>
  );
}

/** The seeds of earlier runs, once there are several. */
function Earlier({ node, input, label, value }: { node: string; input: string; label: string; value: number | bigint }) {
  const editor = useEditor();
  const button = useRef<HTMLButtonElement>(null);
  const [place, setPlace] = useState<DOMRect | null>(null);
  const seeds = editor.seedHistory(node, input);
  if (seeds.length < 2) return null;
  const name = t("seed.history", { name: label });
  return (
    <>
      <button
        ref={button}
        type="button"
        className="step"
        aria-haspopup="listbox"
        aria-expanded={place !== null}
        aria-label={name}
        title={name}
        onClick={(event) => setPlace(event.currentTarget.getBoundingClientRect())}
      >
        ▾
      </button>
      {place && (
        <List
          place={place}
          label={name}
          options={seeds}
          value={value}
          choose={(seed) => {
            if (typeof seed === "number" || typeof seed === "bigint") keepSeed(editor, node, input, seed);
            setPlace(null);
            button.current?.focus();
          }}
        />
      )}
    </>
  );
}
