"""One node's call: inputs gathered from the nodes before it, fanned out over lists, outputs sorted.

Where values come as a list (`Many`) and the port takes one, the node is called once per item; the
ecosystem's rule for lists of different lengths is that the shorter ones repeat their last item.
Ports declared as a list take the whole list in one call.
"""

from __future__ import annotations

import copy
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import BadValue, NodeFailed
from .expansion import Link
from .graph import Node
from .literals import Literals, Problem, short
from .node import NodeType
from .outputs import Shown
from .ports import REQUIRED, Port
from .values import Many

PLAIN = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})
UNKNOWN: Any = object()  # a lazy input nobody has asked for yet


@dataclass(frozen=True)
class Calls:
    """The calls a node's inputs ask for: the arguments of each, by name.

    many:    they are one for each item of a list, so that the results are lists as well.
    warning: the lists do not match.
    """

    arguments: Sequence[Mapping[str, Any]]
    many: bool = False
    warning: str = ""


def gather(node: Node, arrived: Mapping[str, Any], literals: Literals) -> dict[str, Any]:
    """The node's inputs by name; linked ones from `arrived`, plain ones among them checked.

    Raises BadValue where a value that arrived is out of range or not among the choices.
    """
    inputs: dict[str, Any] = {}
    for port in node.type.inputs:
        name = port.name
        value = node.inputs[name]
        if isinstance(value, Link):
            value = arrived.get(name, UNKNOWN)
            if value is not UNKNOWN:
                if port.type in PLAIN or "," in port.type:
                    value = _checked(node, port, value, literals)
                if port.is_list:
                    value = list(value.items) if isinstance(value, Many) else [value]
        inputs[name] = value
    return inputs


def _checked(node: Node, port: Port, value: Any, literals: Literals) -> Any:
    if isinstance(value, Many):
        return Many(tuple(_checked(node, port, item, literals) for item in value.items))
    if value is None and port.default is None:
        return None
    if not isinstance(value, (bool, int, float, str)):
        if isinstance(value, numbers.Real):  # numpy's numbers, too
            value = int(value) if isinstance(value, numbers.Integral) else float(value)
        elif not PLAIN.issuperset(port.type.split(",")):
            return value  # of one of the socket types; the link's type was checked
    try:
        # A list port takes items one by one here; `gather` puts the list together.
        return literals.item(port, value)
    except Problem as problem:
        raise BadValue(
            f"node {node.id} ({node.type.name}): {port.name} arrived over a link: "
            f"{problem.details}",
            node=node.id,
            class_type=node.type.name,
            input=port.name,
        ) from problem


def fan_out(kind: NodeType, inputs: Mapping[str, Any]) -> Calls:
    """The calls that these inputs ask for."""
    many = {
        name: value.items
        for name, value in inputs.items()
        if isinstance(value, Many) and not kind.by_name[name].is_list
    }
    if not many:
        return Calls([inputs])
    lengths = {name: len(items) for name, items in many.items()}
    count = 0 if 0 in lengths.values() else max(lengths.values())
    arguments = [
        {**inputs, **{name: items[min(i, len(items) - 1)] for name, items in many.items()}}
        for i in range(count)
    ]
    if all(length in (1, count) for length in lengths.values()):
        return Calls(arguments, many=True)
    listed = ", ".join(f"{name} has {length}" for name, length in lengths.items())
    warning = f"the lists differ in length ({listed}); "
    warning += "shorter ones repeat their last item" if count else "one is empty, so nothing runs"
    return Calls(arguments, many=True, warning=warning)


def arguments_of(node: Node, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What one call passes. Lists that are not a value of another node are this call's own."""
    passed = dict(inputs)
    for name, value in inputs.items():
        if value is UNKNOWN:
            default = node.type.by_name[name].default
            passed[name] = None if default is REQUIRED else default
        elif isinstance(value, (list, dict)):
            if not isinstance(node.inputs[name], Link):
                passed[name] = copy.deepcopy(value)
            elif node.type.by_name[name].is_list:
                passed[name] = list(value)
    return passed


def asked_for(node: Node, calls: Calls) -> list[str]:
    """The lazy inputs that the node's `needs` hook wants and that are not there yet."""
    kind = node.type
    if kind.needs is None:
        return []
    names: dict[str, None] = {}
    for arguments in calls.arguments:
        known = {name: None if v is UNKNOWN else v for name, v in arguments.items()}
        asked = kind.call_hook("needs", known) or ()
        names.update(dict.fromkeys([asked] if isinstance(asked, str) else asked))
    for name in names:
        if name not in kind.by_name:
            raise _misfit(node, f"asks for the input {short(name)}, which it does not have")
    unknown = {name for call in calls.arguments for name, v in call.items() if v is UNKNOWN}
    return [name for name in names if name in unknown]


@dataclass(frozen=True)
class Outcome:
    """What a node gave: one value for each output slot, and what it shows."""

    slots: tuple[Any, ...]
    shown: Shown | None = None

    @property
    def outputs(self) -> tuple[Any, ...]:
        """All of it, as results are kept: what it shows comes last."""
        return (*self.slots, self.shown)


def outcome(node: Node, results: Sequence[Any], *, fanned: bool) -> Outcome:
    """Sort the results of a node's calls into slots. Raises NodeFailed if they do not fit."""
    parts = [_split(node, result) for result in results]
    shown = joined([part.shown for part in parts if part.shown is not None])
    if not fanned:
        return Outcome(parts[0].slots, shown)
    slots: list[Any] = []
    for index in range(len(node.type.outputs)):
        values = [part.slots[index] for part in parts]
        lists = [value.items if isinstance(value, Many) else (value,) for value in values]
        slots.append(Many(tuple(item for items in lists for item in items)))
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
        tuple(_as_many(node, port, value) for port, value in zip(kind.outputs, slots, strict=True)),
        shown,
    )


def _as_many(node: Node, port: Port, value: Any) -> Any:
    if not port.is_list or isinstance(value, Many):
        return value
    if not isinstance(value, (list, tuple)):
        raise _misfit(node, f"output {port.name} is a list, but it gave {type(value).__name__}")
    return Many(tuple(value))


def joined(shown: Sequence[Shown]) -> Shown | None:
    """All there is to show, as one."""
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
