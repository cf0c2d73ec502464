// The choice of what makes a ControlNet's hint of a picture.

import { useMemo } from "react";

import { lookOf } from "../canvas/looks";
import type { NodeDef } from "../doc/catalogue";
import { preprocessors } from "../doc/controlnet";
import { fuzzy } from "../doc/search";
import { t } from "../i18n/t";
import { useCatalogue, useEditor, useUi } from "../state/context";
import { steerBy } from "../state/steering";
import type { Hinting } from "../state/ui";
import type { SearchRow } from "./SearchBox";
import { SearchBox } from "./SearchBox";

/** def: null for the picture as it is. */
interface Row extends SearchRow {
  readonly def: NodeDef | null;
}

export function HintChoice() {
  const hinting = useUi((state) => state.hinting);
  return hinting && <Choice hinting={hinting} />;
}

function Choice({ hinting }: { hinting: Hinting }) {
  const editor = useEditor();
  const catalogue = useCatalogue();
  const rows = useMemo<readonly Row[]>(() => {
    const color = lookOf("IMAGE").color;
    const found = preprocessors(catalogue ?? new Map());
    return [
      ...found.map((def) => ({
        def, key: def.type, title: def.title, places: [], detail: def.category, color, hint: def.description,
      })),
      { def: null, key: "", title: t("hint.as-is"), places: [], detail: "", color, hint: t("hint.as-is.about") },
    ];
  }, [catalogue]);
  const close = (): void => editor.ui.setState({ hinting: null });
  return (
    <SearchBox<Row>
      at={hinting.at}
      label={t("hint.title")}
      placeholder={t("hint.how")}
      results={t("hint.how")}
      none={t("palette.none")}
      search={(query) => matching(rows, query)}
      choose={({ def }) => {
        close();
        steerBy(editor, hinting, def);
      }}
      close={close}
    />
  );
}

/** The rows in which every word is found, in their order. */
function matching(rows: readonly Row[], query: string): readonly Row[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  return rows.flatMap((row) => {
    const hits = words.map((word) => fuzzy(row.title, word) ?? fuzzy(row.detail, word));
    if (hits.some((hit) => hit === null)) return [];
    const places = words.flatMap((word) => fuzzy(row.title, word)?.places ?? []);
    return [{ ...row, places: [...new Set(places)].sort((a, b) => a - b) }];
  });
}
