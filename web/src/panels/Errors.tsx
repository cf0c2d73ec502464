// What is wrong, node by node, with a way to each.

import { useCallback, useRef, useSyncExternalStore } from "react";

import type { NodeId } from "../doc/graph";
import { titleOf } from "../doc/ports";
import { ExtensionFailures } from "../ext/ExtensionPanel";
import { useExtensions } from "../ext/context";
import { t } from "../i18n/t";
import { useEditor } from "../state/context";
import type { Runtime } from "../state/runtime";
import { select } from "../state/ui";

export interface Trouble {
  readonly node: NodeId;
  readonly input: string | null;
  readonly text: string;
}

function troublesOf(runtime: Runtime): Trouble[] {
  return [...runtime.nodes()].flatMap(([node, { failure, faults }]) => [
    ...(failure ? [{ node, input: null, text: failure.message }] : []),
    ...faults.map(({ input, message, details }) => ({
      node,
      input,
      text: details ? `${message}: ${details}` : message,
    })),
  ]);
}

/** All that is wrong; the same list while nothing of it changes. */
export function useTroubles(): readonly Trouble[] {
  const { runtime } = useEditor();
  const known = useRef<readonly Trouble[]>([]);
  const subscribe = useCallback((listener: () => void) => runtime.subscribeNodes(listener), [runtime]);
  return useSyncExternalStore(subscribe, () => {
    const now = troublesOf(runtime);
    if (JSON.stringify(now) !== JSON.stringify(known.current)) known.current = now;
    return known.current;
  });
}

export function Errors() {
  const editor = useEditor();
  const troubles = useTroubles();
  const broken = useExtensions().failures.length;
  if (!troubles.length && !broken) return <p className="none">{t("errors.none")}</p>;
  const go = (id: NodeId): void => {
    select(editor.ui, [id]);
    editor.canvas?.fit([id]);
  };
  return (
    <>
      {troubles.length > 0 && (
        <ul className="errors">
          {troubles.map(({ node, input, text }) => {
            const found = editor.graph.nodes.get(node);
            const name = found ? titleOf(found, editor.catalogue.get(found.type)) : node;
            return (
              <li key={`${node} ${input ?? ""} ${text}`}>
                <strong>{input === null ? name : `${name} · ${input}`}</strong>
                <p>{text}</p>
                <button type="button" onClick={() => go(node)}>
                  {t("errors.goto", { name })}
                </button>
              </li>
            );
          })}
        </ul>
      )}
      <ExtensionFailures />
    </>
  );
}
