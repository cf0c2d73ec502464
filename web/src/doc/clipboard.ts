// Copying parts of a graph. A copy is itself a file of the editor, so that it can be pasted
// elsewhere, too; cables from outside are told apart by `outer`.

import type { Catalogue } from "./catalogue";
import { relinked } from "./edit";
import type { Opened } from "./editor-read";
import { fromEditor, isEditorFile } from "./editor-read";
import { toEditor } from "./editor-write";
import type { Graph, GraphNode, Group, GroupId, NodeId, Point, Source } from "./graph";
import { graphOf, idMaker } from "./graph";
import type { Json } from "./json";
import { asObject, formatJson, parseJson } from "./json";

/** A part of a graph. outer: cables into it from nodes that are no part of it. */
export interface Clip {
  readonly nodes: readonly GraphNode[];
  readonly groups: readonly Group[];
  readonly outer: readonly { readonly node: NodeId; readonly input: string; readonly source: Source }[];
}

/** The nodes and groups with these ids. */
export function copy(graph: Graph, ids: Iterable<NodeId>, groups: Iterable<GroupId> = []): Clip {
  const wanted = new Set(ids);
  const chosen = [...graph.nodes.values()].filter((node) => wanted.has(node.id));
  const wantedGroups = new Set(groups);
  return {
    nodes: chosen.map((node) => relinked(node, (source) => (wanted.has(source.node) ? source : undefined))),
    groups: [...graph.groups.values()].filter((group) => wantedGroups.has(group.id)),
    outer: chosen.flatMap((node) =>
      Object.entries(node.links)
        .filter(([, source]) => !wanted.has(source.node))
        .map(([input, source]) => ({ node: node.id, input, source })),
    ),
  };
}

export interface Pasted {
  readonly graph: Graph;
  readonly nodes: readonly NodeId[];
  readonly groups: readonly GroupId[];
}

/** at: where the upper left corner comes to lie, or by how much it is moved. outer: with the cables
 * from outside, as far as those nodes are still there. */
export interface PasteOptions {
  readonly at?: Point;
  readonly by?: Point;
  readonly outer?: boolean;
}

/** Adds a clip to a graph, under ids that are free. */
export function paste(graph: Graph, clip: Clip, { at, by, outer = false }: PasteOptions = {}): Pasted {
  const fresh = idMaker(graph.nodes.keys());
  const ids = new Map(clip.nodes.map((node) => [node.id, fresh()]));
  const shift = shiftOf(clip, at, by);
  const renamed = (source: Source): Source | undefined => {
    const node = ids.get(source.node);
    return node === undefined ? undefined : { ...source, node };
  };
  const nodes = clip.nodes.map((node) => ({
    ...relinked(node, renamed),
    id: ids.get(node.id) ?? node.id,
    position: { x: node.position.x + shift.x, y: node.position.y + shift.y },
  }));
  const wired = outer ? nodes.map((node, index) => withOuter(node, clip, index, graph)) : nodes;
  const freshGroup = idMaker(graph.groups.keys());
  const groups = clip.groups.map((group) => {
    const { bounds } = group;
    return { ...group, id: freshGroup(), bounds: { ...bounds, x: bounds.x + shift.x, y: bounds.y + shift.y } };
  });
  const result = {
    ...graph,
    nodes: new Map([...graph.nodes, ...wired.map((node) => [node.id, node] as const)]),
    groups: new Map([...graph.groups, ...groups.map((group) => [group.id, group] as const)]),
  };
  const empty = !nodes.length && !groups.length;
  return {
    graph: empty ? graph : result,
    nodes: nodes.map((node) => node.id),
    groups: groups.map((group) => group.id),
  };
}

function withOuter(node: GraphNode, clip: Clip, index: number, graph: Graph): GraphNode {
  const old = clip.nodes[index]?.id;
  const links = clip.outer.filter((cable) => cable.node === old && graph.nodes.has(cable.source.node));
  if (!links.length) return node;
  return { ...node, links: { ...node.links, ...Object.fromEntries(links.map((c) => [c.input, c.source])) } };
}

function shiftOf(clip: Clip, at: Point | undefined, by: Point | undefined): Point {
  if (!at) return by ?? { x: 32, y: 32 };
  const corners = [...clip.nodes.map((node) => node.position), ...clip.groups.map((group) => group.bounds)];
  const x = corners.reduce((least, corner) => Math.min(least, corner.x), Infinity);
  const y = corners.reduce((least, corner) => Math.min(least, corner.y), Infinity);
  return corners.length ? { x: at.x - x, y: at.y - y } : { x: 0, y: 0 };
}

/** Copies nodes beside themselves, with the cables that come from outside. */
export function duplicate(
  graph: Graph,
  ids: Iterable<NodeId>,
  groups: Iterable<GroupId> = [],
  by: Point = { x: 32, y: 32 },
): Pasted {
  return paste(graph, copy(graph, ids, groups), { by, outer: true });
}

/** A clip as text for the system's clipboard: a file of the editor. */
export function clipText(clip: Clip, catalogue: Catalogue): string {
  const outer = clip.outer.map(({ node, input, source }) => [node, input, source.node, source.output]);
  const file = toEditor(graphOf(clip.nodes, clip.groups), catalogue);
  return formatJson({ ...file, extra: { nodegraph: { outer } } });
}

/** The clip in a text; null if it holds none. What other programs copied as a file counts, too. */
export function readClip(text: string, catalogue: Catalogue): Clip | null {
  let data: Json;
  try {
    data = parseJson(text);
  } catch {
    return null;
  }
  if (!isEditorFile(data)) return null;
  let opened: Opened;
  try {
    opened = fromEditor(data, catalogue);
  } catch {
    return null;
  }
  const ours = asObject(asObject(data["extra"])["nodegraph"])["outer"];
  const rows = Array.isArray(ours) ? (ours as readonly Json[]) : [];
  const outer = rows.flatMap((row) => {
    const [node, input, from, output] = Array.isArray(row) ? (row as readonly Json[]).map(String) : [];
    if (node === undefined || input === undefined || from === undefined || output === undefined) return [];
    return [{ node, input, source: { node: from, output } }];
  });
  return { nodes: [...opened.graph.nodes.values()], groups: [...opened.graph.groups.values()], outer };
}
