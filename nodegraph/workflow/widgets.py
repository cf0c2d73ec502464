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
    if isinstance(values, Mapping):
        known = {slot.name for slot in slots}
        named = {name: value for name, value in values.items() if name in known}
        left = sum(name not in known | HIDDEN_NAMES for name in values)
    else:
        named, left = _by_position(values, slots)
    given = {name: value for name, value in named.items() if value is not None}
    return Named(given, left, len(slots) - len(named))


def _by_position(values: Sequence[Any], slots: Sequence[Slot]) -> tuple[dict[str, Any], int]:
    named: dict[str, Any] = {}
    at = 0
    for place, slot in enumerate(slots):
        if at >= len(values):
            break
        named[slot.name] = values[at]
        at += 1
        at += at < len(values) and _belongs_to_no_port(values, at, slots, place)
    if at < len(values) and values[at] == UPLOAD and any(slot.upload for slot in slots):
        at += 1
    return named, len(values) - at


def _belongs_to_no_port(values: Sequence[Any], at: int, slots: Sequence[Slot], place: int) -> bool:
    """Whether the value at `at`, which follows that of slot `place`, is not the next slot's."""
    value, following = values[at], slots[place + 1 :]
    to_spare = len(values) - at > len(following)
    if slots[place].seed:
        if isinstance(value, bool):  # how the first editors stored it
            return to_spare
        unlikely = not following or not following[0].text
        return isinstance(value, str) and value in CONTROLS and (to_spare or unlikely)
    return slots[place].upload and value == UPLOAD and to_spare and bool(following)
