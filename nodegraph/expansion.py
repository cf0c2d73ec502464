"""A node that stands for a subgraph: instead of values it returns nodes to run in its place.

def repeat(image: Image, times: int, *, context: Context) -> Image | Expansion:
    build = Builder()
    link = context.links["image"]
    for _ in range(times):
        link = build.add("ImageInvert", image=link)
    return build.result(link)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OUTSIDE = "^"  # begins the ids of nodes outside an expansion, which local ids never do


@dataclass(frozen=True)
class Link:
    """A reference to an output of a node: its id, and the slot's index or name."""

    node: str
    slot: int | str = 0

    def from_inside(self) -> Link:
        """The same output, as an expansion names it, whose own nodes may have equal ids."""
        return Link(OUTSIDE + self.node, self.slot)

    def as_json(self) -> list[int | str]:
        return [self.node, self.slot]


@dataclass(frozen=True)
class Expansion:
    """What an expanding node returns.

    nodes:  API-format entries `{id: {"class_type", "inputs"}}`; ids are local to the expansion,
            and do not begin with ^. Links name local ids, or what the expanding node reads from,
            by the links in `Context.links`.
    result: one Link or value for each output of the expanding node.
    """

    nodes: Mapping[str, Any]
    result: tuple[Any, ...]


@dataclass
class Builder:
    """Collects the nodes of an Expansion."""

    _nodes: dict[str, Any] = field(default_factory=dict)

    def add(self, class_type: str, /, **inputs: Any) -> Link:
        """Add a node; returns a link to its first output."""
        id = str(len(self._nodes) + 1)
        self._nodes[id] = {
            "class_type": class_type,
            "inputs": {
                name: value.as_json() if isinstance(value, Link) else _literal(value)
                for name, value in inputs.items()
            },
        }
        return Link(id)

    def result(self, *outputs: Any) -> Expansion:
        """The finished expansion, with one link or value for each output."""
        return Expansion(dict(self._nodes), outputs)


def _literal(value: Any) -> Any:
    return {"__value__": value} if isinstance(value, list) else value
