// Graphs in the API format: nodes by id with named inputs, without a picture of themselves.

import type { Catalogue } from "./catalogue";
import type { Opened } from "./editor-read";
import { FileProblem } from "./editor-read";
import type { GraphNode, NodeId, Source, StoredPorts } from "./graph";
import { graphOf, makeNode } from "./graph";
import type { Json, JsonObject } from "./json";
import { asObject, asText, isList, isObject } from "./json";
import { outputKey } from "./ports";

/** Whether data is in the API format: an object of nodes. */
export function isApiGraph(data: Json): data is JsonObject {
  if (!isObject(data)) return false;
  const entries = Object.values(data);
  return entries.length > 0 && entries.every((entry) => isObject(entry) && "class_type" in entry);
}

/** The graph of parsed data; its nodes have yet to be arranged. */
export function fromApi(data: Json, catalogue: Catalogue): Opened {
  if (!isApiGraph(data)) throw new FileProblem("This is no graph: expected nodes by id, with class_type");
  const used = usedOutputs(data, catalogue);
  const warnings: string[] = [];
  const nodes = Object.entries(data).map(([id, entry]) => {
    return readNode(id, asObject(entry), data, used, catalogue, warnings);
  });
  return { graph: graphOf(nodes), warnings, arranged: false };
}

function readNode(
  id: NodeId,
  entry: JsonObject,
  data: JsonObject,
  used: ReadonlyMap<NodeId, readonly string[]>,
  catalogue: Catalogue,
  warnings: string[],
): GraphNode {
  const type = asText(entry["class_type"]);
  if (!type) throw new FileProblem(`node ${id}: class_type is missing`);
  const values: Record<string, Json> = {};
  const links: Record<string, Source> = {};
  for (const [name, value] of Object.entries(asObject(entry["inputs"]))) {
    const link = readLink(value);
    if (!link) values[name] = isObject(value) && isList(value["__value__"]) ? value["__value__"] : value;
    else if (link.node in data) links[name] = linkTo(link, data, catalogue);
    else warnings.push(`node ${id} (${type}): the link at ${name} leads nowhere`);
  }
  const def = catalogue.get(type);
  const title = asText(asObject(entry["_meta"])["title"]);
  const ports: StoredPorts = {
    inputs: Object.keys(links).map((name) => ({ name, type: "*" })),
    outputs: (used.get(id) ?? []).map((name) => ({ name, type: "*" })),
  };
  return makeNode(id, type, {
    values,
    links,
    title: title === (def?.title ?? type) ? "" : title,
    ports: def ? null : ports,
  });
}

interface ApiLink {
  readonly node: NodeId;
  readonly slot: number | string;
}

function readLink(value: Json): ApiLink | null {
  if (!isList(value) || value.length !== 2) return null;
  const [node, slot] = value;
  if (typeof node !== "string" && typeof node !== "number") return null;
  if (typeof slot !== "string" && !Number.isInteger(slot)) return null;
  return { node: String(node), slot: slot as number | string };
}

function linkTo({ node, slot }: ApiLink, data: JsonObject, catalogue: Catalogue): Source {
  const outputs = catalogue.get(asText(asObject(data[node])["class_type"]))?.outputs ?? [];
  if (typeof slot === "number") return { node, output: outputKey(outputs, slot) };
  // Names of outputs count in any case; a name of digits may also be a place.
  const same = (name: string): boolean => name.toLowerCase() === slot.toLowerCase();
  const port = outputs.find(({ name }) => name === slot) ?? outputs.find(({ name }) => same(name));
  if (port) return { node, output: port.key };
  return { node, output: /^\d{1,5}$/.test(slot) ? outputKey(outputs, Number(slot)) : slot };
}

/** The names of the outputs that cables begin at, of each node whose type is unknown. */
function usedOutputs(data: JsonObject, catalogue: Catalogue): Map<NodeId, string[]> {
  const slots = new Map<NodeId, { names: Set<string>; most: number }>();
  for (const entry of Object.values(data)) {
    for (const value of Object.values(asObject(asObject(entry)["inputs"]))) {
      const link = readLink(value);
      if (!link || catalogue.has(asText(asObject(data[link.node])["class_type"]))) continue;
      const found = slots.get(link.node) ?? { names: new Set<string>(), most: -1 };
      if (typeof link.slot === "string") found.names.add(link.slot);
      else found.most = Math.min(1000, Math.max(found.most, link.slot));
      slots.set(link.node, found);
    }
  }
  return new Map(
    [...slots].map(([id, { names, most }]) => {
      const numbered = Array.from({ length: most + 1 }, (_, slot) => `#${slot}`);
      return [id, [...numbered, ...[...names].filter((name) => !numbered.includes(name))]];
    }),
  );
}
