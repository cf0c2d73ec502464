"""Names for the values of widgets, which the editor stores by position.

The editor draws a widget for each INT, FLOAT, STRING, BOOLEAN and COMBO port, required ports first,
and stores their values in that order. Two kinds of values belong to no port: what is to become of
a seed after a run follows the seed, and files to upload have a button, whose value comes last (or,
in older files, after the file's name).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nodegraph.catalogue import widget_ports
from nodegraph.node import FileOf, NodeType, Seed

CONTROLS = frozenset({"fixed", "increment", "decrement", "randomize", "increment-wrap"})
CONTROL_NAMES = frozenset({"control_after_generate", "control_before_generate"})
HIDDEN_NAMES = CONTROL_NAMES | {"upload", "control_filter_list"}
UPLOAD = "image"
SEED_NAMES = frozenset({"seed", "noise_seed"})


@dataclass(frozen=True)
class Slot:
    """The place of one value.

    seed:   what becomes of it after a run may follow.
    text:   it holds text itself, so that "fixed" might be its own value.
    upload: the value of an upload button may follow.
    """

    name: str
    seed: bool = False
    text: bool = False
    upload: bool = False


@dataclass(frozen=True)
class Named:
    """Values by name; how many were left over, and how many slots got none."""

    values: dict[str, Any]
    surplus: int = 0
    missing: int = 0

    @property
    def fits(self) -> bool:
        """Whether there was exactly one value for each slot."""
        return not self.surplus and not self.missing


def slots_of(kind: NodeType) -> list[Slot]:
    """The places of a node's widgets, in the editor's order."""
    return [
        Slot(
            port.name,
            isinstance(port.widget, Seed) or (port.type == "INT" and port.name in SEED_NAMES),
            port.type in ("STRING", "COMBO"),
            isinstance(port.widget, FileOf) and port.widget.upload,
        )
        for port in widget_ports(kind)
    ]


def name_values(values: Sequence[Any] | Mapping[str, Any], slots: Sequence[Slot]) -> Named:
    """The values by the names of their slots. Null stands for no value."""
    if not isinstance(values, Mapping):
        return _by_position(values, slots)
    known = {slot.name for slot in slots}
    strange = sum(name not in known and name not in HIDDEN_NAMES for name in values)
    return _named([(name, value) for name, value in values.items() if name in known], strange, 0)


def _by_position(values: Sequence[Any], slots: Sequence[Slot]) -> Named:
    pairs: list[tuple[str, Any]] = []
    at = 0
    for slot in slots:
        if at >= len(values):
            break
        pairs.append((slot.name, values[at]))
        at += 1
        following = slots[len(pairs) : len(pairs) + 1]
        spare = len(values) - at > len(slots) - len(pairs)
        if at < len(values) and _belongs_to_no_port(values[at], slot, following, spare):
            at += 1
    if at < len(values) and values[at] == UPLOAD and any(slot.upload for slot in slots):
        at += 1
    return _named(pairs, len(values) - at, len(slots) - len(pairs))


def _named(pairs: Sequence[tuple[str, Any]], surplus: int, missing: int) -> Named:
    given = {name: value for name, value in pairs if value is not None}
    return Named(given, surplus, missing)


def _belongs_to_no_port(value: Any, before: Slot, following: Sequence[Slot], spare: bool) -> bool:
    """Whether the value after that of `before` is not the `following` slot's.

    spare: there are more values than slots left.
    """
    if before.seed:
        if isinstance(value, bool):  # how the first editors stored it
            return spare
        unlikely = not following or not following[0].text
        return isinstance(value, str) and value in CONTROLS and (spare or unlikely)
    return before.upload and value == UPLOAD and spare and bool(following)
