"""Figures of a node that learns, as points of curves: no more than anybody can see, or need keep.

A run of a hundred thousand steps has about a thousand points, each the mean since the one before.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

POINTS = 1000  # of a curve, about
MOST = 2 * POINTS  # points and samples of one node, whatever it says of its steps
NAMES = 16  # figures of one point
LETTERS = 60  # of a name


@dataclass
class Curve:
    """The points of one node."""

    count: int = 0
    _told: float = -math.inf  # the step of the last point
    _sums: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, step: int, total: int, figures: Mapping[str, float]) -> dict[str, float] | None:
        """Take in the figures of a step. The point that is due with them; None if none is.

        What is no finite number is left out, as JSON has no name for it.
        """
        for name, value in list(figures.items())[:NAMES]:
            if math.isfinite(value):
                self._sums[name[:LETTERS]].append(float(value))
        due = step >= total or step - self._told >= total / POINTS
        if not due or not self._sums or not self.room():
            return None
        self._told = step
        point = {name: math.fsum(values) / len(values) for name, values in self._sums.items()}
        self._sums.clear()
        return point

    def room(self) -> bool:
        """Whether one more may be told; it counts as told."""
        self.count += self.count < MOST
        return self.count < MOST
