// What the page shows beside the graph: selection, panels, the palette, words to the user. None of it
// is part of the document.

import type { StoreApi } from "zustand/vanilla";
import { createStore } from "zustand/vanilla";

import type { Drawn } from "../doc/connect";
import type { GroupId, NodeId, Point } from "../doc/graph";
import type { FileRef } from "../protocol/shapes";

export type PanelName = "templates" | "queue" | "gallery" | "errors";
/** A panel of an extension, by the id it is registered with. */
export type ExtensionPanelName = `ext:${string}`;
export type Theme = "auto" | "dark" | "light";
export type Keymap = Readonly<Record<string, readonly string[]>>;
export type Density = "normal" | "compact";

/** The search for a node to add. at: on the screen; position: on the canvas, where it comes to lie.
 * drawn: the cable that was let go there. */
export interface Palette {
  readonly at: Point;
  readonly position: Point;
  readonly drawn: Drawn | null;
  /** It was asked for by keys, at a port: the node gets the focus. */
  readonly joined?: boolean;
}

/** A cable that is drawn. ports: where it may go, by node, as the canvas names them. cable: the one
 * that was taken out of its input, with the point where it begins. */
export interface Drawing {
  readonly type: string;
  readonly ports: ReadonlyMap<NodeId, ReadonlySet<string>>;
  readonly cable: string | null;
  readonly start: Point | null;
}

/** A node or a group. */
export interface Thing {
  readonly kind: "node" | "group";
  readonly id: string;
}

/** A menu, for what was asked for it. at: on the screen; position: on the canvas. */
export interface Menu {
  readonly at: Point;
  readonly position: Point;
  readonly about: "node" | "group" | "cable" | "canvas";
}

/** The list of ends that a cable may go to. at: on the screen; from: where it begins or ends. */
export interface Joining {
  readonly at: Point;
  readonly from: Drawn;
}

/** The choice of what makes a hint of a picture. at: on the screen; node: where the picture is; file:
 * a picture of the server's, which no node of the graph gives. */
export interface Hinting {
  readonly at: Point;
  readonly node: NodeId | null;
  readonly file: FileRef | null;
}

/** A picture. job, node: whose it is, if that is known. */
export interface Picture {
  readonly file: FileRef;
  readonly job: string | null;
  readonly node?: NodeId | null;
}

/** A picture shown large. among: the list that it is in. */
export interface Shown extends Picture {
  readonly among?: readonly Picture[];
}

/** The brush for masks. size: its diameter, as a share of the picture's shorter side. */
export interface BrushChoice {
  readonly size: number;
  readonly softness: number;
  readonly strength: number;
}

/** Words to the user, until they are dismissed or, if they are no problem, for some seconds. */
export interface Saying {
  readonly id: number;
  readonly text: string;
  readonly problem: boolean;
  /** What can be done about it. */
  readonly act: Act | null;
}

export interface Act {
  readonly label: string;
  readonly run: () => void;
}

export interface UiState {
  readonly nodes: ReadonlySet<NodeId>;
  readonly groups: ReadonlySet<GroupId>;
  /** Names of cables (cableId). */
  readonly cables: ReadonlySet<string>;
  readonly palette: Palette | null;
  readonly panel: PanelName | ExtensionPanelName | null;
  readonly keys: boolean;
  readonly settings: boolean;
  /** Whether a node of the graph is looked for. */
  readonly finding: boolean;
  readonly menu: Menu | null;
  readonly joining: Joining | null;
  /** The subgraph that is looked into: the node, the node within that, and so on. */
  readonly inside: readonly NodeId[] | null;
  /** What gets another title. */
  readonly renaming: Thing | null;
  /** What was said last to those who do not see the page. */
  readonly heard: string;
  readonly hinting: Hinting | null;
  /** Nodes that run anew by themselves (live.ts). */
  readonly live: ReadonlySet<NodeId>;
  readonly shown: Shown | null;
  /** Pictures chosen to be compared, two at most; and those that are. */
  readonly marked: readonly Picture[];
  readonly compared: readonly [Picture, Picture] | null;
  /** The node on whose picture a mask is painted. */
  readonly masking: NodeId | null;
  readonly brush: BrushChoice;
  readonly drawing: Drawing | null;
  readonly sayings: readonly Saying[];
  /** What the graph is called, "" before it has a name. */
  readonly name: string;
  readonly recent: readonly string[];
  readonly theme: Theme;
  readonly density: Density;
  readonly minimap: boolean;
  /** The node whose curves are shown large. */
  readonly curve: NodeId | null;
  /** Whether curves have a logarithmic axis, and what their moving average keeps, in [0, 1). */
  readonly curveLog: boolean;
  readonly curveSmooth: number;
  /** Keys that the user changed, by command. */
  readonly keymap: Keymap;
}

