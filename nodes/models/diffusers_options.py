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


def one_value(given: Mapping[str, Any], name: str) -> Any:
    """Option `name`, which diffusers also lets be a list of equal entries."""
    value = given[name]
    values = set(value) if isinstance(value, (list, tuple)) else {value}
    if len(values) != 1:
        raise ArchitectureError(f"{name} must be the same at every level, got {value!r}")
    return values.pop()
