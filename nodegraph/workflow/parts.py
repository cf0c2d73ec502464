"""What a file of the editor consists of: levels of nodes and cables, without their looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from nodegraph.types import ANYTHING

MUTED, BYPASSED = 2, 4
ENTRANCE, EXIT = "-10", "-20"

Values = list[Any] | Mapping[str, Any]


@dataclass(frozen=True)
class Input:
    """An input of a node. `link` is the id of the link into it; `widget` its widget's name."""

    name: str
    type: str = ANYTHING
    link: str | None = None
    widget: str | None = None


@dataclass(frozen=True)
class Output:
    """An output of a node."""

    name: str
    type: str = ANYTHING


@dataclass(frozen=True)
class Node:
    """One node as the editor stored it.

    values:   what its widgets hold, by position or by name.
    promoted: for an instance of a subgraph, (inner node, widget) of the widgets it shows.
    """

    id: str
    type: str
    mode: int = 0
    title: str = ""
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    values: Values = field(default_factory=list)
    promoted: tuple[tuple[str, str], ...] = ()

    @cached_property
    def by_name(self) -> Mapping[str, Input]:
        return {entry.name: entry for entry in reversed(self.inputs)}

    @cached_property
    def first_of_type(self) -> Mapping[str, int]:
        """For each type, the place of the first input that takes it."""
        found: dict[str, int] = {}
        for index, entry in enumerate(self.inputs):
            for word in words(entry.type):
                found.setdefault(word, index)
        return found


@dataclass(frozen=True)
class Link:
    """A cable from an output slot of `source` to an input slot of `target`."""

    source: str
    slot: int
    target: str
    target_slot: int


@dataclass(frozen=True)
class Body:
    """Nodes and links of one level. `inputs` and `outputs` name a definition's own slots."""

    nodes: Mapping[str, Node]
    links: Mapping[str, Link]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    name: str = ""
    entrance: str = ENTRANCE
    exit: str = EXIT

    @cached_property
    def receiving(self) -> Mapping[int, tuple[Node, Input]]:
        """For each slot of the entrance, the first input inside that it feeds."""
        fed: dict[int, tuple[Node, Input]] = {}
        for node in self.nodes.values():
            for entry in node.inputs:
                link = self.links.get(entry.link or "")
                if link is not None and link.source == self.entrance:
                    fed.setdefault(link.slot, (node, entry))
        return fed

    @cached_property
    def giving(self) -> Mapping[int, Link]:
        """For each slot of the exit, the link that feeds it."""
        return {link.target_slot: link for link in self.links.values() if link.target == self.exit}

    @cached_property
    def output_slots(self) -> Mapping[str, int]:
        """The place of each of the definition's outputs, by name."""
        return {name: slot for slot, name in reversed(list(enumerate(self.outputs)))}

    @cached_property
    def size(self) -> int:
        """How much there is to convert: inputs, outputs and values of the nodes, and links."""
        own = len(self.inputs) + len(self.outputs) + len(self.links)
        nodes = self.nodes.values()
        return own + sum(len(n.inputs) + len(n.outputs) + len(n.values) for n in nodes)


@dataclass(frozen=True)
class Workflow:
    """A whole file. `groups` holds the definitions of group nodes, unread."""

    body: Body
    definitions: Mapping[str, Body]
    groups: Mapping[str, Any]


def words(type: str) -> tuple[str, ...]:
    """The types a union ("INT,FLOAT") is of, in capitals: the editor does not tell them apart."""
    return tuple(type.upper().split(","))
