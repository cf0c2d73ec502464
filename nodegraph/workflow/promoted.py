"""Widgets of a subgraph's inner nodes that its instances show, and the values they hold there.

An instance's value wins over the inner node's own, so that two instances can differ. There have
been two ways to say which value is whose. Now: an inner widget hangs on an input of the subgraph,
and the instance's values are those of such inputs, in order. Before: `proxyWidgets` lists (inner
node, widget) in the order of the values; "-1" for the node means an input of the subgraph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nodegraph.registry import Registry

from .parts import Body, Input, Node
from .widgets import CONTROL_NAMES, SEED_NAMES, Slot, name_values, slots_of

OWN_INPUT = "-1"
PREVIEW = "$$"  # begins the names of pictures shown, which hold no value


@dataclass(frozen=True)
class Hosted:
    """Values that an instance holds.

    inputs: by the name of the subgraph's input that carries them.
    inner:  by inner node, then by widget.
    """

    inputs: Mapping[str, Any] = field(default_factory=dict)
    inner: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def overridden(self, values: Mapping[str, Any], instance: Node, body: Body) -> Hosted:
        """With values that a level further out holds for the instance's widgets, by name."""
        if not values:
            return self
        own = set(body.inputs)
        shown = {name: id for id, name in instance.promoted if id != OWN_INPUT}
        deeper = {(shown[name], name): v for name, v in values.items() if name in shown}
        inputs = {name: value for name, value in values.items() if name in own}
        return Hosted({**self.inputs, **inputs}, _nested(deeper, self.inner))


def hosted_values(instance: Node, body: Body, registry: Registry) -> Hosted | None:
    """What an instance of `body` holds; None if its values fit no known order."""
    values = instance.values
    if not values:
        return Hosted()
    if isinstance(values, Mapping):
        pairs = {pair: values[pair[1]] for pair in instance.promoted if pair[1] in values}
        return listed(pairs | {(OWN_INPUT, name): value for name, value in values.items()})
    if len(instance.promoted) == len(values):
        return listed(dict(zip(instance.promoted, values, strict=True)))
    named = name_values(values, _input_slots(body, registry))
    return Hosted(named.values) if named.fits else None


def listed(values: Mapping[tuple[str, str], Any]) -> Hosted:
    """Values by (inner node, widget), sorted; "-1" for the node means the subgraph's inputs."""
    held = {
        (id, name): value
        for (id, name), value in values.items()
        if value is not None and name not in CONTROL_NAMES and not name.startswith(PREVIEW)
    }
    inner = {pair: value for pair, value in held.items() if pair[0] != OWN_INPUT}
    inputs = {name: value for (id, name), value in held.items() if id == OWN_INPUT}
    return Hosted(inputs, _nested(inner, {}))


def _nested(
    pairs: Mapping[tuple[str, str], Any], base: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    found = {id: dict(widgets) for id, widgets in base.items()}
    for (id, name), value in pairs.items():
        found.setdefault(id, {})[name] = value
    return found


def _input_slots(body: Body, registry: Registry) -> list[Slot]:
    """The places of values for those inputs of the subgraph that feed a widget inside."""
    return [
        slot
        for index, name in enumerate(body.inputs)
        if index in body.receiving
        and (slot := _input_slot(name, *body.receiving[index], registry)) is not None
    ]


def _input_slot(name: str, node: Node, entry: Input, registry: Registry) -> Slot | None:
    kind = registry.nodes.get(node.type)
    widget = entry.widget or entry.name
    if kind is not None:
        known = {slot.name: slot for slot in slots_of(kind)}
        if widget in known:
            return Slot(name, known[widget].seed, known[widget].text)
    if entry.widget is None:
        return None
    return Slot(name, widget in SEED_NAMES, entry.type in ("STRING", "COMBO"))
