// What is in a subgraph, as a graph to be looked at: its nodes, and its inputs and outputs as two nodes
// more.

import type { Catalogue, InputPort, NodeDef, OutputPort } from "./catalogue";
import { outputKeys } from "./catalogue";
import { fromEditor, point } from "./editor-read";
import type { Graph, GraphNode } from "./graph";
import type { Json, JsonObject } from "./json";
import { asList, asNumber, asObject, asText, isList, isObject } from "./json";
import { arranged } from "./open";

const ENTRANCE = "-10"; // ids that cables of the format have where they come in and go out
const EXIT = "-20";
const ASIDE = 340; // pixels from the nodes to the inputs' and outputs' ends, if the file has none

export interface Inside {
  readonly name: string;
  readonly graph: Graph;
  /** With the types of the inputs' and outputs' ends. */
  readonly catalogue: Catalogue;
}

/** What the two ends are called. */
export interface EndNames {
  readonly inputs: string;
  readonly outputs: string;
}

/** What is in a node; null if it is no instance of a subgraph that the graph's file defines. */
export function insideOf(graph: Graph, node: GraphNode, catalogue: Catalogue, names: EndNames): Inside | null {
  const definitions = definitionsIn(graph);
  const body = definitions.find((each) => asText(each["id"]) === node.type);
  if (!body) return null;
  const links = asList(body["links"]).filter((link) => link !== null);
  const ends = { entrance: idOf(body["inputNode"], ENTRANCE), exit: idOf(body["outputNode"], EXIT) };
  const [from, to] = [`${node.type} inputs`, `${node.type} outputs`];
  const outputs = portList(body["outputs"]).map((port, place) => {
    const link = links.map(linkOf).find(({ target, slot }) => target === ends.exit && slot === place);
    return { ...port, link: link?.id ?? null };
  });
  const entries = asList(body["nodes"]).filter(isObject);
  const places = entries.map(({ pos }) => point(pos) ?? { x: 0, y: 0 });
  const left = Math.min(0, ...places.map(({ x }) => x)) - ASIDE;
  const right = Math.max(0, ...places.map(({ x }) => x)) + 1.5 * ASIDE;
  const level = {
    nodes: [
      { id: ends.entrance, type: from, pos: placeOf(body["inputNode"], left), outputs: portList(body["inputs"]) },
      ...entries,
      { id: ends.exit, type: to, pos: placeOf(body["outputNode"], right), inputs: outputs },
    ],
    links,
    groups: body["groups"] ?? [],
    definitions: { subgraphs: [...definitions, ...asList(asObject(body["definitions"])["subgraphs"])] },
  };
  const known = new Map(catalogue);
  known.set(from, endType(from, names.inputs, [], outputPorts(body["inputs"])));
  known.set(to, endType(to, names.outputs, inputPorts(body["outputs"]), []));
  const opened = fromEditor(level, known);
  const name = asText(body["name"]) || node.title || node.type;
  return { name, graph: opened.arranged ? opened.graph : arranged(opened.graph, known), catalogue: known };
}

/** Whether there is something in a node to be looked at. */
export function hasInside(graph: Graph, node: GraphNode): boolean {
  return definitionsIn(graph).some((each) => asText(each["id"]) === node.type);
}

/** The subgraphs that a graph's file defines. */
function definitionsIn(graph: Graph): JsonObject[] {
  return asList(asObject(graph.extra["definitions"])["subgraphs"]).filter(isObject);
}

function idOf(end: Json | undefined, usual: string): string {
  const id = asObject(end)["id"];
  return id === undefined || id === null ? usual : String(id);
}

function placeOf(end: Json | undefined, x: number): Json {
  const [left, top] = asList(asObject(end)["bounding"]);
  return typeof left === "number" && typeof top === "number" ? [left, top] : [x, 0];
}

function linkOf(link: Json): { id: Json; target: string; slot: number } {
  const [id, target, slot] = isList(link)
    ? [link[0], link[3], link[4]]
    : ["id", "target_id", "target_slot"].map((key) => asObject(link)[key]);
  return { id: id ?? null, target: String(target), slot: asNumber(slot, -1) };
}

function portList(value: Json | undefined): JsonObject[] {
  return asList(value)
    .filter(isObject)
    .map((port) => ({ name: asText(port["label"]) || asText(port["name"]), type: asText(port["type"]) || "*" }));
}

function inputPorts(value: Json | undefined): InputPort[] {
  const plain = { required: false, optional: true, widget: null, tooltip: "", lazy: false, options: {} };
  return portList(value).map((port) => ({ ...plain, name: asText(port["name"]), type: asText(port["type"]) }));
}

function outputPorts(value: Json | undefined): OutputPort[] {
  const ports = portList(value);
  const keys = outputKeys(ports.map((port) => asText(port["name"])));
  return ports.map((port, index) => ({
    key: keys[index] ?? "",
    name: asText(port["name"]),
    type: asText(port["type"]),
    isList: false,
    tooltip: "",
  }));
}

function endType(type: string, title: string, inputs: readonly InputPort[], outputs: readonly OutputPort[]): NodeDef {
  return {
    type, title, inputs, outputs,
    description: "",
    category: "canvas",
    module: "",
    output: false,
    deprecated: false,
    experimental: false,
    aliases: [],
  };
}
