// The editor for components, and parts of it as hooks: each renders a component anew only when that
// part has changed.

import { createContext, useCallback, useContext, useSyncExternalStore } from "react";
import { useStore } from "zustand";

import type { Catalogue } from "../doc/catalogue";
import type { Graph, NodeId } from "../doc/graph";
import type { Editor } from "./editor";
import type { JobRun, NodeRun } from "./runtime";
import type { UiState } from "./ui";

export const EditorContext = createContext<Editor | null>(null);

export function useEditor(): Editor {
  const editor = useContext(EditorContext);
  if (!editor) throw new Error("there is no EditorContext around this component");
  return editor;
}

export function useGraph(): Graph {
  const { document } = useEditor();
  return useSyncExternalStore(
    useCallback((listener) => document.subscribe(listener), [document]),
    () => document.graph,
  );
}

export function useCatalogue(): Catalogue | null {
  return useStore(useEditor().server, ({ catalogue }) => catalogue);
}

export function useUi<T>(part: (state: UiState) => T): T {
  return useStore(useEditor().ui, part);
}

export function useNodeRun(id: NodeId): NodeRun {
  const { runtime } = useEditor();
  return useSyncExternalStore(
    useCallback((listener) => runtime.subscribeNode(id, listener), [runtime, id]),
    () => runtime.node(id),
  );
}

/** The run that the nodes show. */
export function useShownJob(): JobRun | null {
  const { runtime } = useEditor();
  return useSyncExternalStore(
    useCallback((listener) => runtime.subscribe(listener), [runtime]),
    () => runtime.shownJob,
  );
}

/** The id of the run that can be cancelled; null if there is none. */
export function useCurrentJob(): string | null {
  const editor = useEditor();
  return useSyncExternalStore(
    useCallback((listener) => editor.runtime.subscribe(listener), [editor]),
    () => editor.current(),
  );
}
