// What the page shows beside the graph: selection, panels, the palette, words to the user. None of it
// is part of the document.

import type { StoreApi } from "zustand/vanilla";
import { createStore } from "zustand/vanilla";

import type { Drawn } from "../doc/connect";
import type { GroupId, NodeId, Point } from "../doc/graph";
import type { FileRef } from "../protocol/shapes";

export type PanelName = "templates" | "queue" | "gallery" | "errors";
export type Theme = "auto" | "dark" | "light";
export type Density = "normal" | "compact";

/** The search for a node to add. at: on the screen; position: on the canvas, where it comes to lie.
 * drawn: the cable that was let go there. */
export interface Palette {
  readonly at: Point;
  readonly position: Point;
  readonly drawn: Drawn | null;
}

/** A cable that is drawn. ports: where it may go, by node, as the canvas names them. cable: the one
 * that was taken out of its input, with the point where it begins. */
export interface Drawing {
  readonly type: string;
  readonly ports: ReadonlyMap<NodeId, ReadonlySet<string>>;
  readonly cable: string | null;
  readonly start: Point | null;
}

/** A picture shown large. job: whose it is, if that is known. */
export interface Shown {
  readonly file: FileRef;
  readonly job: string | null;
}

/** Words to the user, until they are dismissed or, if they are no problem, for some seconds. */
export interface Saying {
  readonly id: number;
  readonly text: string;
  readonly problem: boolean;
}

export interface UiState {
  readonly nodes: ReadonlySet<NodeId>;
  readonly groups: ReadonlySet<GroupId>;
  /** Names of cables (cableId). */
  readonly cables: ReadonlySet<string>;
  readonly palette: Palette | null;
  readonly panel: PanelName | null;
  readonly keys: boolean;
  readonly shown: Shown | null;
  readonly drawing: Drawing | null;
  readonly sayings: readonly Saying[];
  /** What the graph is called, "" before it has a name. */
  readonly name: string;
  readonly recent: readonly string[];
  readonly theme: Theme;
  readonly density: Density;
  readonly minimap: boolean;
}

export type UiStore = StoreApi<UiState>;

const KEPT = ["recent", "theme", "density", "minimap"] as const;
const PLACE = "nodegraph.page";
const SHOWN = 5000; // milliseconds

export const NOTHING: ReadonlySet<string> = new Set();

/** The store. What the user chose for good is kept in `storage`. */
export function makeUiStore(storage: Pick<Storage, "getItem" | "setItem">): UiStore {
  const store = createStore<UiState>(() => ({
    nodes: NOTHING,
    groups: NOTHING,
    cables: NOTHING,
    palette: null,
    panel: null,
    keys: false,
    shown: null,
    drawing: null,
    sayings: [],
    name: "",
    recent: [],
    theme: "auto",
    density: "normal",
    minimap: false,
    ...kept(storage),
  }));
  store.subscribe((now, before) => {
    if (KEPT.every((name) => now[name] === before[name])) return;
    const chosen = Object.fromEntries(KEPT.map((name) => [name, now[name]]));
    try {
      storage.setItem(PLACE, JSON.stringify(chosen));
    } catch {
      // A full or forbidden storage: it is forgotten at the end, and nothing else.
    }
  });
  return store;
}

function kept(storage: Pick<Storage, "getItem">): Partial<UiState> {
  try {
    const data: unknown = JSON.parse(storage.getItem(PLACE) ?? "{}");
    if (typeof data !== "object" || data === null) return {};
    const { recent, theme, density, minimap } = data as Record<string, unknown>;
    return {
      ...(Array.isArray(recent) ? { recent: recent.filter((each) => typeof each === "string") } : {}),
      ...(theme === "dark" || theme === "light" ? { theme } : {}),
      ...(density === "compact" ? { density } : {}),
      ...(typeof minimap === "boolean" ? { minimap } : {}),
    };
  } catch {
    return {};
  }
}

/** Selects these and nothing else. */
export function select(ui: UiStore, nodes: Iterable<NodeId>, groups: Iterable<GroupId> = []): void {
  ui.setState({ nodes: new Set(nodes), groups: new Set(groups), cables: NOTHING });
}

/** Tells the user something. */
export function say(ui: UiStore, text: string, problem = false): void {
  const id = Math.max(0, ...ui.getState().sayings.map((each) => each.id)) + 1;
  const others = ui.getState().sayings.filter((each) => each.text !== text).slice(-3);
  ui.setState({ sayings: [...others, { id, text, problem }] });
  if (!problem) setTimeout(() => dismiss(ui, id), SHOWN);
}

export function dismiss(ui: UiStore, id: number): void {
  ui.setState(({ sayings }) => ({ sayings: sayings.filter((each) => each.id !== id) }));
}
