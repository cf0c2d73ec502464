// Files of the ecosystem's editor ("workflow" format): JSON in, a Graph out. What this program does
// not know is kept in `extra`, to be written back. Throws FileProblem, which says where.

import type { Catalogue } from "./catalogue";
import type { Graph, GraphNode, Group, Mode, NodeId, Point, Size, Source, StoredPort } from "./graph";
import { NOTES, PRIMITIVE, graphOf, idMaker } from "./graph";
import type { Json, JsonObject } from "./json";
import { asList, asNumber, asObject, asText, isList, isObject } from "./json";
import { inputName, outputKey, portsOf } from "./ports";
import type { ReadBend } from "./bends";
import { bendsOf, withBends } from "./bends";
import { SEED_MODES, nameValues, widgetPorts } from "./widgets";

/** What is wrong with a file, as a sentence. */
export class FileProblem extends Error {}

/** A graph that was read, and what was guessed or lost, as sentences. arranged: the file said where
 * the nodes are. */
export interface Opened {
  readonly graph: Graph;
  readonly warnings: readonly string[];
  readonly arranged: boolean;
}

/** A cable of a file. bend: the reroute drawn on it next to its end, in newer files. */
export interface ReadLink {
  readonly id: string;
  readonly source: NodeId;
  readonly slot: number;
  readonly target: NodeId;
  readonly bend: string | null;
}

const MODES: Readonly<Record<string, Mode>> = { "2": "muted", "4": "bypassed" };
const NODE_FIELDS: ReadonlySet<string> = new Set([
  "id", "type", "pos", "size", "flags", "mode", "inputs", "outputs", "title", "color", "bgcolor",
  "widgets_values", "order", "properties",
]);
const GROUP_FIELDS: ReadonlySet<string> = new Set(["id", "title", "bounding", "color"]);
const GRAPH_FIELDS: ReadonlySet<string> = new Set([
  "nodes", "links", "floatingLinks", "groups", "reroutes", "last_node_id", "last_link_id", "state", "version",
]);

/** Whether data is in the editor's format. */
export function isEditorFile(data: Json): data is JsonObject {
  return isObject(data) && isList(data["nodes"]);
}

/** The graph of a parsed file. */
export function fromEditor(data: Json, catalogue: Catalogue): Opened {
  if (!isEditorFile(data)) throw new FileProblem('This is no workflow: it has no list "nodes"');
  const warnings: string[] = [];
  const bends = bendsOf(data);
  const links = new Map(readLinks(data, bends).map((link) => [link.id, link]));
  const entries = objects(data["nodes"], "nodes");
  const nodes = new Map<NodeId, GraphNode>();
  for (const [index, entry] of entries.entries()) {
    const node = readNode(entry, `nodes[${index}]`, catalogue, warnings);
    if (nodes.has(node.id)) throw new FileProblem(`nodes[${index}]: another node has the id ${node.id}`);
    nodes.set(node.id, node);
  }
  const wired = wire(entries, nodes, links, catalogue, warnings);
  const graph = graphOf(wired.nodes, readGroups(data), graphExtra(data));
  const arranged = entries.every((entry) => point(entry["pos"]) !== null);
  return { graph: withBends(graph, bends, wired.bent), warnings, arranged };
}

function readNode(data: JsonObject, where: string, catalogue: Catalogue, warnings: string[]): GraphNode {
  const type = asText(data["type"]);
  if (!type) throw new FileProblem(`${where}.type is missing: give the name of a node type`);
  const id = readId(data["id"], `${where}.id`);
  const flags = asObject(data["flags"]);
  const mode = MODES[String(data["mode"])] ?? "normal";
  const ports = { inputs: storedPorts(data["inputs"]), outputs: storedPorts(data["outputs"]) };
  const node: GraphNode = {
    id,
    type,
    ...readValues(data, id, type, catalogue, warnings),
    links: {},
    position: point(data["pos"]) ?? { x: 0, y: 0 },
    size: ours(data)["fitted"] === true ? null : readSize(data["size"]),
    title: asText(data["title"]),
    color: asText(data["bgcolor"]) || asText(data["color"]),
    mode,
    collapsed: flags["collapsed"] === true,
    pinned: flags["pinned"] === true,
    ports: catalogue.has(type) ? null : ports,
    extra: readExtra(data, flags, mode),
  };
  return node.title === catalogue.get(type)?.title ? { ...node, title: "" } : node;
}

type Held = Pick<GraphNode, "values" | "seeds" | "unnamed">;

