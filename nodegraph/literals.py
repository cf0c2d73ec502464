"""Literal values: what a document may write at an input, checked and brought to the port's type.

`Problem` says what is wrong in the words of the wire protocol (type, message) and of the user
(details). The same checks serve values that arrive over a link, where only the run knows them.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from .errors import FileMissing
from .ports import FileOf, Number, Port, Seed
from .registry import Registry
from .types import ANYTHING, PRIMITIVES

MAX_DEPTH = 64
SHOWN_OPTIONS = 20
LONGEST_SHOWN = 80  # characters of a value in a message
LONGEST_NAME = (
    200  # of a name that a nearest choice is looked for: the search is slow for long ones
)
INT_MIN, INT_MAX = -(2**63), 2**64 - 1  # what 64 bits hold, signed or not

NO_EXTRA: Mapping[str, Any] = MappingProxyType({})


class Problem(Exception):
    """A value does not fit its port. `extra`: machine-readable facts."""

    def __init__(
        self, type: str, message: str, details: str, extra: Mapping[str, Any] = NO_EXTRA
    ) -> None:
        super().__init__(details)
        self.type = type
        self.message = message
        self.details = details
        self.extra = extra


@dataclass(frozen=True)
class Literals:
    """Checks values against ports; file names and choices are looked up in `registry`."""

    registry: Registry

    def convert(self, port: Port, value: Any) -> Any:
        """The value as the node will get it. Raises Problem."""
        if port.is_list:
            items = value if isinstance(value, list) else [value]
            return [self.item(port, item) for item in items]
        return self.item(port, value)

    def item(self, port: Port, value: Any) -> Any:
        """One value; of a list port, one item. Raises Problem."""
        if port.type == ANYTHING:
            return _checked_tree(value)
        if "," not in port.type:
            return self._typed(port, port.type, value)
        problems: list[Problem] = []
        own = PRIMITIVES.get(type(value))  # "5" stays a text where either would do
        for wire in sorted(port.type.split(","), key=lambda wire: wire != own):
            try:
                return self._typed(port, wire, value)
            except Problem as problem:
                problems.append(problem)
        raise problems[0]

    def _typed(self, port: Port, wire: str, value: Any) -> Any:
        match wire:
            case "INT":
                return _in_range(port, _integer(value))
            case "FLOAT":
                return _in_range(port, _real(value))
            case "BOOLEAN":
                return _boolean(value)
            case "STRING":
                return _string(value)
            case "COMBO":
                return self._choice(port, value)
            case _:
                raise Problem(
                    "invalid_input_type",
                    f"Failed to convert an input value to a {wire} value",
                    f"takes a link to an output of type {wire}, not the value {short(value)}",
                )

    def _choice(self, port: Port, value: Any) -> str:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = short(value)  # names such as "2" are numbers in some clients
        if not isinstance(value, str):
            raise _not_a("COMBO", value, "one of the choices, as text")
        if isinstance(port.widget, FileOf):
            return self._file(port.widget, port.name, value)
        options = self.registry.options(port) or ()
        if value in options:
            return value
        same = [option for option in options if _slashes(option) == _slashes(value)]
        if same:
            return same[0]
        raise _not_in_list(port.name, value, options)

    def _file(self, widget: FileOf, name: str, value: str) -> str:
        if value in widget.extra or self.registry.folders is None:
            return value
        try:
            self.registry.folders.resolve(widget.kind, value)
        except FileMissing as error:
            raise Problem("value_not_in_list", "Value not in list", f"{name}: {error}") from error
        return _slashes(value)


def short(value: Any) -> str:
    """The value for a message: whole, or its beginning."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an int of thousands of digits, an endless list
        text = f"<{type(value).__name__} too large to show>"
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 3] + "..."


def _integer(value: Any) -> int:
    """An INT: 20, 20.0 or "20"; not 2.9, true, NaN or infinity."""
    if isinstance(value, str):
        try:
            value = float(value) if "." in value or "e" in value.lower() else int(value)
        except ValueError:
            raise _not_a("INT", value, "a whole number") from None
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _not_a("INT", value, "a whole number")
    if not INT_MIN <= value <= INT_MAX:
        raise _not_a("INT", value, "a whole number that fits 64 bits")
    return value


def _real(value: Any) -> float:
    """A FLOAT: any finite number; not true, NaN or infinity."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise _not_a("FLOAT", value, "a number") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _not_a("FLOAT", value, "a number")
    try:
        value = float(value)
    except OverflowError:
        raise _not_a("FLOAT", value, "a number that fits 64 bits") from None
    if not math.isfinite(value):
        raise _not_a("FLOAT", value, "a finite number")
    return value


def _boolean(value: Any) -> bool:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if isinstance(value, (bool, int)) and value in (0, 1):
        return bool(value)
    raise _not_a("BOOLEAN", value, "true or false")


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(_in_64_bits(value, "STRING"))
    raise _not_a("STRING", value, "text")


def _in_64_bits(value: int | float, wire: str) -> int | float:
    if isinstance(value, int) and not INT_MIN <= value <= INT_MAX:
        raise _not_a(wire, value, "a number that fits 64 bits")
    if not math.isfinite(value):
        raise _not_a(wire, value, "a finite number")
    return value


def _in_range(port: Port, value: int | float) -> int | float:
    if not isinstance(port.widget, (Number, Seed)):
        return value
    low, high = port.widget.min, port.widget.max
    if low is not None and value < low:
        raise Problem(
            "value_smaller_than_min",
            f"Value {short(value)} smaller than min of {low}",
            f"{short(value)} is below the smallest value, {low}",
        )
    if high is not None and value > high:
        raise Problem(
            "value_bigger_than_max",
            f"Value {short(value)} bigger than max of {high}",
            f"{short(value)} is above the largest value, {high}",
        )
    return value


def _checked_tree(value: Any) -> Any:
    """Any JSON value, refused if it nests too deep or holds NaN or infinity."""
    todo: list[tuple[Any, int]] = [(value, 0)]
    while todo:
        item, depth = todo.pop()
        if depth > MAX_DEPTH:
            raise Problem(
                "invalid_input_type",
                "Value is nested too deep",
                f"is nested more than {MAX_DEPTH} levels deep",
            )
        if isinstance(item, (int, float)):
            _in_64_bits(item, "number")
        else:
            todo.extend((child, depth + 1) for child in _children(item))
    return value


def _children(item: Any) -> Iterable[Any]:
    if item is None or isinstance(item, str):
        return ()
    if isinstance(item, (list, tuple)):
        return item
    if isinstance(item, dict) and all(isinstance(key, str) for key in item):
        return item.values()
    raise _not_a("JSON", item, "something JSON can carry")


def _not_a(wire: str, value: Any, expected: str) -> Problem:
    return Problem(
        "invalid_input_type",
        f"Failed to convert an input value to a {wire} value",
        f"{short(value)} is not {expected}",
    )


def _not_in_list(name: str, value: str, options: tuple[str, ...]) -> Problem:
    looked_for = value if len(value) <= LONGEST_NAME else ""
    close = difflib.get_close_matches(looked_for, options, n=1, cutoff=0.65)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    listed = ", ".join(options) if len(options) <= SHOWN_OPTIONS else f"{len(options)} choices"
    return Problem(
        "value_not_in_list",
        "Value not in list",
        f"{name}: {short(value)} is not among {listed or 'the choices: there are none'}{hint}",
    )


def _slashes(value: str) -> str:
    return value.replace("\\", "/")
