// A seed or a prompt of another picture, put into the graph as it stands: into the same widgets where
// they are still there, else into those that play the same part.

import type { Catalogue } from "./catalogue";
import { setSeedMode, setValue } from "./edit";
import type { Graph, NodeId } from "./graph";
import type { Json } from "./json";
import { inputPort } from "./ports";
import type { Held, Recipe } from "./recipe";
import { recipeOf } from "./recipe";
import { fitNumber } from "./widgets";

export interface Recalled {
  readonly graph: Graph;
  /** What the widgets hold now: those that held it before as well. */
  readonly set: readonly Held[];
  /** How much of what was recalled found no place. */
  readonly left: number;
}

/** The graph with the seeds of a recipe, which stay what they are at the next runs. */
export function recallSeeds(graph: Graph, recipe: Recipe, catalogue: Catalogue): Recalled {
  const pairs = paired(recipe.seeds, recipeOf(graph, catalogue).seeds);
  const set = pairs.map(([{ value }, { node, input }]) => ({ node, input, value: fitted(graph, node, input, value, catalogue) }));
  const result = set.reduce(
    (made, { node, input, value }) => setSeedMode(setValue(made, node, input, value), node, input, "fixed"),
    graph,
  );
  // What draws several times mostly has one seed of its own for each: the nearest is the picture's.
  return { graph: result, set, left: set.length ? 0 : recipe.seeds.length };
}

/** The graph with the texts of a recipe. */
export function recallTexts(graph: Graph, recipe: Recipe, catalogue: Catalogue): Recalled {
  const here = recipeOf(graph, catalogue);
  const pairs = [...paired(recipe.positive, here.positive), ...paired(recipe.negative, here.negative)];
  const set = pairs.map(([{ value }, { node, input }]) => ({ node, input, value }));
  const result = set.reduce((made, { node, input, value }) => setValue(made, node, input, value), graph);
  const placed = new Set(pairs.map(([given]) => given));
  const left = [...recipe.positive, ...recipe.negative].filter((given) => given.value && !placed.has(given)).length;
  return { graph: result, set, left };
}

/** Each of what is given with a place: the one of the same name, or else the next that is free. */
function paired<T extends Json>(given: readonly Held<T>[], places: readonly Held[]): (readonly [Held<T>, Held])[] {
  const same = new Map(
    given.flatMap((one) => {
      const place = places.find(({ node, input }) => node === one.node && input === one.input);
      return place ? [[one, place] as const] : [];
    }),
  );
  const taken = new Set(same.values());
  const free = places.filter((place) => !taken.has(place));
  return given.flatMap((one) => {
    const place = same.get(one) ?? free.shift();
    return place ? [[one, place] as const] : [];
  });
}

function fitted(graph: Graph, id: NodeId, input: string, value: number | bigint, catalogue: Catalogue): number | bigint {
  const node = graph.nodes.get(id);
  const widget = node && inputPort(node, input, catalogue)?.widget;
  return widget?.kind === "int" || widget?.kind === "float" ? fitNumber(value, widget) : value;
}