function readValues(
  data: JsonObject,
  id: NodeId,
  type: string,
  catalogue: Catalogue,
  warnings: string[],
): Held {
  const given = data["widgets_values"] ?? [];
  const def = catalogue.get(type);
  const strays = asObject(ours(data)["values"]);
  if (type === PRIMITIVE) return primitive(given);
  if (!def) {
    const named = isObject(given) ? given : {};
    return { values: { ...named, ...strays }, seeds: {}, unnamed: asList(given) };
  }
  const list = isObject(given) || isList(given) ? given : [];
  const named = nameValues(list, widgetPorts(def));
  if (named.surplus && !NOTES.has(type)) {
    const what = `${named.surplus} of its widget values are left over`;
    warnings.push(`node ${id} (${type}): ${what}; was it saved with another version of the node?`);
  }
  return { values: { ...named.values, ...strays }, seeds: named.seeds, unnamed: [] };
}

function primitive(given: Json): Held {
  const list = isObject(given) ? Object.values(given) : asList(given);
  const [value, control] = list;
  const mode = SEED_MODES.find((each) => each === control);
  return {
    values: value === undefined || value === null ? {} : { value },
    seeds: mode && mode !== "fixed" ? { value: mode } : {},
    unnamed: list.slice(mode ? 2 : 1),
  };
}

/** What this program itself wrote into a node's properties. */
function ours(data: JsonObject): JsonObject {
  return asObject(asObject(data["properties"])["nodegraph"]);
}

function readProperties(data: JsonObject): JsonObject {
  const more = kept(ours(data), new Set(["fitted", "values"]));
  const rest = kept(asObject(data["properties"]), new Set(["nodegraph"]));
  return Object.keys(more).length ? { ...rest, nodegraph: more } : rest;
}

function graphExtra(data: JsonObject): JsonObject {
  const isBlank = (name: string): boolean => {
    const value = data[name];
    return isObject(value) && !Object.keys(value).length;
  };
  return kept(data, new Set([...GRAPH_FIELDS, ...["config", "extra"].filter(isBlank)]));
}

function readExtra(data: JsonObject, flags: JsonObject, mode: Mode): JsonObject {
  const rest = kept(flags, new Set(["collapsed", "pinned"]));
  const properties = readProperties(data);
  const known = mode !== "normal" || !data["mode"];
  const bothColours = data["color"] && data["bgcolor"] && data["color"] !== data["bgcolor"];
  return {
    ...kept(data, NODE_FIELDS),
    ...(Object.keys(rest).length ? { flags: rest } : {}),
    ...(known ? {} : { mode: data["mode"] ?? 0 }),
    ...(Object.keys(properties).length ? { properties } : {}),
    ...(bothColours ? { color: data["color"] ?? "" } : {}),
  };
}

function storedPorts(value: Json | undefined): StoredPort[] {
  return asList(value).filter(isObject).map((entry) => {
    const widget = asObject(entry["widget"])["name"];
    const type = isList(entry["type"]) ? "COMBO" : asText(entry["type"]) || "*";
    const port = { name: asText(entry["name"]), type };
    return typeof widget === "string" ? { ...port, widget } : port;
  });
}

function readLinks(data: JsonObject, bends: ReadonlyMap<string, ReadBend>): ReadLink[] {
  const bent = new Map(
    asList(asObject(data["extra"])["linkExtensions"])
      .filter(isObject)
      .map((each) => [String(each["id"]), String(each["parentId"])]),
  );
  const found: ReadLink[] = [];
  for (const [index, entry] of asList(data["links"]).entries()) {
    if (entry === null) continue; // what the editor leaves of a removed cable
    const where = `links[${index}]`;
    const [id, source, slot, target] = linkFields(entry, where);
    const given = isObject(entry) ? entry["parentId"] : bent.get(String(id));
    const bend = given === undefined || given === null ? null : String(given);
    found.push({
      id: readId(id, where),
      source: readId(source, `${where}, its source`),
      slot: readSlot(slot, `${where}, its source slot`),
      target: readId(target, `${where}, its target`),
      bend: bend !== null && bends.has(bend) ? bend : null,
    });
  }
  return found;
}

function linkFields(entry: Json, where: string): readonly (Json | undefined)[] {
  if (isObject(entry)) return ["id", "origin_id", "origin_slot", "target_id"].map((key) => entry[key]);
  if (isList(entry) && entry.length >= 5) return entry;
  throw new FileProblem(`${where}: expected [id, source, source slot, target, target slot, type]`);
}

