// The order in which jobs wait: each has a number, and lower ones run first.

export interface Turn {
  readonly id: string;
  readonly priority: number;
}

/**
 * The numbers that put a list into the order it is given in, after one of its jobs was moved there:
 * mostly one new number, between those of its neighbours. Where none fits between them, those behind
 * get new ones as well.
 */
export function renumbered(order: readonly Turn[], moved: string): Turn[] {
  const at = order.findIndex(({ id }) => id === moved);
  const mine = order[at];
  if (!mine || order.length < 2) return [];
  const before = order[at - 1]?.priority ?? null;
  const after = order[at + 1]?.priority ?? null;
  const place = between(before, after);
  if ((before === null || before < place) && (after === null || place < after)) {
    return place === mine.priority ? [] : [{ id: moved, priority: place }];
  }
  let last = before ?? place - 1;
  const changed: Turn[] = [];
  for (const { id, priority } of order.slice(at)) {
    if (id !== moved && priority > last) break;
    last = next(last);
    changed.push({ id, priority: last });
  }
  return changed;
}

function between(before: number | null, after: number | null): number {
  if (before === null) return after === null ? 0 : Math.ceil(after) - 1;
  return after === null ? next(before) : before + (after - before) / 2;
}

function next(number: number): number {
  return Math.floor(number) + 1;
}

/** The list with one of its jobs so many places further back (or, below zero, further to the front). */
export function shifted<T extends { readonly id: string }>(list: readonly T[], id: string, by: number): T[] {
  const at = list.findIndex((each) => each.id === id);
  const mine = list[at];
  if (!mine) return [...list];
  const others = list.filter((each) => each !== mine);
  const to = Math.max(0, Math.min(others.length, at + by));
  return [...others.slice(0, to), mine, ...others.slice(to)];
}
