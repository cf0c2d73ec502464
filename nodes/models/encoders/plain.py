"""Frozen dataclasses of plain data as JSON, and back with every field checked."""

from __future__ import annotations

import json
from dataclasses import MISSING, asdict, fields
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_json(config: Any) -> str:
    """The fields of a dataclass as a JSON object."""
    return json.dumps(asdict(config), ensure_ascii=False)


def from_json(cls: type[T], text: str) -> T:
    """The inverse: fields may be bool, int, float, str, None, Literal, and tuples and unions.

    Raises ValueError where the text is no such object, or lacks a field, or has one too many or of
    another type; and what the class itself raises.
    """
    try:
        given = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(given, dict):
        raise ValueError("expected a JSON object")
    known = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
    _require([name for name in given if name not in known], "has {}, which this kind does not know")
    needed = [n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING]
    _require([name for name in needed if name not in given], "lacks {}")
    values = {name: _tuples(value) for name, value in given.items()}
    hints = get_type_hints(cls)
    for name, value in values.items():
        if not _fits(value, hints[name]):
            raise ValueError(f"{name} is {value!r}; expected {known[name].type}")
    return cls(**values)


def _require(names: list[str], complaint: str) -> None:
    if names:
        raise ValueError("it " + complaint.format(", ".join(names)))


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _fits(value: Any, hint: Any) -> bool:
    kind, parts = get_origin(hint), get_args(hint)
    if kind is tuple:
        if not isinstance(value, tuple):
            return False
        if parts[-1:] == (...,):
            return all(_fits(item, parts[0]) for item in value)
        return len(value) == len(parts) and all(map(_fits, value, parts))
    if kind is Literal:
        return value in parts
    if kind in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if hint in (None, NoneType):
        return value is None
    return type(value) is hint or (hint is float and type(value) is int)
