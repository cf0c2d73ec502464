"""One node's call: inputs gathered from the nodes before it, fanned out over lists, outputs sorted.

Where values come as a list (`Many`) and the port takes one, the node is called once per item; the
ecosystem's rule for lists of different lengths is that the shorter ones repeat their last item.
Ports declared as a list take the whole list in one call.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import BadValue, NodeFailed
from .expansion import Link
from .graph import Node
from .literals import Literals, Problem
from .node import NodeType, Port
from .outputs import Shown
from .values import Many

PLAIN = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})
UNKNOWN: Any = object()  # a lazy input nobody has asked for yet


@dataclass(frozen=True)
class Call:
    """The arguments of one call of a node's function."""

    arguments: Mapping[str, Any]


def gather(node: Node, arrived: Mapping[str, Any], literals: Literals) -> dict[str, Any]:
    """The node's inputs by name; linked ones from `arrived`, plain ones among them checked.

    Raises BadValue where a value that arrived is out of range or not among the choices.
    """
    inputs: dict[str, Any] = {}
    for port in node.type.inputs:
        given = node.inputs.get(port.name)
        if not isinstance(given, Link):
            # A node may change a list it is given; the graph's own must stay as it is.
            inputs[port.name] = copy.deepcopy(given) if isinstance(given, (list, dict)) else given
        elif port.name not in arrived:
            inputs[port.name] = UNKNOWN
        elif port.type in PLAIN or "," in port.type:
            inputs[port.name] = _checked(node, port, arrived[port.name], literals)
        else:
            inputs[port.name] = arrived[port.name]
    return inputs


def _checked(node: Node, port: Port, value: Any, literals: Literals) -> Any:
    if isinstance(value, Many):
        return Many(tuple(_checked(node, port, item, literals) for item in value.items))
    if not isinstance(value, (bool, int, float, str)):
        return value  # a socket type of a union; the link's type was checked
    try:
        # A list port takes items one by one here; `fan_out` puts the list together.
        converted = literals.convert(port, value)
    except Problem as problem:
        raise BadValue(
            f"{port.name} arrived over a link: {problem.details}",
            node=node.id,
            class_type=node.type.name,
            input=port.name,
        ) from problem
    return converted[0] if port.is_list else converted


def fan_out(kind: NodeType, inputs: Mapping[str, Any]) -> tuple[list[Call], str | None]:
    """The calls that these inputs ask for, and a warning if the lists do not match."""
    whole = {port.name for port in kind.inputs if port.is_list}
    many = {
        name: value.items
        for name, value in inputs.items()
        if isinstance(value, Many) and name not in whole
    }
    fixed = {
        name: _as_list(value) if name in whole and value is not None else value
        for name, value in inputs.items()
        if name not in many
    }
    if not many:
        return [Call(fixed)], None
    lengths = {name: len(items) for name, items in many.items()}
    count = 0 if 0 in lengths.values() else max(lengths.values())
    calls = [
        Call({**fixed, **{name: items[min(i, len(items) - 1)] for name, items in many.items()}})
        for i in range(count)
    ]
    uneven = {length for length in lengths.values() if length not in (1, count)}
    if not uneven:
        return calls, None
    listed = ", ".join(f"{name} has {length}" for name, length in lengths.items())
    return calls, f"the lists differ in length ({listed}); shorter ones repeat their last item"


def _as_list(value: Any) -> Any:
    if isinstance(value, Many):
        return list(value.items)
    return value if isinstance(value, list) or value is UNKNOWN else [value]


@dataclass(frozen=True)
class Outcome:
    """What a node gave: one value for each output slot, and what it shows."""

    slots: tuple[Any, ...]
    shown: Shown | None = None


def outcome(node: Node, results: Sequence[Any], *, fanned: bool) -> Outcome:
    """Sort the results of a node's calls into slots. Raises NodeFailed if they do not fit."""
    parts = [_split(node, result) for result in results]
    shown = _joined([part.shown for part in parts if part.shown is not None])
    if not fanned:
        return Outcome(parts[0].slots, shown)
    slots: list[Any] = []
    for index, port in enumerate(node.type.outputs):
        values = [part.slots[index] for part in parts]
        flat = [item for value in values for item in value.items] if port.is_list else values
        slots.append(Many(tuple(flat)))
    return Outcome(tuple(slots), shown)


def _split(node: Node, result: Any) -> Outcome:
    kind = node.type
    if isinstance(result, Outcome):
        return result
    if kind.unpack:
        if not isinstance(result, tuple):
            raise _misfit(node, f"returned a {type(result).__name__}, not its NamedTuple")
        shown = next((item for item in result if isinstance(item, Shown)), None)
        slots = tuple(item for item in result if not isinstance(item, Shown))
    elif kind.outputs:
        shown, slots = None, (result,)
    else:
        shown, slots = (result, ()) if isinstance(result, Shown) else (None, ())
    if len(slots) != len(kind.outputs):
        raise _misfit(node, f"returned {len(slots)} values for {len(kind.outputs)} outputs")
    return Outcome(
        tuple(
            _as_many(node, port, value) for port, value in zip(kind.outputs, slots, strict=True)
        ),
        shown,
    )


def _as_many(node: Node, port: Port, value: Any) -> Any:
    if not port.is_list or isinstance(value, Many):
        return value
    if not isinstance(value, (list, tuple)):
        raise _misfit(node, f"output {port.name} is a list, but it gave {type(value).__name__}")
    return Many(tuple(value))


def _joined(shown: Sequence[Shown]) -> Shown | None:
    if len(shown) < 2:
        return shown[0] if shown else None
    files = tuple(file for each in shown for file in each.files)
    names = dict.fromkeys(name for each in shown for name in each.values)
    values = {name: [v for each in shown for v in each.values.get(name, ())] for name in names}
    return Shown(files, shown[0].key, values)


def _misfit(node: Node, complaint: str) -> NodeFailed:
    return NodeFailed(
        f"node {node.id} ({node.type.name}) {complaint}", node=node.id, class_type=node.type.name
    )
