"""Which of T training times a walk of n steps visits (arXiv:2305.08891, table 2).

All results are whole times in 0..T−1, descending.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType


def leading(steps: int, T: int = 1000) -> list[int]:
    """0, k, 2k, ... with k = T // steps: starts below T − 1, ends at 0."""
    return [i * (T // steps) for i in reversed(range(steps))]


def linspace(steps: int, T: int = 1000) -> list[int]:
    """`steps` times from T − 1 to 0, both included; one step is time 0."""
    gap = (T - 1) / max(steps - 1, 1)
    return [round(i * gap) for i in reversed(range(steps))]


def trailing(steps: int, T: int = 1000) -> list[int]:
    """T − 1, T − 1 − T/steps, ...: starts at the last time, as zero terminal SNR needs."""
    gap = (T - T / steps) - T  # as a difference: ties must round as the ecosystem's tables do
    return [round(T + i * gap) - 1 for i in range(steps)]


TIME_SPACINGS: Mapping[str, Callable[[int, int], list[int]]] = MappingProxyType(
    {"leading": leading, "linspace": linspace, "trailing": trailing}
)


def spaced_times(name: str, steps: int, T: int = 1000, *, offset: int = 0) -> list[int]:
    """The `steps` times of a spacing named in `TIME_SPACINGS`, each moved up by `offset`."""
    if name not in TIME_SPACINGS:
        raise ValueError(f"time spacing {name!r}: expected one of {', '.join(TIME_SPACINGS)}")
    if not 1 <= steps <= T:
        raise ValueError(f"steps: expected 1..{T} (the training steps), got {steps}")
    times = [t + offset for t in TIME_SPACINGS[name](steps, T)]
    if times[0] >= T or times[-1] < 0:
        raise ValueError(f"offset {offset} moves the times out of 0..{T - 1}: {times}")
    return times
