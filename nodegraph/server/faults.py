"""Faults of a graph with what clients of the ecosystem look for beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nodegraph.catalogue import port_info
from nodegraph.errors import Fault

if TYPE_CHECKING:
    from nodegraph.graph import Checked
    from nodegraph.registry import Registry

MOST = 1000  # faults of a graph that a client is told of, and as many warnings
LONG = 20  # choices; of a longer list a client is told nothing
WITHOUT = frozenset({"required_input_missing", "unknown_input"})  # these are about no value


def told(checked: Checked, registry: Registry) -> Checked:
    """What a client is told of a graph: not of every fault of a hundred thousand."""
    faults = with_ports(checked.faults[:MOST], registry)
    return replace(checked, faults=faults, warnings=checked.warnings[:MOST])


def with_ports(faults: Iterable[Fault], registry: Registry) -> tuple[Fault, ...]:
    """The same faults; one about the value of an input says what the catalogue says of its port."""
    known: dict[tuple[str, str], list[Any] | None] = {}
    return tuple(_with_port(fault, registry, known) for fault in faults)


def _with_port(
    fault: Fault, registry: Registry, known: dict[tuple[str, str], list[Any] | None]
) -> Fault:
    if fault.input is None or fault.class_type is None or fault.type in WITHOUT:
        return fault
    place = (fault.class_type, fault.input)
    if place not in known:
        known[place] = _config(registry, *place)
    extra: Mapping[str, Any] = {"input_config": known[place], **fault.extra}
    if fault.type == "invalid_input_type":
        extra = {"exception_message": fault.details, **extra}
    return replace(fault, extra=extra)


def _config(registry: Registry, class_type: str, name: str) -> list[Any] | None:
    kind = registry.nodes.get(class_type)
    port = None if kind is None else kind.by_name.get(name)
    if port is None:
        return None
    config = port_info(registry, port)
    choices = config[0]
    return None if isinstance(choices, list) and len(choices) > LONG else config
