// Widgets: what they hold at first, what fits them, and names for values stored by position.
//
// The editor's files store the values of a node's widgets in the order of its ports, required ones
// first. Two kinds of values belong to no port: what is to become of a seed follows the seed, and
// pictures to upload have a button, whose value comes last (or, in older files, after the name).

import type { InputPort, NodeDef, NumberWidget, Widget } from "./catalogue";
import type { Json, JsonObject } from "./json";
import { exact, isObject } from "./json";
import type { GraphNode, SeedMode } from "./graph";

export const SEED_MODES: readonly SeedMode[] = ["fixed", "randomize", "increment", "decrement"];
const CONTROLS: ReadonlySet<Json> = new Set([...SEED_MODES, "increment-wrap"]);
const HIDDEN_NAMES: ReadonlySet<string> = new Set([
  "control_after_generate",
  "control_before_generate",
  "upload",
  "control_filter_list",
]);
const UPLOAD = "image";
const ELSEWHERE = /\S \[(output|temp)\]$/; // a picture of another folder than the listed one

/** The inputs of a type that have a widget, in the order of its values. */
export function widgetPorts(def: NodeDef): InputPort[] {
  return def.inputs.filter((port) => port.widget !== null);
}

/** What the widget of an input shows: its value, or what it holds at first. */
export function valueOf(node: GraphNode, port: InputPort): Json {
  const value = node.values[port.name];
  return value === undefined ? (port.widget?.initial ?? null) : value;
}

/** The values that a new node of a type holds; none where there is nothing to choose from. */
export function initialValues(def: NodeDef): JsonObject {
  return present(widgetPorts(def).map((port) => [port.name, port.widget?.initial ?? null]));
}

/** What becomes of the seeds of a new node. */
export function initialSeeds(def: NodeDef): Record<string, SeedMode> {
  return Object.fromEntries(
    def.inputs.filter((port) => isSeed(port.widget)).map((port) => [port.name, "randomize"]),
  );
}

export function isSeed(widget: Widget | null): widget is NumberWidget {
  return (widget?.kind === "int" || widget?.kind === "float") && widget.seed;
}

/** The value brought within a number widget's range and to its steps. */
export function fitNumber(value: number | bigint, widget: NumberWidget): number | bigint {
  if (typeof value === "bigint" || typeof widget.max === "bigint") return fitWhole(value, widget);
  let fitted = widget.kind === "int" ? Math.round(value) : value;
  if (widget.kind === "float" && widget.round > 0) {
    const digits = Math.min(12, Math.max(0, Math.ceil(-Math.log10(widget.round))));
    fitted = Number((Math.round(fitted / widget.round) * widget.round).toFixed(digits));
  }
  if (widget.max !== null) fitted = Math.min(fitted, Number(widget.max));
  return widget.min === null ? fitted : Math.max(fitted, Number(widget.min));
}

function fitWhole(value: number | bigint, widget: NumberWidget): number | bigint {
  let whole = typeof value === "bigint" ? value : BigInt(Math.round(value));
  if (widget.max !== null && whole > BigInt(widget.max)) whole = BigInt(widget.max);
  if (widget.min !== null && whole < BigInt(widget.min)) whole = BigInt(widget.min);
  return exact(whole);
}

/** Why a value does not fit a widget, as a sentence; null if it does. */
export function valueRefusal(value: Json, widget: Widget): string | null {
  switch (widget.kind) {
    case "int":
    case "float":
      return numberRefusal(value, widget);
    case "text":
      return typeof value === "string" ? null : "This is a text";
    case "toggle":
      return typeof value === "boolean" ? null : "This is on or off";
    case "choice":
      if (widget.upload && typeof value === "string" && ELSEWHERE.test(value)) return null;
      return widget.options.includes(value) ? null : `There is no ${shown(value)} here`;
  }
}

