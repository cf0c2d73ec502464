"""The nodes that an expanding node asks to run in its place, made ready to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import InvalidGraph, NodeFailed
from .expansion import OUTSIDE, Expansion, Link
from .graph import MAX_NODES, Node, check_expansion
from .inputs import slot_index
from .node import NodeType
from .plan import Keys, Step
from .ports import Port
from .registry import Registry
from .traversal import natural, post_order
from .types import accepts
from .values import Many

if TYPE_CHECKING:
    from .tasks import Task

MAX_DEPTH = 1000  # expansions inside each other


@dataclass(frozen=True)
class Grown:
    """An expansion with full ids.

    steps:   of its nodes, in an order in which they can run.
    results: for each output of the expanding node a Link or a value.
    """

    steps: tuple[Step, ...]
    results: tuple[Any, ...]

    @property
    def awaited(self) -> list[str]:
        """The nodes whose values or files the expanding node waits for, each once."""
        linked = [item.node for item in self.results if isinstance(item, Link)]
        shows = [step.id for step in self.steps if step.node.type.output_node]
        return list(dict.fromkeys([*linked, *shows]))


def grow(
    task: Task, index: int, expansion: Expansion, tasks: Mapping[str, Task], **made_with: Any
) -> Grown:
    """What the call number `index` of a task returned, checked, with ids of the run.

    made_with: the run's `registry` and `keys`.
    Raises NodeFailed, naming the expanding node.
    """
    try:
        return _Growing(task, expansion, tasks, **made_with).run(index)
    except InvalidGraph as error:
        raise _failure(task.node, f"returned an expansion that cannot run: {error}") from error


@dataclass(frozen=True)
class _Growing:
    task: Task
    expansion: Expansion
    tasks: Mapping[str, Task]
    registry: Registry
    keys: Keys

    def run(self, index: int) -> Grown:
        task, nodes = self.task, self.expansion.nodes
        if not isinstance(nodes, Mapping) or not isinstance(self.expansion.result, tuple):
            raise _failure(task.node, "returned an Expansion without nodes by id and results")
        if task.depth >= MAX_DEPTH:
            raise _failure(task.node, f"expands inside {MAX_DEPTH} expansions: does it ever end?")
        if len(self.tasks) + len(nodes) > MAX_NODES:
            raise _failure(task.node, f"would make the run larger than {MAX_NODES:,} nodes")
        if any(str(id).startswith(OUTSIDE) for id in nodes):
            raise _failure(task.node, f"expanded into nodes with ids that begin with {OUTSIDE}")
        # Only what the node itself reads from: anything else might be waiting for this very node.
        sources = {link.node: self.tasks[link.node] for _, link in task.node.links()}
        prefix = self._prefix(index)
        full = {OUTSIDE + id: id for id in sources} | {str(id): prefix + str(id) for id in nodes}
        named = {full[str(id)]: _renamed(entry, full) for id, entry in nodes.items()}
        outside = {id: source.node.type for id, source in sources.items()}
        checked = check_expansion(named, self.registry, outside)
        contents = {id: source.step.content for id, source in sources.items()}
        steps = self._steps(checked, contents)
        kinds = {**outside, **{id: node.type for id, node in checked.items()}}
        return Grown(steps, self._results(full, kinds))

    def _prefix(self, index: int) -> str:
        """What goes before local ids: no other node's ids begin so (but its own, made before)."""
        prefix = f"{self.task.id}.{index}."
        while any(
            (taken := self.tasks.get(f"{prefix}{id}")) is not None and taken.parent != self.task.id
            for id in self.expansion.nodes
        ):
            prefix += "_"
        return prefix

    def _steps(
        self, nodes: Mapping[str, Node], contents: dict[str, str | None]
    ) -> tuple[Step, ...]:
        edges = {
            id: [link.node for _, link in node.links() if link.node in nodes]
            for id, node in nodes.items()
        }
        steps: list[Step] = []
        for id in post_order(sorted(nodes, key=natural), edges):
            step = self.keys.step(nodes[id], contents)
            contents[id] = step.content
            steps.append(step)
        return tuple(steps)

    def _results(self, full: Mapping[str, str], kinds: Mapping[str, NodeType]) -> tuple[Any, ...]:
        node, given = self.task.node, self.expansion.result
        if len(given) != len(node.type.outputs):
            count = len(node.type.outputs)
            raise _failure(node, f"expanded into {len(given)} results for {count} outputs")
        return tuple(
            self._link(port, item, full, kinds)
            if isinstance(item, Link)
            else _as_many(node, port, item)
            for port, item in zip(node.type.outputs, given, strict=True)
        )

    def _link(
        self, port: Port, link: Link, full: Mapping[str, str], kinds: Mapping[str, NodeType]
    ) -> Link:
        node = self.task.node
        id = full.get(link.node, link.node)
        if id not in kinds:
            raise _failure(node, f"expanded into a result of node {link.node}, which it has not")
        index = slot_index(kinds[id], link.slot)
        if index is None:
            raise _failure(node, f"expanded into output {link.slot!r} of {id}, which has none such")
        given = kinds[id].outputs[index].type
        if not accepts(port.type, given):
            raise _failure(node, f"expanded into {given} for output {port.name} of {port.type}")
        return Link(id, index)


def collected(node: Node, grown: Grown, values: Mapping[str, Sequence[Any]]) -> tuple[Any, ...]:
    """The expanding node's outputs, from the outputs of the nodes that ran in its place."""
    slots: list[Any] = []
    for port, item in zip(node.type.outputs, grown.results, strict=True):
        value = values[item.node][int(item.slot)] if isinstance(item, Link) else item
        is_single = port.is_list and not isinstance(value, Many)
        slots.append(Many((value,)) if is_single else value)
    return tuple(slots)


def _as_many(node: Node, port: Port, value: Any) -> Any:
    if not port.is_list or isinstance(value, Many):
        return value
    if not isinstance(value, (list, tuple)):
        raise _failure(node, f"expanded into {type(value).__name__} for the list {port.name}")
    return Many(tuple(value))


def _renamed(entry: Any, full: Mapping[str, str]) -> Any:
    """A node's entry, with full ids in its links."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("inputs"), Mapping):
        return entry
    inputs = {
        name: [full.get(str(value[0]), value[0]), value[1]] if _is_link(value) else value
        for name, value in entry["inputs"].items()
    }
    return {**entry, "inputs": inputs}


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], (str, int))


def _failure(node: Node, complaint: str) -> NodeFailed:
    return NodeFailed(
        f"node {node.id} ({node.type.name}) {complaint}", node=node.id, class_type=node.type.name
    )
