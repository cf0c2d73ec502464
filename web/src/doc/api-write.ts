// The graph as the server runs it ("API format"): reroutes, values, notes, muted and bypassed nodes
// are gone, and a muted node takes with it whatever cannot run without it. What comes out is what
// nodegraph/workflow makes of the same graph in the editor's format.

import type { Catalogue, NodeDef } from "./catalogue";
import type { Graph, GraphNode, NodeId, Source } from "./graph";
import { VIRTUAL } from "./graph";
import type { Json, JsonObject } from "./json";
import { isList } from "./json";
import { outputSlot, portsOf, titleOf } from "./ports";
import { originOf } from "./sources";

export interface ApiNode {
  readonly class_type: string;
  readonly inputs: JsonObject;
  readonly _meta: { readonly title: string };
}

/** A prompt, and what was left out on the way to it, as sentences. */
export interface Exported {
  readonly prompt: Readonly<Record<NodeId, ApiNode>>;
  readonly warnings: readonly string[];
}

/** An input that another node feeds. */
class Fed {
  constructor(readonly source: Source) {}
}

interface Draft {
  readonly node: GraphNode;
  readonly def: NodeDef | undefined;
  readonly inputs: Map<string, Json | Fed>;
  readonly muted: Map<string, NodeId>;
}

/** The graph in the API format. */
export function toApi(graph: Graph, catalogue: Catalogue): Exported {
  const writer = new Writer(graph, catalogue);
  return writer.run();
}

class Writer {
  private readonly drafts = new Map<NodeId, Draft>();
  private readonly warnings: string[] = [];

  constructor(
    private readonly graph: Graph,
    private readonly catalogue: Catalogue,
  ) {}

  run(): Exported {
    for (const node of this.graph.nodes.values()) {
      if (node.mode === "normal" && !VIRTUAL.has(node.type)) this.draft(node);
    }
    this.leaveOutDependants();
    const entries = [...this.drafts].map(([id, draft]) => [id, this.entry(draft)] as const);
    return { prompt: Object.fromEntries(entries), warnings: this.warnings };
  }

  private draft(node: GraphNode): void {
    const def = this.catalogue.get(node.type);
    const draft: Draft = { node, def, inputs: new Map(), muted: new Map() };
    this.drafts.set(node.id, draft);
    if (!def && node.unnamed.length) {
      const count = node.unnamed.length;
      this.warn(node, `its type is unknown, so its ${count} widget values have no names`);
    }
    for (const [name, value] of Object.entries(node.values)) draft.inputs.set(name, literal(value));
    for (const [name, source] of Object.entries(node.links)) {
      const origin = originOf(this.graph, source, this.catalogue);
      if (origin.kind === "node") draft.inputs.set(name, new Fed(origin.source));
      else if (origin.kind === "value") draft.inputs.set(name, literal(origin.value));
      else this.unfed(draft, name, origin.muted);
    }
  }

  private unfed(draft: Draft, name: string, muted: NodeId | null): void {
    if (muted === null) return this.warn(draft.node, `the link at ${name} leads nowhere`);
    draft.muted.set(name, muted);
    if (!canDoWithout(draft, name)) return;
    const instead = Object.hasOwn(draft.node.values, name) ? "its own value is used" : "it is left out";
    this.warn(draft.node, `${name} came from muted node ${muted}; ${instead}`);
  }

  private leaveOutDependants(): void {
    const readers = this.readers();
    const gone: NodeId[] = [];
    for (const draft of [...this.drafts.values()]) {
      for (const [name, muted] of draft.muted) {
        if (!canDoWithout(draft, name)) {
          this.leaveOut(draft, `${name} comes from muted node ${muted}`, gone);
        }
      }
    }
    for (const lost of gone) {
      for (const [id, name] of readers.get(lost) ?? []) {
        const draft = this.drafts.get(id);
        if (!draft) continue;
        if (!canDoWithout(draft, name)) {
          this.leaveOut(draft, `${name} comes from node ${lost}, left out too`, gone);
          continue;
        }
        const own = draft.node.values[name];
        if (own === undefined) draft.inputs.delete(name);
        else draft.inputs.set(name, literal(own));
      }
    }
  }

  private readers(): Map<NodeId, [NodeId, string][]> {
    const found = new Map<NodeId, [NodeId, string][]>();
    for (const [id, draft] of this.drafts) {
      for (const [name, value] of draft.inputs) {
        if (!(value instanceof Fed)) continue;
        const list = found.get(value.source.node);
        if (list) list.push([id, name]);
        else found.set(value.source.node, [[id, name]]);
      }
    }
    return found;
  }

  private leaveOut(draft: Draft, why: string, gone: NodeId[]): void {
    if (!this.drafts.delete(draft.node.id)) return;
    this.warn(draft.node, `left out, since ${why}`);
    gone.push(draft.node.id);
  }

  private entry({ node, def, inputs }: Draft): ApiNode {
    const written = [...inputs].map(([name, value]): [string, Json] => [
      name,
      value instanceof Fed ? this.link(value) : value,
    ]);
    return {
      class_type: node.type,
      inputs: Object.fromEntries(written),
      _meta: { title: titleOf(node, def) },
    };
  }

  private link({ source }: Fed): Json {
    const node = this.graph.nodes.get(source.node);
    const outputs = node ? portsOf(node, this.catalogue).outputs : [];
    return [source.node, outputSlot(outputs, source.output) ?? source.output];
  }

  private warn(node: GraphNode, what: string): void {
    this.warnings.push(`node ${node.id} (${node.type}): ${what}`);
  }
}

function canDoWithout({ node, def }: Draft, name: string): boolean {
  const port = def?.inputs.find((each) => each.name === name);
  return Object.hasOwn(node.values, name) || !port?.required;
}

/** A bare list would be read as a link. */
function literal(value: Json): Json {
  return isList(value) ? { __value__: value } : value;
}
