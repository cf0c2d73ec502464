// Nodes that stay mounted out of sight: the one that has the focus, which would be lost with what is
// half typed in it, and the few that are selected.

import { useStore } from "@xyflow/react";
import type { FocusEvent } from "react";
import { useMemo, useState } from "react";

import { NOTHING } from "../state/ui";
import { frameId } from "./adapter";
import { nodeIdAround } from "./elements";

const FEW = 8; // selected nodes that are kept; more of them would cost what culling saves

export interface Held {
  /** As React Flow names them. */
  readonly held: ReadonlySet<string>;
  readonly onFocus: (event: FocusEvent) => void;
  readonly onBlur: (event: FocusEvent) => void;
}

export function useHeld(nodes: ReadonlySet<string>, groups: ReadonlySet<string>): Held {
  const [focused, setFocused] = useState<string | null>(null);
  // While a box is drawn to select nodes, what React Flow keeps mounted it takes for nodes in the box.
  const boxing = useStore(({ userSelectionActive }) => userSelectionActive);
  const held = useMemo(() => {
    if (boxing) return NOTHING;
    const few = nodes.size + groups.size <= FEW ? [...nodes, ...[...groups].map(frameId)] : [];
    return new Set(focused === null ? few : [...few, focused]);
  }, [nodes, groups, focused, boxing]);
  return {
    held,
    onFocus: ({ target, currentTarget }) => {
      // Lists that a widget opens are elsewhere on the page: the node keeps its place meanwhile.
      if (currentTarget.contains(target)) setFocused(nodeIdAround(target));
    },
    onBlur: ({ target, currentTarget, relatedTarget }) => {
      if (currentTarget.contains(target) && relatedTarget === null) setFocused(null);
    },
  };
}
