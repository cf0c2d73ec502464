// What an extension of the page is given, and what it gives: version 1 of the interface.
//
// An extension is a module that a plugin names under `web` in its plugin.yaml. The page imports it
// and calls its `setup(api)`. For an editor to know the types, put this file beside it:
//
//   /** @param {import("./extension").Api} api */
//   export function setup(api) { ... }
//
// Within version 1 things are added and none is taken away or changed.

/** What may stand in a graph. Whole numbers beyond 2^53, as seeds may be, are bigint. */
export type Json = null | boolean | number | bigint | string | readonly Json[] | { readonly [name: string]: Json };

/** A module of a plugin. */
export interface Extension {
  /** The version of the interface that it needs; the page's own must be the same or higher. */
  readonly needs?: number;
  /** Called once. If it throws or rejects, nothing that it has registered stays. */
  setup(api: Api): void | Promise<void>;
}

export interface Api {
  readonly version: 1;
  /** The name of the plugin. */
  readonly plugin: string;
  /** Draws the inputs that fit `place` with a widget of the extension's own. Of several widgets that
   * fit an input the one that was registered last is taken. */
  registerWidget(place: WidgetPlace, widget: Widget): void;
  /** Adds a panel to those at the side. */
  registerPanel(panel: Panel): void;
  /** Calls the listener whenever something happens; the function returned ends that. */
  onEvent<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void;
  readonly graph: GraphAccess;
  readonly runs: RunAccess;
  /** Tells the user something. problem: until it is dismissed. */
  say(text: string, problem?: boolean): void;
  /** The address of a file in the plugin's folder `web`. */
  urlOf(file: string): string;
}

// -- widgets ----------------------------------------------------------------------------------------

/** Which inputs: all that is given has to fit. node: a node type; type: of the port, as "INT". */
export interface WidgetPlace {
  readonly node?: string;
  readonly input?: string;
  readonly type?: string;
}

export interface Widget {
  /** Draws the input into `host`, which has the name of the input beside it and the height of a row,
   * of a long text's if that is what it is. It holds nothing of its own: the value is in the graph,
   * and the page removes the widget whenever its node is out of sight. */
  mount(host: HTMLElement, input: WidgetInput): WidgetView | void;
}

export interface WidgetInput {
  readonly value: Json;
  /** Changes the value. Changes in a row are one step to undo. */
  set(value: Json): void;
  readonly port: PortInfo;
  /** The id of the node. */
  readonly node: string;
  /** What to call it for those who hear the page: "color, Empty Image". */
  readonly label: string;
}

export interface WidgetView {
  /** The value is another: the user undid something, or another widget set it. */
  update?(value: Json): void;
  /** The widget is removed. */
  destroy?(): void;
}

// -- panels -----------------------------------------------------------------------------------------

export interface Panel {
  /** Unique in the plugin: letters, digits, `_` and `-`. */
  readonly id: string;
  readonly title: string;
  /** A character or two to be shown as its icon, or the address of a picture (see urlOf). */
  readonly icon?: string;
  /** Draws the panel when it is opened. The function returned is called when it is closed. */
  mount(host: HTMLElement): void | (() => void);
}

// -- the graph --------------------------------------------------------------------------------------

export interface GraphAccess {
  nodes(): readonly NodeInfo[];
  node(id: string): NodeInfo | null;
  /** The ids of the nodes that are selected. */
  selection(): readonly string[];
  /** All node types of the server. */
  types(): readonly TypeInfo[];
  /** Changes the graph: all that `work` does is one step to undo, called `label`. If it throws,
   * nothing is changed. */
  change(label: string, work: (edit: Edit) => void): void;
}

/** Each throws an Error that says why if it cannot be done. */
export interface Edit {
  /** The id of the new node. */
  addNode(type: string, position: { readonly x: number; readonly y: number }): string;
  removeNode(id: string): void;
  setValue(id: string, input: string, value: Json): void;
  setTitle(id: string, title: string): void;
  connect(from: { readonly node: string; readonly output: string }, to: { readonly node: string; readonly input: string }): void;
  disconnect(id: string, input: string): void;
}

export interface NodeInfo {
  readonly id: string;
  readonly type: string;
  readonly title: string;
  readonly position: { readonly x: number; readonly y: number };
  /** What its widgets show, by input. */
  readonly values: { readonly [input: string]: Json };
  /** Where its inputs get their values from, if that is a cable. */
  readonly links: { readonly [input: string]: { readonly node: string; readonly output: string } };
}

export interface TypeInfo {
  readonly type: string;
  readonly title: string;
  readonly category: string;
  readonly inputs: readonly PortInfo[];
  readonly outputs: readonly { readonly key: string; readonly name: string; readonly type: string }[];
}

export interface PortInfo {
  readonly name: string;
  readonly type: string;
  readonly required: boolean;
  readonly tooltip: string;
  /** What the server says of it: "min", "max", "step", "default", "options" ... */
  readonly options: { readonly [name: string]: Json };
}

// -- runs -------------------------------------------------------------------------------------------

export interface RunAccess {
  node(id: string): NodeRunInfo;
  /** The run that the nodes show; null before the first. */
  current(): RunInfo | null;
}

export interface NodeRunInfo {
  readonly state: "idle" | "running" | "done" | "cached" | "error";
  readonly value: number;
  readonly max: number;
  /** What it showed, as {"images": [{"filename", "subfolder", "type"}]}. */
  readonly output: { readonly [name: string]: Json } | null;
  readonly error: string | null;
}

export interface RunInfo {
  readonly id: string;
  readonly state: "pending" | "running" | "success" | "error" | "interrupted" | "lost";
}

/** What `onEvent` tells. */
export interface Events {
  /** The graph has changed. */
  graph: Record<string, never>;
  /** Other nodes are selected. */
  selection: { readonly nodes: readonly string[] };
  /** A node has begun, has come further, has ended. */
  node: { readonly id: string };
  /** A run has begun or ended. */
  run: RunInfo;
}
