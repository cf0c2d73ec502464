"""Counterparts of areas: what a part of the picture is guided towards, and away from.

Guidance compares two answers about the same question. An area on one side that is seen in crops is
therefore asked about in the same crop on the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nodes.diffusion.condition import Condition


def paired(*sides: tuple[Condition, ...]) -> tuple[tuple[Condition, ...], ...]:
    """The sides with, for each entry with an area, a counterpart on every other side.

    The counterpart says what the smallest entry that contains the area says there, else the first
    unrestricted one; where, how much and when, and under which local hooks, it takes from the entry
    it answers to. A side that has an entry of that very area, none that covers it, or none at all
    gets nothing.
    """
    made = [list(side) for side in sides]
    for side in made:
        for entry in side:
            for other in made:
                found = None if other is side else _covering(entry, other)
                if found is not None and found.area != entry.area:
                    other.append(_like(entry, found))
    return tuple(tuple(side) for side in made)


def _covering(entry: Condition, others: Sequence[Condition]) -> Condition | None:
    """The smallest of the others that covers the area of the entry; None for one without area."""
    area = entry.area
    if area is None:
        return None
    around = [(c.area.cells, c) for c in others if c.area is not None and c.area.contains(area)]
    anywhere = [c for c in others if c.area is None]
    if around:
        return min(around, key=lambda pair: pair[0])[1]
    return anywhere[0] if anywhere else None


def _like(entry: Condition, found: Condition) -> Condition:
    words = tuple(hook for hook in found.hooks if not hook.local)
    place = tuple(hook for hook in entry.hooks if hook.local)
    return replace(
        entry, context=found.context, concat=found.concat, hooks=words + place, y=found.y
    )
