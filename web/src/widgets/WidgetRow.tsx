// The widget of an input, by its kind. What it holds is in the document alone, since the canvas may
// unmount it at any time.

import "./widgets.css";

import { memo } from "react";

import type { InputPort } from "../doc/catalogue";
import type { GraphNode } from "../doc/graph";
import type { Json } from "../doc/json";
import { isSeed, valueOf } from "../doc/widgets";
import { ExtensionWidget } from "../ext/ExtensionWidget";
import { useExtensions } from "../ext/context";
import { widgetFor } from "../ext/registry";
import { t } from "../i18n/t";
import { setWidget } from "../state/actions";
import { useEditor } from "../state/context";
import { Choice } from "./Choice";
import { JsonField } from "./JsonField";
import { NumberField } from "./NumberField";
import { Seed } from "./Seed";
import { TextField } from "./TextField";
import { Toggle } from "./Toggle";

export interface WidgetProps<Value> {
  readonly value: Value;
  readonly change: (value: Json) => void;
  /** For screen readers: "steps of Sampler". */
  readonly label: string;
  readonly name: string;
}

export const WidgetRow = memo(function WidgetRow({
  node,
  port,
  title,
}: {
  node: GraphNode;
  port: InputPort;
  title: string;
}) {
  const editor = useEditor();
  const own = widgetFor(useExtensions(), node.type, port);
  if (Object.hasOwn(node.links, port.name)) {
    return (
      <div className="widget widget-linked">
        <span className="widget-name">{port.name}</span>
        <span>{t("widget.linked")}</span>
      </div>
    );
  }
  const value = valueOf(node, port);
  const shared = {
    change: (next: Json): void => setWidget(editor, node.id, port.name, next),
    label: `${port.name}, ${title}`,
    name: port.name,
  };
  return (
    <div className="widget nodrag" title={port.tooltip} data-kind={port.widget?.kind}>
      {own ? (
        <ExtensionWidget entry={own} port={port} node={node.id} value={value} {...shared} />
      ) : (
        <Field node={node} port={port} value={value} shared={shared} />
      )}
    </div>
  );
});

function Field({
  node,
  port: { widget, name },
  value,
  shared,
}: {
  node: GraphNode;
  port: InputPort;
  value: Json;
  shared: Omit<WidgetProps<Json>, "value">;
}) {
  switch (widget?.kind) {
    case "int":
    case "float":
      if (typeof value !== "number" && typeof value !== "bigint") break;
      if (isSeed(widget)) return <Seed {...shared} value={value} widget={widget} node={node} input={name} />;
      return <NumberField {...shared} value={value} widget={widget} />;
    case "text":
      if (typeof value !== "string") break;
      return <TextField {...shared} value={value} widget={widget} />;
    case "toggle":
      if (typeof value !== "boolean") break;
      return <Toggle {...shared} value={value} widget={widget} />;
    case "choice":
      return <Choice {...shared} value={value} widget={widget} node={node.id} />;
    case undefined:
  }
  return <JsonField {...shared} value={value} />;
}
