"""Where the value of a link comes from, once everything that only exists in the editor is gone.

Cables are followed backwards through reroutes, bypassed nodes and the edges of subgraphs, in
either direction, until they end at a node that runs, at a value, or at nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nodegraph.types import ANYTHING

from .parts import BYPASSED, MUTED, Node, words
from .scopes import Scope

REROUTE, PRIMITIVE = "Reroute", "PrimitiveNode"
NOTES = frozenset({"Note", "MarkdownNote"})
VIRTUAL = NOTES | {REROUTE, PRIMITIVE}


@dataclass(frozen=True)
class FromNode:
    """The value is an output of a node of the document."""

    path: str
    slot: int


@dataclass(frozen=True)
class Held:
    """The value is known: a primitive or an instance of a subgraph holds it."""

    value: Any


@dataclass(frozen=True)
class Nowhere:
    """There is no value; `muted` is the muted node that would have given it, if it is that."""

    muted: str = ""


Source = FromNode | Held | Nowhere
NOTHING = Nowhere()
_Place = tuple[Scope, str, int]  # an output slot: level, node, slot


@dataclass
class Sources:
    """Follows links, each part of the way once."""

    _known: dict[_Place, Source] = field(default_factory=dict)

    def of(self, scope: Scope, link_id: str) -> Source:
        """What the link brings."""
        place = _behind(scope, link_id)
        passed: dict[_Place, None] = {}
        held: Source = NOTHING
        held_after = 0
        found: Source | None = None
        while found is None:
            if place is None or place in passed:
                found = NOTHING
            elif place in self._known:
                found = self._known[place]
            else:
                passed[place] = None
                value = _value_at_edge(place)
                if value is not NOTHING:
                    held, held_after = value, len(passed)
                step = _step(place)
                if isinstance(step, (FromNode, Held, Nowhere)):
                    found = step
                else:
                    place = step
        # What an instance holds counts only where nothing is connected to it from outside.
        best = held if isinstance(found, Nowhere) and isinstance(held, Held) else found
        for index, one in enumerate(passed):
            self._known[one] = best if index < held_after else found
        return best


def _behind(scope: Scope, link_id: str | None) -> _Place | None:
    link = scope.body.links.get(link_id or "")
    return None if link is None or link.slot < 0 else (scope, link.source, link.slot)


def _value_at_edge(place: _Place) -> Source:
    """What the instance around `place` holds for the input of the subgraph that it is."""
    scope, id, slot = place
    inputs = scope.body.inputs
    if scope.instance is None or id != scope.body.entrance or slot >= len(inputs):
        return NOTHING
    values = scope.hosted.inputs
    return Held(values[inputs[slot]]) if inputs[slot] in values else NOTHING


def _step(place: _Place) -> Source | _Place | None:
    """The next place behind this one, or the end of the way."""
    scope, id, slot = place
    if scope.instance is not None and id == scope.body.entrance:
        return _out_of(scope, slot)
    node = scope.body.nodes.get(id)
    if node is None or node.type in NOTES:
        return NOTHING
    if node.mode == MUTED:
        return Nowhere(scope.path(id))
    if node.mode == BYPASSED:
        return _behind(scope, _passed_through(node, slot))
    if node.type == REROUTE:
        return _behind(scope, node.inputs[0].link if node.inputs else None)
    if node.type == PRIMITIVE:
        return _primitive(scope, node)
    if id in scope.children:
        return _into(scope.children[id], node, slot)
    return FromNode(scope.path(id), slot)


def _out_of(scope: Scope, slot: int) -> _Place | None:
    if scope.instance is None or scope.parent is None or slot >= len(scope.body.inputs):
        return None
    entry = scope.instance.by_name.get(scope.body.inputs[slot])
    return None if entry is None else _behind(scope.parent, entry.link)


def _into(child: Scope, instance: Node, slot: int) -> _Place | None:
    # Outputs are told apart by name: an instance may lack some of its subgraph's.
    name = instance.outputs[slot].name if slot < len(instance.outputs) else ""
    link = child.body.giving.get(child.body.output_slots.get(name, slot))
    return None if link is None or link.slot < 0 else (child, link.source, link.slot)


def _primitive(scope: Scope, node: Node) -> Source:
    held: Mapping[str, Any] = scope.hosted.inner.get(node.id, {})
    values = list(held.values()) or (
        list(node.values.values()) if isinstance(node.values, Mapping) else node.values
    )
    return Held(values[0]) if values and values[0] is not None else NOTHING


def _passed_through(node: Node, slot: int) -> str | None:
    """The link that a bypassed node hands on at an output: that of the input at the same place
    if it has the output's type, else of the first input that has."""
    wanted = words(node.outputs[slot].type) if slot < len(node.outputs) else (ANYTHING,)
    here = words(node.inputs[slot].type) if slot < len(node.inputs) else ()
    if here and (ANYTHING in (*wanted, *here) or not set(wanted).isdisjoint(here)):
        return node.inputs[slot].link
    firsts = node.first_of_type
    places = [0] if ANYTHING in wanted else [firsts[w] for w in (*wanted, ANYTHING) if w in firsts]
    return node.inputs[min(places)].link if places and node.inputs else None
