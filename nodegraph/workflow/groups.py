"""Group nodes ("workflow>name"), the forerunners of subgraphs, read as definitions of subgraphs.

The file keeps them in `extra.groupNodes`: nodes by index, links [source index, slot, target index,
slot] between them, outputs that are seen outside though used inside (`external`), and what the user
hid or renamed (`config`). An input that nothing inside feeds is an input of the group, in order of
the inner nodes; so is every widget, and every output that is not used inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from nodegraph.errors import DocumentError
from nodegraph.registry import Registry

from .parts import ENTRANCE, EXIT, Body, Input, Link, Node
from .reading import read_node, read_slot
from .widgets import Slot, slots_of

PREFIXES = ("workflow>", "workflow/")


@dataclass(frozen=True)
class Group:
    """The definition of a group node. `shown` holds the name of each of the body's inputs."""

    body: Body
    shown: tuple[str, ...]
    hidden: frozenset[tuple[str, str]]

    def adapted(self, instance: Node) -> Node:
        """The instance with the names of its inputs replaced by those of the body's.

        Names that fit nothing are matched by their order, if as many of the body's are left.
        """
        left = dict(zip(self.shown, self.body.inputs, strict=True))
        inner = {entry.name: left.pop(entry.name, "") for entry in instance.inputs}
        strangers = [name for name, found in inner.items() if not found]
        if len(strangers) == len(left):
            inner |= dict(zip(strangers, left.values(), strict=True))
        inputs = tuple(
            replace(entry, name=inner[entry.name] or entry.name) for entry in instance.inputs
        )
        return replace(instance, inputs=inputs)

    def widget_slots(self, registry: Registry) -> list[Slot] | None:
        """The places of the instance's values, named "inner node:widget"; None if unknown."""
        slots: list[Slot] = []
        for node in self.body.nodes.values():
            kind = registry.nodes.get(node.type)
            if kind is None and node.values and node.type != "PrimitiveNode":
                return None
            found = (
                slots_of(kind)
                if kind
                else [Slot("value", seed=True, text=True)] * bool(node.values)
            )
            fed = {entry.widget for entry in node.inputs if self._fed_inside(entry)}
            slots += [
                replace(slot, name=f"{node.id}:{slot.name}")
                for slot in found
                if slot.name not in fed and (node.id, slot.name) not in self.hidden
            ]
        return slots

    def _fed_inside(self, entry: Input) -> bool:
        return entry.link is not None and self.body.links[entry.link].source != ENTRANCE


def group_name(type: str) -> str | None:
    """The name in a group node's type, or None if it is the type of another node."""
    return type[len(PREFIXES[0]) :] if type.startswith(PREFIXES) else None


def read_group(data: Any, where: str) -> Group:
    """The definition of a group node. Raises DocumentError, saying where."""
    if not isinstance(data, Mapping) or not isinstance(data.get("nodes"), list):
        raise DocumentError(f'{where} is not a group: it has no list "nodes"')
    nodes = [
        read_node(entry, f"{where}.nodes[{index}]", str(index))
        for index, entry in enumerate(data["nodes"])
    ]
    cables = [
        cable
        for index, entry in enumerate(_list(data.get("links")))
        if (cable := _cable(entry, f"{where}.links[{index}]"))
    ]
    links = {f"inside {index}": cable for index, cable in enumerate(cables)}
    for slot, (id, inner) in enumerate(_seen_outside(data, nodes, cables)):
        links[f"out {slot}"] = Link(id, inner, EXIT, slot)
    return _wired(nodes, links, data.get("config"))


def _wired(nodes: Iterable[Node], links: dict[str, Link], config: Any) -> Group:
    """The group, whose inputs are those that none of `links` feeds; `links` gains theirs."""
    hidden = frozenset(_hidden(config, "input"))
    names = _renamed(config)
    feeding = {(link.target, link.target_slot): id for id, link in links.items()}
    shown: dict[str, str] = {}
    wired: dict[str, Node] = {}
    for node in nodes:
        entries = []
        for slot, entry in enumerate(node.inputs):
            id = feeding.get((node.id, slot))
            if id is None and (node.id, entry.name) not in hidden:
                id = f"outside {node.id}:{slot}"
                links[id] = Link(ENTRANCE, len(shown), node.id, slot)
                name = names.get((node.id, entry.name), entry.name)
                shown[_shown_name(name, slot, node, shown)] = f"{node.id}:{slot}"
            entries.append(replace(entry, link=id))
        wired[node.id] = replace(node, inputs=tuple(entries))
    return Group(Body(wired, links, tuple(shown.values())), tuple(shown), hidden)


def _cable(entry: Any, where: str) -> Link | None:
    if not isinstance(entry, list) or len(entry) < 4:
        raise DocumentError(f"{where}: expected [source, slot, target, slot]")
    if entry[0] is None or entry[2] is None:  # leads out of the group
        return None
    source, slot, target, target_slot = (read_slot(item, where) for item in entry[:4])
    return Link(str(source), slot, str(target), target_slot)


def _seen_outside(
    data: Mapping[str, Any], nodes: Iterable[Node], cables: Iterable[Link]
) -> list[tuple[str, int]]:
    used = {(link.source, link.slot) for link in cables}
    external = _list(data.get("external"))
    kept = {(str(item[0]), item[1]) for item in external if _is_pair(item)}
    hidden = frozenset(_hidden(data.get("config"), "output"))
    return [
        (node.id, slot)
        for node in nodes
        for slot in range(len(node.outputs))
        if ((node.id, slot) not in used or (node.id, slot) in kept)
        and (node.id, str(slot)) not in hidden
    ]


def _is_pair(item: Any) -> bool:
    return isinstance(item, list) and len(item) >= 2 and all(isinstance(i, int) for i in item[:2])


def _entries(config: Any, section: str) -> list[tuple[str, str, Mapping[str, Any]]]:
    """(inner node, name, what the user set) of everything set for inputs or outputs."""
    nodes = config.items() if isinstance(config, Mapping) else ()
    sections = ((id, part.get(section)) for id, part in nodes if isinstance(part, Mapping))
    return [
        (str(id), str(name), entry)
        for id, part in sections
        if isinstance(part, Mapping)
        for name, entry in part.items()
        if isinstance(entry, Mapping)
    ]


def _hidden(config: Any, section: str) -> list[tuple[str, str]]:
    entries = _entries(config, section)
    return [(id, name) for id, name, entry in entries if entry.get("visible") is False]


def _renamed(config: Any) -> dict[tuple[str, str], str]:
    entries = _entries(config, "input")
    named = ((id, name, entry.get("name")) for id, name, entry in entries)
    return {(id, name): new for id, name, new in named if isinstance(new, str) and new}


def _shown_name(name: str, slot: int, node: Node, taken: Mapping[str, str]) -> str:
    """The name the editor gives a group's input: with its node's title if there is one already."""
    candidates = (name, f"{node.title or node.type} {name}", f"{node.id}:{slot} {name}")
    return next(candidate for candidate in candidates if candidate not in taken)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
