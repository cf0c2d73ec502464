"""Reading the options of a diffusers config.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import ArchitectureError


def require_options(
    given: Mapping[str, Any], fixed: Mapping[str, tuple[Any, ...]], model: str
) -> None:
    """Raise ArchitectureError for the first option of `fixed` that has none of its values.

    An option may be missing; a list has a value where each of its entries does.
    """
    for name, allowed in fixed.items():
        value = given.get(name, allowed[0])
        values = value if isinstance(value, (list, tuple)) else [value]
        if any(entry not in allowed for entry in values):
            raise ArchitectureError(
                f"{model} with {name} = {value!r} is not supported; "
                f"supported: {', '.join(map(repr, allowed))}"
            )


def per_level(given: Mapping[str, Any], name: str, levels: int) -> tuple[int, ...]:
    """Option `name` as one whole number a level; a single number holds for all."""
    value = given[name]
    values = tuple(value) if isinstance(value, (list, tuple)) else (value,) * levels
    if len(values) != levels or any(type(entry) is not int or entry < 1 for entry in values):
        raise ArchitectureError(
            f"{name} must be a whole number from 1 up, or a list of {levels}, got {value!r}"
        )
    return values


def whole(given: Mapping[str, Any], name: str) -> int:
    """Option `name` as a whole number from 1 up; diffusers also lets it be a list of equal ones."""
    value = given[name]
    values = set(value) if isinstance(value, (list, tuple)) else {value}
    number = values.pop() if len(values) == 1 else None
    if type(number) is not int or number < 1:
        raise ArchitectureError(
            f"{name} must be a whole number from 1 up, the same at every level, got {value!r}"
        )
    return number


def widths(given: Mapping[str, Any]) -> tuple[int, tuple[int, ...]]:
    """block_out_channels as the first level's channels and every level's multiple of them."""
    value = given["block_out_channels"]
    channels = per_level(
        given, "block_out_channels", len(value) if hasattr(value, "__len__") else 1
    )
    base = channels[0]
    if bad := [width for width in channels if width % base]:
        raise ArchitectureError(f"block_out_channels: {bad[0]} is no multiple of {base}")
    return base, tuple(width // base for width in channels)
