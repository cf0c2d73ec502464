// Which nodes have a picture to show: it makes them higher, so the canvas has to know. The set stays
// the same object while no node gets its first picture or loses its last one.

import { useCallback, useRef, useSyncExternalStore } from "react";

import type { NodeId } from "../doc/graph";
import { useEditor } from "../state/context";
import { hasPicture } from "../state/sizes";

export function usePictured(): ReadonlySet<NodeId> {
  const { runtime } = useEditor();
  const known = useRef<ReadonlySet<NodeId>>(new Set());
  const subscribe = useCallback(
    (listener: () => void) =>
      runtime.subscribeNodes((id) => {
        if (known.current.has(id) === hasPicture(runtime.node(id))) return;
        const now = new Set(known.current);
        if (!now.delete(id)) now.add(id);
        known.current = now;
        listener();
      }),
    [runtime],
  );
  return useSyncExternalStore(subscribe, () => known.current);
}
