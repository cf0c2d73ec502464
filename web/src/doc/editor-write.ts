// The graph as a file of the ecosystem's editor, of version 0.4, which all its programs read. What
// that format has no place for stands in a node's properties, under "nodegraph".

import type { Catalogue } from "./catalogue";
import type { Cable, Graph, GraphNode, NodeId } from "./graph";
import { PRIMITIVE, cables } from "./graph";
import type { Json, JsonObject } from "./json";
import { asObject } from "./json";
import { layoutNode } from "./layout";
import { listedInputs, outputSlot, portsOf, sourceType } from "./ports";
import { positioned, widgetPorts } from "./widgets";

const NUMBERS = { normal: 0, muted: 2, bypassed: 4 } as const;

/** A parsed file; reading it gives the same graph again. */
export function toEditor(graph: Graph, catalogue: Catalogue): JsonObject {
  return new Writer(graph, catalogue).file();
}

class Writer {
  private readonly all: readonly Cable[];
  private readonly numbers = new Map<NodeId, Map<string, number>>();
  private readonly leaving = new Map<NodeId, Cable[]>();
  private readonly unknown = new Map<NodeId, string[]>();

  constructor(
    private readonly graph: Graph,
    private readonly catalogue: Catalogue,
  ) {
    this.all = cables(graph);
    for (const [index, cable] of this.all.entries()) {
      const into = this.numbers.get(cable.node) ?? new Map<string, number>();
      this.numbers.set(cable.node, into.set(cable.input, index + 1));
      const from = this.leaving.get(cable.source.node);
      if (from) from.push(cable);
      else this.leaving.set(cable.source.node, [cable]);
    }
  }

  file(): JsonObject {
    const { nodes, groups, extra } = this.graph;
    const numbered = [...nodes.keys()].filter((id) => /^\d{1,15}$/.test(id)).map(Number);
    return {
      ...extra,
      last_node_id: numbered.reduce((a, b) => Math.max(a, b), 0),
      last_link_id: this.all.length,
      nodes: [...nodes.values()].map((node, order) => this.node(node, order)),
      links: this.all.map((cable) => this.link(cable)),
      groups: [...groups.values()].map(({ id, title, bounds, color, extra: more }) => ({
        ...more,
        id: asId(id),
        title,
        bounding: [bounds.x, bounds.y, bounds.width, bounds.height],
        ...(color ? { color } : {}),
      })),
      config: extra["config"] ?? {},
      extra: extra["extra"] ?? {},
      version: 0.4,
    };
  }

  private link(cable: Cable): Json {
    const { node, input, source } = cable;
    const target = this.graph.nodes.get(node);
    const listed = target ? listedInputs(target, this.catalogue) : [];
    const place = listed.findIndex((each) => each.name === input);
    const type = sourceType(this.graph, source, this.catalogue);
    const slot = this.slot(source.node, source.output);
    return [this.number(node, input), asId(source.node), slot, asId(node), place, type];
  }

  private number(node: NodeId, input: string): number | null {
    return this.numbers.get(node)?.get(input) ?? null;
  }

  /** The place of an output; those that nothing is known of come after the known ones. */
  private slot(id: NodeId, key: string): number {
    const node = this.graph.nodes.get(id);
    const outputs = node ? portsOf(node, this.catalogue).outputs : [];
    const slot = outputSlot(outputs, key);
    if (slot !== null) return slot;
    const names = this.unknown.get(id) ?? [];
    if (!names.includes(key)) this.unknown.set(id, [...names, key]);
    return outputs.length + (this.unknown.get(id) ?? []).indexOf(key);
  }

  private node(node: GraphNode, order: number): JsonObject {
    const { width, height } = node.size ?? layoutNode(node, this.catalogue);
    return {
      ...node.extra,
      id: asId(node.id),
      type: node.type,
      pos: [node.position.x, node.position.y],
      size: [width, height],
      flags: {
        ...asObject(node.extra["flags"]),
        ...(node.collapsed ? { collapsed: true } : {}),
        ...(node.pinned ? { pinned: true } : {}),
      },
      order,
      mode: node.mode === "normal" ? (node.extra["mode"] ?? 0) : NUMBERS[node.mode],
      inputs: this.inputs(node),
      outputs: this.outputs(node),
      properties: properties(node, this.catalogue),
      ...(node.title ? { title: node.title } : {}),
      ...(node.color ? { color: node.extra["color"] ?? node.color, bgcolor: node.color } : {}),
      widgets_values: values(node, this.catalogue),
    };
  }

  private inputs(node: GraphNode): Json {
    const stored = new Map((node.ports?.inputs ?? []).map((port) => [port.widget ?? port.name, port]));
    return listedInputs(node, this.catalogue).map(({ name, type, widget }) => {
      const port = stored.get(name);
      const shown = widget || port?.widget !== undefined ? { widget: { name } } : {};
      return { name: port?.name ?? name, type, link: this.number(node.id, name), ...shown };
    });
  }

  private outputs(node: GraphNode): Json {
    const leaving = this.leaving.get(node.id) ?? [];
    return portsOf(node, this.catalogue).outputs.map(({ name, type }, slot) => ({
      name,
      type,
      links: leaving
        .filter(({ source }) => this.slot(node.id, source.output) === slot)
        .map((cable) => this.number(cable.node, cable.input)),
    }));
  }
}

function values(node: GraphNode, catalogue: Catalogue): Json {
  if (node.type === PRIMITIVE) {
    const mode = node.seeds["value"];
    const list = [...(mode ? [mode] : []), ...node.unnamed];
    const value = node.values["value"];
    return value === undefined && !list.length ? [] : [value ?? null, ...list];
  }
  const def = catalogue.get(node.type);
  if (def) return positioned(node, widgetPorts(def));
  return node.unnamed.length ? node.unnamed : node.values;
}

function properties(node: GraphNode, catalogue: Catalogue): JsonObject {
  const given = asObject(node.extra["properties"]);
  const strays = strayValues(node, catalogue);
  const ours = {
    ...asObject(given["nodegraph"]),
    ...(node.size ? {} : { fitted: true }),
    ...(Object.keys(strays).length ? { values: strays } : {}),
  };
  return Object.keys(ours).length ? { ...given, nodegraph: ours } : given;
}

/** Values that have no place among those of the widgets. */
function strayValues(node: GraphNode, catalogue: Catalogue): JsonObject {
  const def = catalogue.get(node.type);
  if (node.type === PRIMITIVE) return {};
  if (!def) return node.unnamed.length ? node.values : {};
  const placed = new Set(widgetPorts(def).map((port) => port.name));
  return Object.fromEntries(Object.entries(node.values).filter(([name]) => !placed.has(name)));
}

/** Ids that are numbers are written as such. */
function asId(id: string): string | number {
  return /^(0|[1-9]\d{0,14})$/.test(id) ? Number(id) : id;
}
