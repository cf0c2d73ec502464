// The catalogue: what the server says of its node types (GET /object_info), typed.

import type { Json, JsonObject } from "./json";
import { asList, asNumber, asObject, asText, exact, isList, isObject } from "./json";
import { NOTES, PRIMITIVE, REROUTE } from "./graph";
import { ANYTHING } from "./types";

/** min, max: inclusive, null for none. seed: it may change at each run. */
export interface NumberWidget {
  readonly kind: "int" | "float";
  readonly initial: number | bigint;
  readonly min: number | bigint | null;
  readonly max: number | bigint | null;
  readonly step: number;
  /** Multiples that values are rounded to; 0 for none. */
  readonly round: number;
  readonly seed: boolean;
}

export interface TextWidget {
  readonly kind: "text";
  readonly initial: string;
  readonly multiline: boolean;
  readonly dynamicPrompts: boolean;
  readonly placeholder: string;
}

export interface ToggleWidget {
  readonly kind: "toggle";
  readonly initial: boolean;
  readonly on: string;
  readonly off: string;
}

/** upload: the choices are pictures of the input folder, and more can be sent there. */
export interface ChoiceWidget {
  readonly kind: "choice";
  readonly initial: Json;
  readonly options: readonly Json[];
  readonly upload: boolean;
}

export type Widget = NumberWidget | TextWidget | ToggleWidget | ChoiceWidget;

/** An input. widget: null where only a cable can bring a value. */
export interface InputPort {
  readonly name: string;
  readonly type: string;
  readonly required: boolean;
  readonly optional: boolean;
  readonly widget: Widget | null;
  readonly tooltip: string;
  readonly lazy: boolean;
  readonly options: JsonObject;
}

/** An output. key: its name, with its place behind it where several have one name. */
export interface OutputPort {
  readonly key: string;
  readonly name: string;
  readonly type: string;
  readonly isList: boolean;
  readonly tooltip: string;
}

export interface NodeDef {
  readonly type: string;
  readonly title: string;
  readonly description: string;
  readonly category: string;
  readonly module: string;
  readonly inputs: readonly InputPort[];
  readonly outputs: readonly OutputPort[];
  /** It saves or shows something: graphs are run for its sake. */
  readonly output: boolean;
  readonly deprecated: boolean;
  readonly experimental: boolean;
  readonly aliases: readonly string[];
}

export type Catalogue = ReadonlyMap<string, NodeDef>;

const SEED_NAMES: ReadonlySet<string> = new Set(["seed", "noise_seed"]);

/** The node types of an /object_info answer, and those of the canvas itself. */
export function readCatalogue(answer: Json): Catalogue {
  const found = new Map<string, NodeDef>(CANVAS_TYPES.map((def) => [def.type, def]));
  for (const [type, info] of Object.entries(asObject(answer))) {
    if (isObject(info)) found.set(type, readDef(type, info));
  }
  return found;
}

function readDef(type: string, info: JsonObject): NodeDef {
  return {
    type,
    title: asText(info["display_name"]) || type,
    description: asText(info["description"]),
    category: asText(info["category"]),
    module: asText(info["python_module"]),
    inputs: readInputs(info),
    outputs: readOutputs(info),
    output: info["output_node"] === true,
    deprecated: info["deprecated"] === true,
    experimental: info["experimental"] === true,
    aliases: asList(info["search_aliases"]).filter((name) => typeof name === "string"),
  };
}

function readInputs(info: JsonObject): InputPort[] {
  const sections = asObject(info["input"]);
  const orders = asObject(info["input_order"]);
  return (["required", "optional"] as const).flatMap((section) => {
    const ports = asObject(sections[section]);
    const listed = asList(orders[section]).filter((name) => typeof name === "string");
    const order = listed.length ? listed.filter((name) => name in ports) : Object.keys(ports);
    return order.map((name) => readInput(name, asList(ports[name]), section === "optional"));
  });
}