interface Wired {
  readonly nodes: readonly GraphNode[];
  /** The reroute next to the end of a cable, by node and input. */
  readonly bent: ReadonlyMap<NodeId, ReadonlyMap<string, string>>;
}

function wire(
  entries: readonly JsonObject[],
  nodes: ReadonlyMap<NodeId, GraphNode>,
  links: ReadonlyMap<string, ReadLink>,
  catalogue: Catalogue,
  warnings: string[],
): Wired {
  const grown = withNeededOutputs(nodes, links.values());
  const bent = new Map<NodeId, Map<string, string>>();
  const wired = [...grown.values()].map((node, index) => {
    const into: Record<string, Source> = {};
    for (const entry of asList(entries[index]?.["inputs"]).filter(isObject)) {
      if (entry["link"] === null || entry["link"] === undefined) continue;
      const [port] = storedPorts([entry]);
      const link = links.get(String(entry["link"]));
      const source = link && grown.get(link.source);
      const name = port ? inputName(port) : "";
      if (!link || !source || link.slot < 0) {
        warnings.push(`node ${node.id} (${node.type}): the link at ${name} leads nowhere`);
        continue;
      }
      into[name] = { node: source.id, output: outputKey(portsOf(source, catalogue).outputs, link.slot) };
      if (link.bend === null) continue;
      const ends = bent.get(node.id) ?? new Map<string, string>();
      bent.set(node.id, ends.set(name, link.bend));
    }
    return { ...node, links: into };
  });
  return { nodes: wired, bent };
}

/** Nodes of unknown types with as many outputs as cables need. */
function withNeededOutputs(
  nodes: ReadonlyMap<NodeId, GraphNode>,
  links: Iterable<ReadLink>,
): Map<NodeId, GraphNode> {
  const grown = new Map(nodes);
  for (const { source, slot } of links) {
    const node = grown.get(source);
    if (!node?.ports || slot < node.ports.outputs.length || slot > 1000) continue;
    const outputs = [...node.ports.outputs];
    while (outputs.length <= slot) outputs.push({ name: `#${outputs.length}`, type: "*" });
    grown.set(source, { ...node, ports: { ...node.ports, outputs } });
  }
  return grown;
}

function readGroups(data: JsonObject): Group[] {
  const list = asList(data["groups"]).filter(isObject);
  const fresh = idMaker(list.map((entry) => String(entry["id"] ?? "")));
  const taken = new Set<string>();
  return list.map((entry) => {
    const [x = 0, y = 0, width = 140, height = 80] = asList(entry["bounding"]).map((n) => asNumber(n, 0));
    const given = entry["id"] === undefined || taken.has(String(entry["id"])) ? fresh() : String(entry["id"]);
    taken.add(given);
    return {
      id: given,
      title: asText(entry["title"]),
      bounds: { x, y, width, height },
      color: asText(entry["color"]),
      extra: kept(entry, GROUP_FIELDS),
    };
  });
}

function kept(data: JsonObject, known: ReadonlySet<string>): JsonObject {
  return Object.fromEntries(Object.entries(data).filter(([name]) => !known.has(name)));
}

function objects(value: Json | undefined, where: string): JsonObject[] {
  return asList(value).map((entry, index) => {
    if (!isObject(entry)) throw new FileProblem(`${where}[${index}]: expected an object`);
    return entry;
  });
}

/** A pair of numbers, as a list or as {"0": x, "1": y}. */
export function point(value: Json | undefined): Point | null {
  const [x, y] = isObject(value) ? [value["0"], value["1"]] : asList(value);
  if (typeof x !== "number" || typeof y !== "number") return null;
  return { x, y };
}

function readSize(value: Json | undefined): Size | null {
  const size = point(value);
  return size && size.x > 0 && size.y > 0 ? { width: size.x, height: size.y } : null;
}

function readId(value: Json | undefined, where: string): string {
  const text = typeof value === "string" || typeof value === "number" ? String(value) : "";
  if (!text || text.length > 200) throw new FileProblem(`${where}: expected a number or a text as an id`);
  return text;
}

function readSlot(value: Json | undefined, where: string): number {
  const slot = typeof value === "string" && /^\d{1,5}$/.test(value) ? Number(value) : value;
  if (typeof slot !== "number" || !Number.isInteger(slot)) {
    throw new FileProblem(`${where}: expected the number of a slot`);
  }
  return slot;
}
