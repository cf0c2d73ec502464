"""The levels of a workflow, written out as one graph document.

Each node that runs becomes an entry: the values of its widgets, by name, and over them what its
links bring. A muted node takes with it whatever cannot run without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nodegraph.errors import DocumentError
from nodegraph.node import NodeType
from nodegraph.registry import Registry

from .parts import BYPASSED, MUTED, Node
from .reading import read_workflow
from .scopes import Expansion, Scope
from .sources import VIRTUAL, FromNode, Held, Nowhere, Sources
from .widgets import name_values, slots_of


@dataclass(frozen=True)
class Converted:
    """A graph document, and what was guessed or left out on the way to it, as sentences."""

    document: dict[str, Any]
    warnings: tuple[str, ...] = ()


def convert(workflow: Any, registry: Registry, *, title: str = "the workflow") -> Converted:
    """A parsed file in the editor's format as a graph document.

    registry: says which widgets a node has, and in which order.
    title:    what messages call the file.
    Nodes of unknown types are kept, so that validation reports them. Raises DocumentError if the
    file is malformed, or a subgraph contains itself.
    """
    return _Conversion(registry, title).run(read_workflow(workflow, title))


@dataclass
class _Draft:
    """An entry of the document to be. `values` are the node's own, `inputs` what is written."""

    node: Node
    kind: NodeType | None
    values: dict[str, Any]
    inputs: dict[str, Any] = field(default_factory=dict)
    muted: dict[str, str] = field(default_factory=dict)

    def can_do_without(self, name: str) -> bool:
        port = self.kind.by_name.get(name) if self.kind else None
        return name in self.values or port is None or not port.required


@dataclass
class _Conversion:
    registry: Registry
    title: str
    warnings: list[str] = field(default_factory=list)
    sources: Sources = field(default_factory=Sources)
    drafts: dict[str, _Draft] = field(default_factory=dict)

    def run(self, workflow: Any) -> Converted:
        expansion = Expansion(workflow, self.registry, self.title, self.warnings.append)
        for scope in expansion.scopes():
            for node in scope.body.nodes.values():
                if _runs(scope, node):
                    self.draft(scope, node)
        self.leave_out_dependants()
        document = {path: self.entry(draft) for path, draft in self.drafts.items()}
        return Converted(document, tuple(self.warnings))

    def warn(self, path: str, node: Node, what: str) -> None:
        self.warnings.append(f"node {path} ({node.type}): {what}")

    def draft(self, scope: Scope, node: Node) -> None:
        path = scope.path(node.id)
        if path in self.drafts:
            raise DocumentError(f"{self.title}: two nodes have the id {path}")
        kind = self.registry.nodes.get(node.type)
        values = self.own_values(path, node, kind) | dict(scope.hosted.inner.get(node.id, {}))
        draft = _Draft(node, kind, values)
        draft.inputs = {name: _literal(value) for name, value in values.items()}
        self.drafts[path] = draft
        for entry in node.inputs:
            if entry.link is None:
                continue
            name = entry.widget or entry.name
            match self.sources.of(scope, entry.link):
                case FromNode() as source:
                    draft.inputs[name] = source
                case Held(value):
                    draft.inputs[name] = _literal(value)
                case Nowhere(muted):
                    self.unfed(scope, draft, name, entry.link, muted)

    def own_values(self, path: str, node: Node, kind: NodeType | None) -> dict[str, Any]:
        if kind is None:
            if isinstance(node.values, Mapping):
                return dict(node.values)
            if node.values:
                count = len(node.values)
                what = f"its type is unknown, so its {count} widget values have no names"
                self.warn(path, node, what)
            return {}
        named = name_values(node.values, slots_of(kind))
        if named.surplus:
            what = f"{named.surplus} of its widget values are left over"
            self.warn(path, node, f"{what}; was it saved with another version of the node?")
        return named.values

    def unfed(self, scope: Scope, draft: _Draft, name: str, link: str, muted: str) -> None:
        """Note that a link brings nothing: the node's own value counts, if it has one."""
        path = scope.path(draft.node.id)
        if muted:
            draft.muted[name] = muted
            if draft.can_do_without(name):
                instead = "its own value is used" if name in draft.values else "it is left out"
                self.warn(path, draft.node, f"{name} came from muted node {muted}; {instead}")
            return
        cable = scope.body.links.get(link)
        if cable is None or scope.instance is None or cable.source != scope.body.entrance:
            self.warn(path, draft.node, f"the link at {name} leads nowhere")

    def leave_out_dependants(self) -> None:
        """Drop the nodes that need a muted one, and those that need these, and so on."""
        readers: dict[str, list[tuple[str, str]]] = {}
        for path, draft in self.drafts.items():
            for name, value in draft.inputs.items():
                if isinstance(value, FromNode):
                    readers.setdefault(value.path, []).append((path, name))
        gone: list[str] = []
        for path, draft in list(self.drafts.items()):
            needed = (item for item in draft.muted.items() if not draft.can_do_without(item[0]))
            for name, muted in needed:
                self.leave_out(path, f"{name} comes from muted node {muted}", gone)
        for lost in gone:
            for path, name in readers.get(lost, ()):
                if path not in self.drafts:
                    continue
                draft = self.drafts[path]
                if not draft.can_do_without(name):
                    self.leave_out(path, f"{name} comes from node {lost}, left out too", gone)
                    continue
                del draft.inputs[name]
                if name in draft.values:
                    draft.inputs[name] = _literal(draft.values[name])

    def leave_out(self, path: str, why: str, gone: list[str]) -> None:
        if path in self.drafts:
            self.warn(path, self.drafts.pop(path).node, f"left out, since {why}")
            gone.append(path)

    def entry(self, draft: _Draft) -> dict[str, Any]:
        shown = draft.node.title or (draft.kind.display_name if draft.kind else draft.node.type)
        inputs = {
            name: [value.path, value.slot] if isinstance(value, FromNode) else value
            for name, value in draft.inputs.items()
        }
        return {"class_type": draft.node.type, "inputs": inputs, "_meta": {"title": shown}}


def _runs(scope: Scope, node: Node) -> bool:
    if node.mode in (MUTED, BYPASSED) or node.type in VIRTUAL:
        return False
    return node.id not in scope.children


def _literal(value: Any) -> Any:
    # A bare list would be read as a link.
    return {"__value__": value} if isinstance(value, list) else value
