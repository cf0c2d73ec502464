// Finding nodes of a graph: by their titles, types, ids, and by what their widgets hold.

import type { Catalogue } from "./catalogue";
import type { Graph, GraphNode } from "./graph";
import { titleOf } from "./ports";
import { fuzzy } from "./search";

/** places: of the letters in the title that were searched for. text: the value in which the words are. */
export interface Found {
  readonly node: GraphNode;
  readonly title: string;
  readonly places: readonly number[];
  readonly text: string;
}

interface Ranked extends Found {
  readonly rank: number;
}

/** The nodes that a query is about, the best first; for an empty one all, from left to right. */
export function findNodes(graph: Graph, catalogue: Catalogue, query: string, limit = 60): Found[] {
  const wanted = query.trim().toLowerCase();
  const order = [...graph.nodes.values()].toSorted(
    ({ position: a }, { position: b }) => a.x - b.x || a.y - b.y,
  );
  const ranked = order.flatMap((node) => rankedOf(node, catalogue, wanted) ?? []);
  return ranked.toSorted((a, b) => b.rank - a.rank).slice(0, limit);
}

const EXACT = 2; // for an id that was typed; titles have 1 at most
const TYPE = 0.9;
const VALUE = 0.5;

function rankedOf(node: GraphNode, catalogue: Catalogue, wanted: string): Ranked | null {
  const title = titleOf(node, catalogue.get(node.type));
  const found = { node, title, places: [], text: "" };
  if (!wanted) return { ...found, rank: 0 };
  if (node.id === wanted || `#${node.id}` === wanted) return { ...found, rank: EXACT };
  const inTitle = fuzzy(title, wanted);
  const inType = (fuzzy(node.type, wanted)?.score ?? 0) * TYPE;
  const text = textWith(node, wanted);
  const best = Math.max(inTitle?.score ?? 0, inType, text ? VALUE : 0);
  if (best === 0) return null;
  if (inTitle?.score === best) return { ...found, places: inTitle.places, rank: best };
  return { ...found, text: inType === best ? "" : text, rank: best };
}

/** The first text of a node that contains the words; "" if none does. */
function textWith(node: GraphNode, wanted: string): string {
  const texts = Object.values(node.values).filter((value) => typeof value === "string");
  return texts.find((value) => value.toLowerCase().includes(wanted)) ?? "";
}