export type UiStore = StoreApi<UiState>;

const KEPT = ["recent", "theme", "density", "minimap", "keymap", "curveLog", "curveSmooth"] as const;
const PLACE = "nodegraph.page";
const SHOWN = 5000; // milliseconds
const OFFERED = 20_000; // of what can be done about it

export const extensionPanel = (id: string): ExtensionPanelName => `ext:${id}`;

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
    settings: false,
    finding: false,
    menu: null,
    joining: null,
    inside: null,
    renaming: null,
    heard: "",
    hinting: null,
    live: NOTHING,
    shown: null,
    marked: [],
    compared: null,
    masking: null,
    brush: { size: 0.12, softness: 0.25, strength: 1 },
    drawing: null,
    sayings: [],
    name: "",
    recent: [],
    theme: "auto",
    density: "normal",
    minimap: false,
    curve: null,
    curveLog: true,
    curveSmooth: 0.8,
    keymap: {},
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
    const { recent, theme, density, minimap, keymap, curveLog, curveSmooth } = data as Record<string, unknown>;
    return {
      ...(Array.isArray(recent) ? { recent: recent.filter((each) => typeof each === "string") } : {}),
      ...(theme === "dark" || theme === "light" ? { theme } : {}),
      ...(density === "compact" ? { density } : {}),
      ...(typeof minimap === "boolean" ? { minimap } : {}),
      ...(typeof curveLog === "boolean" ? { curveLog } : {}),
      ...(typeof curveSmooth === "number" && curveSmooth >= 0 && curveSmooth < 1 ? { curveSmooth } : {}),
      keymap: readKeymap(keymap),
    };
  } catch {
    return {};
  }
}

/** A map of keys as it was kept; what is none of it is left out. */
export function readKeymap(data: unknown): Keymap {
  if (typeof data !== "object" || data === null || Array.isArray(data)) return {};
  const isText = (each: unknown): each is string => typeof each === "string";
  return Object.fromEntries(
    Object.entries(data as Record<string, unknown>).flatMap(([id, keys]) =>
      Array.isArray(keys) && keys.every(isText) ? [[id, keys]] : [],
    ),
  );
}

/** Tells something to those who do not see the page. */
export function announce(ui: UiStore, text: string): void {
  // What is said again has to differ, or else nobody hears it.
  ui.setState(({ heard }) => ({ heard: heard === text ? `${text}\u00a0` : text }));
}

/** Selects these and nothing else. */
export function select(ui: UiStore, nodes: Iterable<NodeId>, groups: Iterable<GroupId> = []): void {
  ui.setState({ nodes: new Set(nodes), groups: new Set(groups), cables: NOTHING });
}

/** Tells the user something. */
export function say(ui: UiStore, text: string, problem = false, act: Act | null = null): void {
  const id = Math.max(0, ...ui.getState().sayings.map((each) => each.id)) + 1;
  const others = ui.getState().sayings.filter((each) => each.text !== text).slice(-3);
  ui.setState({ sayings: [...others, { id, text, problem, act }] });
  if (!problem) setTimeout(() => dismiss(ui, id), act ? OFFERED : SHOWN);
}

export function dismiss(ui: UiStore, id: number): void {
  ui.setState(({ sayings }) => ({ sayings: sayings.filter((each) => each.id !== id) }));
}
