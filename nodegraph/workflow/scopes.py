"""The levels of a workflow: the file's own nodes, and one level for each instance of a subgraph.

A level's nodes are called by the ids of the instances that lead to it, joined by colons, and their
own: "12:3" is node 3 in instance 12.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from nodegraph.errors import DocumentError
from nodegraph.graph import MAX_NODES
from nodegraph.registry import Registry

from .groups import Group, group_name, read_group
from .parts import BYPASSED, MUTED, Body, Node, Workflow
from .promoted import Hosted, hosted_values, listed
from .widgets import name_values

MAX_DEPTH = 32
MAX_SIZE = 20 * MAX_NODES


@dataclass(eq=False)
class Scope:
    """One level. `children` are the levels of the instances in it, by their ids."""

    body: Body
    prefix: str = ""
    instance: Node | None = None
    parent: Scope | None = None
    hosted: Hosted = field(default_factory=Hosted)
    types: tuple[str, ...] = ()
    children: dict[str, Scope] = field(default_factory=dict)

    def path(self, id: str) -> str:
        """What a node of this level is called in the document."""
        return self.prefix + id


@dataclass
class Expansion:
    """Finds the levels of a workflow.

    title: what messages call the file.
    warn:  is told what was guessed or left out.
    """

    workflow: Workflow
    registry: Registry
    title: str
    warn: Callable[[str], None]
    _groups: dict[str, Group] = field(default_factory=dict)
    _nodes: int = 0
    _size: int = 0

    def scopes(self) -> list[Scope]:
        """All levels, outer ones first. Raises DocumentError if a subgraph contains itself."""
        found = [Scope(self.workflow.body)]
        for scope in found:
            self._count(scope.body)
            for node in scope.body.nodes.values():
                if node.mode not in (MUTED, BYPASSED) and (child := self._child(scope, node)):
                    scope.children[node.id] = child
                    found.append(child)
        return found

    def _count(self, body: Body) -> None:
        self._nodes += len(body.nodes)
        self._size += body.size
        if self._nodes > MAX_NODES or self._size > MAX_SIZE:
            raise DocumentError(
                f"{self.title}: with its subgraphs written out it has more than {MAX_NODES:,} "
                f"nodes, or more than {MAX_SIZE:,} inputs and values"
            )

    def _child(self, scope: Scope, node: Node) -> Scope | None:
        group = self._group(node.type)
        body = group.body if group else self.workflow.definitions.get(node.type)
        if body is None:
            return None
        name = body.name or node.type
        if node.type in scope.types:
            raise DocumentError(f"{self.title}: the subgraph {name} contains itself")
        if len(scope.types) >= MAX_DEPTH:
            raise DocumentError(
                f"{self.title}: subgraphs are nested more than {MAX_DEPTH} levels deep"
            )
        instance = group.adapted(node) if group else node
        held = self._held(instance, body, group)
        if held is None:
            self.warn(
                f"node {scope.path(node.id)}: the values of its widgets do not fit the widgets of "
                f"the subgraph {name}; the subgraph's own values are used"
            )
        given = scope.hosted.inner.get(node.id, {})
        hosted = (held or Hosted()).overridden(given, instance, body)
        prefix = f"{scope.path(node.id)}:"
        return Scope(body, prefix, instance, scope, hosted, (*scope.types, node.type))

    def _group(self, type: str) -> Group | None:
        name = group_name(type)
        if name is None or name not in self.workflow.groups:
            return None
        if type not in self._groups:
            where = f"{self.title}, group node {name[:80]}"
            self._groups[type] = read_group(self.workflow.groups[name], where)
        return self._groups[type]

    def _held(self, instance: Node, body: Body, group: Group | None) -> Hosted | None:
        if group is None:
            return hosted_values(instance, body, self.registry)
        if not instance.values:
            return Hosted()
        slots = group.widget_slots(self.registry)
        named = None if slots is None else name_values(instance.values, slots)
        if named is None or not named.fits:
            return None
        parts = {name: name.partition(":") for name in named.values}
        pairs = {(parts[name][0], parts[name][2]): v for name, v in named.values.items()}
        return listed(pairs)
