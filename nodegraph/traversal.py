"""Walks over graphs given as `{node: [nodes it reads from]}`. None of them recurses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
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


def dependants(
    ids: Iterable[str], targets: Sequence[str], edges: Edges
) -> dict[str, tuple[str, ...]]:
    """For each of `ids`, the targets that need it, itself included if it is one.

    Sets of targets are bit masks, handed down from readers to what they read, one group of nodes
    that all need each other (a cycle, or a single node) at a time.
    """
    wanted = set(ids)
    if not wanted:
        return {}
    group = _groups(targets, edges)
    masks = dict.fromkeys(group.values(), 0)
    for bit, target in enumerate(targets):
        masks[group[target]] |= 1 << bit
    for id, head in group.items():  # readers come before what they read
        for source in edges.get(id, ()):
            masks[group[source]] |= masks[head]
    found: dict[str, tuple[str, ...]] = dict.fromkeys(wanted, ())
    for id in wanted & group.keys():
        found[id] = tuple(targets[bit] for bit in _bits(masks[group[id]]))
    return found


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


def _bits(mask: int) -> Iterator[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


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