function readInput(name: string, [shape, given]: readonly Json[], optional: boolean): InputPort {
  const options = asObject(given);
  const choices = isList(shape) ? shape : shape === "COMBO" ? asList(options["options"]) : null;
  const type = choices ? "COMBO" : asText(shape) || ANYTHING;
  const socket = options["forceInput"] === true || options["rawLink"] === true;
  return {
    name,
    type,
    required: !optional && !("default" in options),
    optional,
    widget: socket ? null : readWidget(name, type, choices, options),
    tooltip: asText(options["tooltip"]),
    lazy: options["lazy"] === true,
    options,
  };
}

function readWidget(
  name: string,
  type: string,
  choices: readonly Json[] | null,
  options: JsonObject,
): Widget | null {
  const initial = options["default"];
  switch (type) {
    case "INT":
    case "FLOAT":
      return readNumber(name, type, options);
    case "STRING":
      return {
        kind: "text",
        initial: asText(initial),
        multiline: options["multiline"] === true,
        dynamicPrompts: options["dynamicPrompts"] === true,
        placeholder: asText(options["placeholder"]),
      };
    case "BOOLEAN":
      return {
        kind: "toggle",
        initial: initial === true,
        on: asText(options["label_on"], "on"),
        off: asText(options["label_off"], "off"),
      };
    case "COMBO":
      return {
        kind: "choice",
        initial: initial ?? choices?.[0] ?? null,
        options: choices ?? [],
        upload: options["image_upload"] === true,
      };
    default:
      return null;
  }
}

function readNumber(name: string, type: "INT" | "FLOAT", options: JsonObject): NumberWidget {
  const whole = type === "INT";
  const min = limit(options["min"]);
  const zero = min !== null && min > 0 ? min : 0;
  return {
    kind: whole ? "int" : "float",
    initial: limit(options["default"]) ?? zero,
    min,
    max: limit(options["max"]),
    step: asNumber(options["step"], whole ? 1 : 0.01),
    round: asNumber(options["round"], 0),
    seed: whole && (options["control_after_generate"] === true || SEED_NAMES.has(name)),
  };
}

function limit(value: Json | undefined): number | bigint | null {
  if (typeof value === "bigint") return exact(value);
  return typeof value === "number" ? value : null;
}

function readOutputs(info: JsonObject): OutputPort[] {
  const names = asList(info["output_name"]);
  const lists = asList(info["output_is_list"]);
  const tooltips = asList(info["output_tooltips"]);
  const types = asList(info["output"]).map((type) => (isList(type) ? "COMBO" : asText(type) || ANYTHING));
  const shown = types.map((type, index) => asText(names[index]) || type);
  const keys = outputKeys(shown);
  return types.map((type, index) => ({
    key: keys[index] ?? "",
    name: shown[index] ?? "",
    type,
    isList: lists[index] === true,
    tooltip: asText(tooltips[index]),
  }));
}

/** A key for each output: its name, with its place behind it where several have one name. */
export function outputKeys(names: readonly string[]): string[] {
  return names.map((name, index) =>
    names.indexOf(name) === names.lastIndexOf(name) ? name : `${name} ${index + 1}`,
  );
}

function canvasType(
  type: string,
  title: string,
  description: string,
  inputs: InputPort[],
  outputs: OutputPort[],
): NodeDef {
  return {
    type,
    title,
    description,
    category: "canvas",
    module: "",
    inputs,
    outputs,
    output: false,
    deprecated: false,
    experimental: false,
    aliases: [],
  };
}

const port = { required: false, optional: true, tooltip: "", lazy: false, options: {} };
const TEXT: TextWidget = {
  kind: "text",
  initial: "",
  multiline: true,
  dynamicPrompts: false,
  placeholder: "",
};
const THROUGH: OutputPort = { key: "", name: "", type: ANYTHING, isList: false, tooltip: "" };

/** The types that exist on the canvas only. */
export const CANVAS_TYPES: readonly NodeDef[] = [
  canvasType(REROUTE, "Reroute", "A bend in a cable", [
    { ...port, name: "", type: ANYTHING, widget: null },
  ], [THROUGH]),
  canvasType(PRIMITIVE, "Value", "One value for several inputs", [], [THROUGH]),
  ...[...NOTES].map((type) =>
    canvasType(type, type === "Note" ? "Note" : "Markdown note", "A text for readers", [
      { ...port, name: "text", type: "STRING", widget: TEXT },
    ], []),
  ),
];
