// A value that no widget is known for, as JSON text. What is no JSON is not taken.

import { useState } from "react";

import { formatJson, parseJson } from "../doc/json";
import type { Json } from "../doc/json";
import { t } from "../i18n/t";
import type { WidgetProps } from "./WidgetRow";

export function JsonField({ value, change, label, name }: WidgetProps<Json>) {
  const [typed, setTyped] = useState<string | null>(null);
  const good = typed === null || isJson(typed);
  const enter = (): void => {
    if (typed !== null && good) change(parseJson(typed));
    setTyped(null);
  };
  return (
    <>
      <span className="widget-name">{name}</span>
      <input
        className="line"
        type="text"
        aria-label={t("widget.json", { name: label })}
        aria-invalid={!good}
        value={typed ?? formatJson(value)}
        onChange={(event) => setTyped(event.target.value)}
        onBlur={enter}
        onKeyDown={(event) => event.key === "Enter" && enter()}
      />
    </>
  );
}

function isJson(text: string): boolean {
  try {
    parseJson(text);
    return true;
  } catch {
    return false;
  }
}
