"""Walks over graphs given as `{node: [nodes it reads from]}`. None of them recurses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

Edges = Mapping[str, Sequence[str]]
_DIGITS = re.compile(r"([0-9]+)")

Natural = tuple[tuple[int, int, str, str], ...]


def natural(id: str) -> Natural:
    """A sort key that puts "9" before "10"; total, so that order depends on nothing else."""
    return tuple(_part(part) for part in _DIGITS.split(id) if part)


def _part(part: str) -> tuple[int, int, str, str]:
    """Numbers compare by length, then by digits: an id may have more of them than an int can."""
    if part[0] not in "0123456789":
        return (1, 0, part, "")
    digits = part.lstrip("0")
    return (0, len(digits), digits, part)


def find_cycle(edges: Edges) -> list[str]:
    """The nodes of one cycle, first and last the same, each reading from the one before it."""
    cycle = _cycle(edges, list(edges))
    # Which cycle is found first depends on the order, so where there is one, the order is fixed.
    return _cycle(edges, sorted(edges, key=natural)) if cycle else []


def _cycle(edges: Edges, order: Sequence[str]) -> list[str]:
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for id in order:
        sorter.add(id, *edges[id])
    try:
        sorter.prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def reached(ids: Iterable[str], edges: Edges) -> set[str]:
    """`ids` and everything they read from, directly or not."""
    found = set(ids)
    todo = list(found)
    while todo:
        for source in edges.get(todo.pop(), ()):
            if source not in found:
                found.add(source)
                todo.append(source)
    return found


def reading(ids: Iterable[str], edges: Edges) -> set[str]:
    """`ids` and everything that reads from them, directly or not."""
    readers: dict[str, list[str]] = {}
    for id, sources in edges.items():
        for source in sources:
            readers.setdefault(source, []).append(id)
    return reached(ids, readers)


def dependants(
    ids: Iterable[str], targets: Sequence[str], edges: Edges, *, most: int
) -> dict[str, tuple[str, ...]]:
    """For each of `ids`, the first `most` targets that need it, itself included if it is one.

    The targets are handed down from readers to what they read, one group of nodes that all need
    each other (a cycle, or a single node) at a time. All of them, for each node of a long chain,
    would fill the memory.
    """
    wanted = set(ids)
    if not wanted:
        return {}
    group = _groups(targets, edges)
    first: dict[str, list[int]] = {head: [] for head in group.values()}
    for place, target in enumerate(targets):
        if len(first[group[target]]) < most:
            first[group[target]].append(place)
    for id, head in group.items():  # readers come before what they read
        for source in {group[source] for source in edges.get(id, ())} - {head}:
            first[source] = _merged(first[source], first[head], most)
    found: dict[str, tuple[str, ...]] = dict.fromkeys(wanted, ())
    for id in wanted & group.keys():
        found[id] = tuple(targets[place] for place in first[group[id]])
    return found


def _merged(left: list[int], right: list[int], most: int) -> list[int]:
    """The lowest of both; the same list where nothing is new, so that long chains share it."""
    if not right or left == right:
        return left
    return sorted({*left, *right})[:most] if left else right


def _groups(targets: Iterable[str], edges: Edges) -> dict[str, str]:
    """For each node that `targets` need, the head of its strongly connected component.

    Kosaraju's algorithm: components come out readers first, and together.
    """
    order = post_order(targets, edges)
    readers: dict[str, list[str]] = {id: [] for id in order}
    for id in order:
        for source in edges.get(id, ()):
            readers[source].append(id)
    head: dict[str, str] = {}
    for first in reversed(order):
        todo = [first]
        while todo:
            id = todo.pop()
            if id not in head:
                head[id] = first
                todo.extend(readers[id])
    return head


def post_order(targets: Iterable[str], edges: Edges) -> list[str]:
    """`targets` and all they need, each after what it reads from, one target's need at a time.

    Depth first, so that a branch is finished, and its memory free, before the next begins. On a
    cycle there is no such order: there, a node comes before one that it reads from.
    """
    order: list[str] = []
    seen: set[str] = set()
    for target in targets:
        todo: list[tuple[str, bool]] = [(target, False)]
        while todo:
            id, ready = todo.pop()
            if ready:
                order.append(id)
            elif id not in seen:
                seen.add(id)
                todo.append((id, True))
                todo.extend((source, False) for source in reversed(edges.get(id, ())))
    return order
