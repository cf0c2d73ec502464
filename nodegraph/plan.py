"""Graph -> Plan: what the wanted outputs need, in order, each step with its content key.

A step's content is the hash of its node type and version, its literals, the contents and slots it
reads from, every file it names (by what is in the file), its fingerprint hook's answer, and the
precision and device class of the run. Ids and the document's order do not matter. Its key, under
which results are cached, is the same, but a step that names files adds their names: its own result
may hold a path, while what comes after it depends on the content alone. All of them are made in
one pass.

Where a file name arrives over a link, the key is not known yet: it and all keys after it are None
until the run knows the name (see `Keys.complete`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .context import Precision
from .expansion import Link
from .graph import Graph, Node, literals_of
from .node import FileOf, NodeType
from .traversal import natural, post_order

if TYPE_CHECKING:
    from .folders import Folders
    from .hashes import FileHashes

KEY_FORMAT = 1


@dataclass(frozen=True)
class FileUse:
    """A file a step reads: under which input, of which kind and name, and its SHA-256."""

    input: str
    kind: str
    name: str
    sha256: str


@dataclass(frozen=True)
class Step:
    """A node in its place in the plan.

    key:     under which its results are cached. content: what steps after it build on.
    Both are None while a file name is still to arrive.
    """

    node: Node
    key: str | None
    content: str | None
    files: tuple[FileUse, ...] = ()

    @property
    def id(self) -> str:
        return self.node.id


@dataclass(frozen=True)
class Plan:
    """Steps in an order in which they can run; `targets` are the wanted nodes."""

    steps: tuple[Step, ...]
    targets: tuple[str, ...]
    document: Mapping[str, Any] = field(default_factory=dict)
    keys: Keys | None = None


@dataclass(frozen=True)
class Keys:
    """Makes content keys. `device` is a class ("cpu", "cuda"), not an index."""

    precision: Precision = "auto"
    device: str = "cpu"
    folders: Folders | None = None
    hashes: FileHashes | None = None

    def step(self, node: Node, upstream: Mapping[str, str | None]) -> Step:
        """The step of a node, given the keys of the nodes it reads from."""
        links = node.links()
        known = {name: upstream[link.node] for name, link in links}
        late = any(isinstance(node.type.by_name[name].widget, FileOf) for name, _ in links)
        files = tuple(self._files(node.type, node.inputs))
        if late or None in known.values():
            return Step(node, None, None, files)
        return self._step(node, node.inputs, known, files)

    def complete(
        self, node: Node, upstream: Mapping[str, str | None], arrived: Mapping[str, Any]
    ) -> Step:
        """The step of a node whose linked inputs are known: `arrived`, by input name.

        A file name counts as a literal, a tuple of them (where values come as a list) as several.
        """
        inputs = {**node.inputs, **_names_among(node.type, arrived)}
        known = {name: upstream[link.node] for name, link in node.links() if name in upstream}
        files = tuple(self._files(node.type, inputs))
        return self._step(node, inputs, known, files)

    def _step(
        self,
        node: Node,
        inputs: Mapping[str, Any],
        upstream: Mapping[str, str | None],
        files: tuple[FileUse, ...],
    ) -> Step:
        content = self._digest(node, inputs, upstream, files)
        names = "".join(f"\n{use.input}={use.name}" for use in files)
        key = _hash(content + names) if files else content
        return Step(node, key, content, files)

    def _digest(
        self,
        node: Node,
        inputs: Mapping[str, Any],
        upstream: Mapping[str, str | None],
        files: Iterable[FileUse],
    ) -> str:
        kind = node.type
        parts: dict[str, Any] = {}
        read = {use.input for use in files}
        for port in kind.inputs:
            value = inputs.get(port.name)
            if port.name in read:
                continue
            if isinstance(value, Link):
                parts[port.name] = ["link", upstream[port.name], value.slot]
            else:
                parts[port.name] = ["value", value]
        print_ = ""
        if kind.fingerprint is not None:
            print_ = kind.call_hook("fingerprint", literals_of(inputs))
        content = [
            KEY_FORMAT,
            kind.identity,
            kind.version,
            self.precision,
            self.device,
            parts,
            [[use.input, use.sha256] for use in files],
            print_,
        ]
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=_plain)
        return _hash(text)

    def _files(self, kind: NodeType, inputs: Mapping[str, Any]) -> Iterable[FileUse]:
        for port in kind.inputs:
            widget = port.widget
            if not isinstance(widget, FileOf) or self.folders is None or self.hashes is None:
                continue
            given = inputs.get(port.name)
            if isinstance(given, tuple):
                yield from (self._file(port.name, widget, name) for name in given)
            elif isinstance(given, str) and given not in widget.extra:
                yield self._file(port.name, widget, given)

    def _file(self, input: str, widget: FileOf, name: str) -> FileUse:
        if name in widget.extra or self.folders is None or self.hashes is None:
            return FileUse(input, widget.kind, name, f"not a file: {name}")
        path = self.folders.resolve(widget.kind, name)
        return FileUse(input, widget.kind, name, self.hashes.sha256(path))


def make_plan(graph: Graph, keys: Keys, *, targets: Sequence[str] | None = None) -> Plan:
    """The steps that `targets` (by default the graph's) need, in a deterministic order."""
    wanted = sorted(graph.targets if targets is None else targets, key=natural)
    edges = {
        id: [link.node for _, link in node.links() if link.node in graph.nodes]
        for id, node in graph.nodes.items()
    }
    made: dict[str, str | None] = {}  # the content of each step so far
    steps: list[Step] = []
    for id in post_order(wanted, edges):
        step = keys.step(graph.nodes[id], made)
        made[id] = step.content
        steps.append(step)
    return Plan(tuple(steps), tuple(wanted), graph.document, keys)


def _names_among(kind: NodeType, arrived: Mapping[str, Any]) -> dict[str, Any]:
    """The file names among the values that arrived: these take the place of their links."""
    return {
        name: value
        for name, value in arrived.items()
        if isinstance(kind.by_name[name].widget, FileOf) and isinstance(value, (str, tuple))
    }


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, (tuple, frozenset, set)):
        return sorted(value) if isinstance(value, (frozenset, set)) else list(value)
    raise TypeError(f"a literal of type {type(value).__name__} cannot be part of a key")