function numberRefusal(value: Json, widget: NumberWidget): string | null {
  if (typeof value !== "number" && typeof value !== "bigint") return "This is a number";
  if (widget.kind === "int" && typeof value === "number" && !Number.isInteger(value)) {
    return "This is a whole number";
  }
  if (widget.min !== null && value < widget.min) return `At least ${widget.min}`;
  return widget.max !== null && value > widget.max ? `At most ${widget.max}` : null;
}

function shown(value: Json): string {
  return typeof value === "string" ? value : String(value);
}

/** Values by name; what becomes of seeds; how many values were left over. */
export interface Named {
  readonly values: JsonObject;
  readonly seeds: Readonly<Record<string, SeedMode>>;
  readonly surplus: number;
}

/** The values of a file by the names of a type's widgets. Null stands for no value. */
export function nameValues(given: readonly Json[] | JsonObject, ports: readonly InputPort[]): Named {
  return isObject(given) ? byName(given, ports) : byPosition(given as readonly Json[], ports);
}

function byName(given: JsonObject, ports: readonly InputPort[]): Named {
  const known = new Set(ports.map((port) => port.name));
  const entries = Object.entries(given);
  const strange = entries.filter(([name]) => !known.has(name) && !HIDDEN_NAMES.has(name));
  const seeds: Record<string, SeedMode> = {};
  const first = ports.find((port) => isSeed(port.widget));
  const mode = seedMode(given["control_after_generate"] ?? null);
  if (first && mode && mode !== "fixed") seeds[first.name] = mode;
  return {
    values: present(entries.filter(([name]) => known.has(name))),
    seeds,
    surplus: strange.length,
  };
}

function byPosition(given: readonly Json[], ports: readonly InputPort[]): Named {
  const pairs: [string, Json][] = [];
  const seeds: Record<string, SeedMode> = {};
  let at = 0;
  for (const port of ports) {
    if (at >= given.length) break;
    pairs.push([port.name, given[at] ?? null]);
    at += 1;
    const spare = given.length - at > ports.length - pairs.length;
    if (at < given.length && belongsToNoPort(given[at] ?? null, port, ports[pairs.length], spare)) {
      const mode = seedMode(given[at] ?? null);
      if (isSeed(port.widget) && mode && mode !== "fixed") seeds[port.name] = mode;
      at += 1;
    }
  }
  if (at < given.length && given[at] === UPLOAD && ports.some((port) => isUpload(port.widget))) at += 1;
  return { values: present(pairs), seeds, surplus: given.length - at };
}

function present(pairs: readonly (readonly [string, Json])[]): JsonObject {
  return Object.fromEntries(pairs.filter(([, value]) => value !== null));
}

/** Whether the value after that of `before` is not that of `following`. spare: there are more
 * values than ports left. */
function belongsToNoPort(
  value: Json,
  before: InputPort,
  following: InputPort | undefined,
  spare: boolean,
): boolean {
  if (isSeed(before.widget)) {
    if (typeof value === "boolean") return spare; // how the first editors stored it
    const unlikely = !following || !["STRING", "COMBO"].includes(following.type);
    return CONTROLS.has(value) && (spare || unlikely);
  }
  return isUpload(before.widget) && value === UPLOAD && spare && following !== undefined;
}

function isUpload(widget: Widget | null): boolean {
  return widget?.kind === "choice" && widget.upload;
}

function seedMode(value: Json): SeedMode | null {
  if (value === true) return "randomize";
  if (value === false) return "fixed";
  if (value === "increment-wrap") return "increment";
  return SEED_MODES.find((mode) => mode === value) ?? null;
}

/** The values of a node by position, as the editor's files store them. */
export function positioned(node: GraphNode, ports: readonly InputPort[]): Json[] {
  const list: Json[] = [];
  for (const port of ports) {
    list.push(node.values[port.name] ?? null);
    if (isSeed(port.widget)) list.push(node.seeds[port.name] ?? "fixed");
  }
  if (ports.some((port) => isUpload(port.widget))) list.push(UPLOAD);
  return list;
}
