"""Aspect buckets: which size each picture is brought to, so that batches are of one shape."""

from __future__ import annotations

import math
from collections.abc import Sequence

Size = tuple[int, int]
"""(width, height) in pixels."""


def bucket_sizes(resolution: int, step: int, widest: float = 2.0) -> tuple[Size, ...]:
    """Sizes of about resolution² pixels with sides that are multiples of `step`, narrow to wide.

    The square is always among them; no side is more than `widest` times the other. Raises
    ValueError where the resolution is no multiple of the step.
    """
    if step < 1 or resolution < step or resolution % step:
        raise ValueError(
            f"resolution: expected a multiple of the step, {step}, got {resolution}: "
            "choose another, or a smaller step"
        )
    if not widest >= 1:
        raise ValueError(f"widest: expected at least 1, got {widest}")
    found = {(resolution, resolution)}
    for width in range(resolution, int(resolution * math.sqrt(widest)) + step, step):
        height = max(round(resolution**2 / width / step), 1) * step
        if width <= widest * height:
            found |= {(width, height), (height, width)}
    return tuple(sorted(found, key=lambda size: (size[0] / size[1], size)))


def nearest_size(size: Size, sizes: Sequence[Size]) -> Size:
    """The one of `sizes` whose aspect is nearest, by the ratio of the two aspects."""
    aspect = math.log(size[0] / size[1])
    return min(sizes, key=lambda other: (abs(math.log(other[0] / other[1]) - aspect), other))


def covering(size: Size, target: Size) -> Size:
    """`size` scaled by one factor so that it just covers `target`; at least `target` each side."""
    factor = max(target[0] / size[0], target[1] / size[1])
    width, height = (round(side * factor) for side in size)
    return max(width, target[0]), max(height, target[1])
