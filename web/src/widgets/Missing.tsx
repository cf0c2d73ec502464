// A node whose type the server does not have: it stays with all that is known of it, says what is
// missing and, if a plugin has it, why that is not loaded, and offers types of near names.

import { useEffect, useState } from "react";
import type { ReactNode } from "react";

import { replaceType } from "../doc/edit";
import type { GraphNode } from "../doc/graph";
import { hasInside } from "../doc/inside";
import { nearTypes } from "../doc/near";
import { isSubgraph } from "../doc/open";
import { t } from "../i18n/t";
import type { Api, PluginInfo } from "../protocol/http";
import { useCatalogue, useEditor } from "../state/context";

const asked = new WeakMap<Api, Promise<readonly PluginInfo[]>>();

/** trouble: what is wrong in it, which of an instance of a subgraph is all there is to say. */
export function Missing({ node, trouble }: { node: GraphNode; trouble: ReactNode }) {
  const editor = useEditor();
  const catalogue = useCatalogue();
  const plugin = usePluginOf(node.type);
  if (isSubgraph(node, editor.graph)) {
    return trouble ?? (
      <div className="node-missing nodrag" role="note" data-mild>
        <p>{t("missing.subgraph")}</p>
        {hasInside(editor.graph, node) && (
          <button type="button" onClick={() => editor.ui.setState({ inside: [node.id] })}>
            {t("inside.open")}
          </button>
        )}
      </div>
    );
  }
  const near = catalogue ? nearTypes(node.type, catalogue) : [];
  const values = Object.keys(node.values).length + node.unnamed.length;
  const cables = Object.keys(node.links).length;
  return (
    <div className="node-missing nodrag nowheel" role="note">
      <p>
        <strong>{t("missing.type", { type: node.type })}</strong>{" "}
        {plugin && t("missing.plugin", { name: plugin.name, reason: plugin.reason || plugin.state })}{" "}
        {t("missing.kept", { values, cables })}
      </p>
      {near.map((def) => (
        <button
          key={def.type}
          type="button"
          onClick={() =>
            editor.document.apply(t("missing.replace", { name: def.title }), (graph) => replaceType(graph, node.id, def))
          }
        >
          {t("missing.replace", { name: def.title })}
        </button>
      ))}
    </div>
  );
}

/** The plugin that has the node type, but is not loaded. */
function usePluginOf(type: string): PluginInfo | undefined {
  const { api } = useEditor();
  const [plugins, setPlugins] = useState<readonly PluginInfo[]>([]);
  useEffect(() => {
    let here = true;
    const answer = asked.get(api) ?? api.plugins();
    asked.set(api, answer);
    answer.then(
      (found) => here && setPlugins(found),
      () => asked.delete(api), // it is asked again the next time
    );
    return () => {
      here = false;
    };
  }, [api]);
  return plugins.find(({ state, nodes }) => state !== "loaded" && nodes.includes(type));
}
