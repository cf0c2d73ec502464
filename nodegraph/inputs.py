"""One input of a node in a document: a literal, or a link [id, slot], checked against its port."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .expansion import Link
from .literals import Literals, Problem, short
from .node import NodeType
from .ports import Port
from .types import PRIMITIVES, accepts

LONGEST_ECHO = 200  # characters of a value that is sent back with the fault
TYPED = frozenset({*PRIMITIVES.values(), "COMBO"})  # what can be typed in

NOT_A_LINK = "Bad linked input, must be a length-2 list of [node_id, slot_index]"


class _Untyped:
    """Stands for a node whose type is not known; the fault stands there."""


UNTYPED = _Untyped()
Found = NodeType | _Untyped | None


@dataclass(frozen=True)
class Inputs:
    """Reads inputs. `find` tells the type of the node a link names; None: there is no such node."""

    literals: Literals
    find: Callable[[str], Found]

    def read(self, port: Port, given: Mapping[str, Any]) -> Any:
        """The value of a port as the graph holds it: a literal or a Link. Raises Problem."""
        try:
            value = given[port.name]
        except KeyError:
            return _default(port)
        if isinstance(value, list):
            return self._link(port, value)
        if isinstance(value, Mapping) and value.keys() == {"__value__"}:
            value = value["__value__"]
        if value is None and port.default is None:
            return None
        if port.socket:
            details = f"takes a link to an output of type {port.type}, not a value"
            raise Problem("invalid_input_type", "Input needs a link", details, _received(value))
        try:
            return self.literals.convert(port, value)
        except Problem as problem:
            problem.extra = _received(value)
            raise

    def _link(self, port: Port, value: list[Any]) -> Link:
        id, slot = _parts(value)
        kind = self.find(id)
        if kind is None:
            message = "Bad linked input, the node it names does not exist"
            details = f"the link goes to node {short(id)}, which is not in the graph"
            raise Problem("bad_linked_input", message, details, _received(value))
        if isinstance(kind, _Untyped):
            return Link(id, 0)
        index = slot_index(kind, slot)
        if index is None:
            listed = ", ".join(f"{i} {output.name}" for i, output in enumerate(kind.outputs))
            message = "Bad linked input, the output it names does not exist"
            details = f"node {id} ({kind.name}) has no output {short(slot)}; it has "
            details += listed or "none at all"
            raise Problem("bad_linked_input", message, details, _received(value))
        _check_types(port, Link(id, index), kind)
        return Link(id, index)


def slot_index(kind: NodeType, slot: int | str) -> int | None:
    """The output that a slot means, an index or a name (in any case); None if there is none."""
    if isinstance(slot, int):
        return slot if 0 <= slot < len(kind.outputs) else None
    names = [output.name for output in kind.outputs]
    if slot in names:
        return names.index(slot)
    lower = [name.lower() for name in names]
    if slot.lower() in lower:
        return lower.index(slot.lower())
    return slot_index(kind, int(slot)) if slot.isdecimal() and len(slot) < 6 else None


def json_safe(value: Any) -> Any:
    """`value` if JSON can carry it and it is short; else its beginning as text."""
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError, OverflowError):
        return f"a {type(value).__name__} that JSON cannot carry"
    return value if len(text) <= LONGEST_ECHO else text[: LONGEST_ECHO - 3] + "..."


def _default(port: Port) -> Any:
    if port.required:
        can_be_typed = not port.socket and TYPED.intersection(port.type.split(","))
        what = "a value" if can_be_typed else "a link to an output"
        details = f"{port.name} is required: give {what} of type {port.type}"
        raise Problem("required_input_missing", "Required input is missing", details)
    return port.default


def _parts(value: list[Any]) -> tuple[str, int | str]:
    """The id and slot of a link. JSON of some clients has 3 for "3", and 0.0 for 0."""
    if len(value) == 2:
        source, slot = value
        if isinstance(slot, float) and slot.is_integer():
            slot = int(slot)
        if _is_index(source) and abs(source) < 2**63:
            source = str(source)
        if isinstance(source, str) and (_is_index(slot) or isinstance(slot, str)):
            return source, slot
    example = '{"__value__": [...]}'
    details = f"{short(value)} is not a link [node id, output]; write a list as {example}"
    raise Problem("bad_linked_input", NOT_A_LINK, details, _received(value))


def _check_types(port: Port, link: Link, kind: NodeType) -> None:
    output = kind.outputs[int(link.slot)]
    if accepts(port.type, output.type):
        return
    details = (
        f"{port.name}, received_type({output.type}) mismatch input_type({port.type}): it takes "
        f"{port.type}, but output {output.name} of node {link.node} ({kind.name}) gives "
        f"{output.type}"
    )
    extra = {"received_type": output.type, "linked_node": [link.node, link.slot]}
    message = "Return type mismatch between linked nodes"
    raise Problem("return_type_mismatch", message, details, extra)


def _received(value: Any) -> dict[str, Any]:
    return {"received_value": json_safe(value)}


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
