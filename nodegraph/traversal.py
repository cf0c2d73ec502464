"""Walks over graphs given as `{node: [nodes it reads from]}`. None of them recurses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

Edges = Mapping[str, Sequence[str]]
_PASSES = 8
_DIGITS = re.compile(r"(\d+)")


def natural(id: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key that puts "9" before "10"; total, so that order depends on nothing else."""
    parts = _DIGITS.split(id)
    return (
        *((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts if part),
    )


def find_cycle(edges: Edges) -> list[str]:
    """The nodes of one cycle, first and last the same, each reading from the one before it."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for id in sorted(edges, key=natural):
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

    Sets of targets are bit masks handed down from readers to what they read: one pass for a graph
    without cycles, a few more with them.
    """
    order = post_order(targets, edges)
    masks = dict.fromkeys(order, 0)
    for bit, target in enumerate(targets):
        masks[target] = masks.get(target, 0) | 1 << bit
    for _ in range(_PASSES):
        changed = False
        for id in reversed(order):
            for source in edges.get(id, ()):
                merged = masks[source] | masks[id]
                changed = changed or merged != masks[source]
                masks[source] = merged
        if not changed:
            break
    return {
        id: tuple(target for bit, target in enumerate(targets) if masks.get(id, 0) >> bit & 1)
        for id in ids
    }


def post_order(targets: Iterable[str], edges: Edges) -> list[str]:
    """`targets` and all they need, each after what it reads from, one target's need at a time.

    Depth first, so that a branch is finished, and its memory free, before the next begins. The
    graph must have no cycle.
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
