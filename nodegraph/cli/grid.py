"""--grid: the same graph for every combination of values; what they share is computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from ..documents import parse_values
from ..errors import SettingsError

MAX_RUNS = 10_000


@dataclass(frozen=True)
class Axis:
    """An input, by "node.input", and the values it takes."""

    name: str
    values: tuple[Any, ...]


def parse_axes(options: Sequence[str]) -> tuple[Axis, ...]:
    """`("3.seed=1,2", "3.cfg=4,8")` -> axes. Raises SettingsError."""
    axes = []
    for option in options:
        name, equals, text = option.partition("=")
        values = tuple(parse_values(text)) if text else ()
        if not equals or "." not in name or not values:
            raise SettingsError(
                f"--grid {option}: expected NODE.INPUT=a,b,c or NODE.INPUT=[a, b, c]"
            )
        axes.append(Axis(name.strip(), values))
    count = 1
    for axis in axes:
        count *= len(axis.values)
    if count > MAX_RUNS:
        raise SettingsError(f"--grid: {count:,} combinations; the limit is {MAX_RUNS:,}")
    return tuple(axes)


def combinations(axes: Sequence[Axis]) -> Iterator[dict[str, Any]]:
    """Every combination, the last axis fastest."""
    for values in product(*(axis.values for axis in axes)):
        yield {axis.name: value for axis, value in zip(axes, values, strict=True)}


def label(values: dict[str, Any]) -> str:
    """`3.seed=1 3.cfg=4`"""
    return " ".join(f"{name}={value}" for name, value in values.items())
