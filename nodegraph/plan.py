"""Graph -> Plan: what the wanted outputs need, in order, each step with its content key.

A step's content is the hash of its node type and version, the code of the plugins behind it, its
literals, the contents and slots it reads from, every file it names and what is read along with it
(by what is in the files), its fingerprint hook's answer, and the precision and device class of the
run. Ids and the document's order do not matter. Its key, under which results are cached, is the
same, but a step that names files adds their names: its own result may hold a path, while what comes
after it depends on the content alone. All of them are made in one pass.

Where a file name arrives over a link, the key is not known yet: it and all keys after it are None
until the run knows the name (see `Keys.complete`). The same goes for a step whose file or hook
gives trouble: the run asks again, and then it is that node's failure and nobody else's. What a node
that is never cached gives has no content to build on, so what comes after it has no key at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .context import Precision
from .errors import FileMissing
from .expansion import Link
from .graph import Graph, Node, literals_of
from .node import NodeType, Origin
from .ports import ChoiceOf, FileOf, FilesIn, Port, Text
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
    Both are None while they are not known.
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


def _core_alone(_point: str, _name: str | None) -> tuple[Origin, ...]:
    return ()


@dataclass(frozen=True)
class Keys:
    """Makes content keys.

    device:     a class ("cpu", "cuda"), not an index.
    arithmetic: what the precision policy comes to on this machine, in any words: "auto" is not the
                same everywhere, and a cache folder may be shared.
    entries:    the plugins behind an entry of an extension point, or, for None, behind all of them.
    """

    precision: Precision = "auto"
    device: str = "cpu"
    folders: Folders | None = None
    hashes: FileHashes | None = None
    arithmetic: str = ""
    entries: Callable[[str, str | None], tuple[Origin, ...]] = _core_alone

    def plugins(self, kind: NodeType, inputs: Mapping[str, Any]) -> tuple[Origin, ...]:
        """The plugins whose code a node runs: its own, and those of what it chooses, by name."""
        found = set() if kind.origin is None else {kind.origin}
        for port in kind.inputs:
            if isinstance(port.widget, ChoiceOf):
                for name in _chosen(inputs.get(port.name)):
                    found.update(self.entries(port.widget.point, name))
        for point in kind.extensions:
            found.update(self.entries(point, None))
        return tuple(sorted(found, key=lambda origin: origin.plugin))

    def step(self, node: Node, upstream: Mapping[str, str | None]) -> Step:
        """The step of a node, given the contents of the nodes it reads from."""
        by_name = node.type.by_name
        late = any(by_name[name].names_files for name, _ in node.links())
        try:
            return self._step(node, node.inputs, upstream, known=not late)
        except Exception:  # whatever it is, the run meets it again, and says which node has it
            return Step(node, None, None)

    def complete(
        self, node: Node, upstream: Mapping[str, str | None], arrived: Mapping[str, Any]
    ) -> Step:
        """The step of a node whose linked inputs are known: `arrived`, by input name.

        A file name counts as a literal, a tuple of them (where values come as a list) as several.
        Raises FileMissing, and what the node's fingerprint hook raises.
        """
        inputs = {**node.inputs, **_names_among(node.type, arrived)}
        return self._step(node, inputs, upstream, known=True)

    def _step(
        self,
        node: Node,
        inputs: Mapping[str, Any],
        upstream: Mapping[str, str | None],
        *,
        known: bool,
    ) -> Step:
        files = {
            port.name: self._files(port, inputs[port.name])
            for port in node.type.inputs
            if port.names_files
        }
        uses = tuple(use for several in files.values() for use in several if use.sha256)
        if not (known and node.type.cached) or _unknown(inputs, upstream):
            return Step(node, None, None, uses)
        content = self._digest(node.type, inputs, upstream, files)
        names = [[use.input, use.name] for use in uses]
        return Step(node, _hash([content, names]) if uses else content, content, uses)

    def _digest(
        self,
        kind: NodeType,
        inputs: Mapping[str, Any],
        upstream: Mapping[str, str | None],
        files: Mapping[str, Sequence[FileUse]],
    ) -> str:
        parts: dict[str, Any] = {}
        for port in kind.inputs:
            value = inputs[port.name]
            if isinstance(value, Link):
                parts[port.name] = ["link", upstream[value.node], value.slot]
            elif files.get(port.name):
                beside = self._beside(port, files[port.name])
                parts[port.name] = _by_content(port, value, files[port.name]) + beside
            else:
                parts[port.name] = ["value", value]
        fingerprint = ""
        if kind.fingerprint is not None:
            fingerprint = kind.call_hook("fingerprint", literals_of(inputs))
            if not isinstance(fingerprint, str):
                what = type(fingerprint).__name__
                raise TypeError(f"the fingerprint hook of {kind.name} gave {what}, not a text")
        ran_as = [self.precision, self.device, self.arithmetic]
        code = [origin.code for origin in self.plugins(kind, inputs)]
        made_by = [KEY_FORMAT, kind.identity, kind.version, *ran_as, *([code] if code else [])]
        return _hash([made_by, parts, fingerprint])

    def _files(self, port: Port, given: Any) -> list[FileUse]:
        """The files that a value, or several, stand for; none if that is not known here."""
        values = [given] if isinstance(given, str) else given
        if self.folders is None or self.hashes is None or not isinstance(values, (list, tuple)):
            return []
        texts = [value for value in values if isinstance(value, str)]
        widget = port.widget
        if isinstance(widget, Text) and widget.files is not None:
            names = dict.fromkeys(name for text in texts for name in widget.files.names(text))
            return [self._named(port.name, widget.files, name) for name in names]
        if not isinstance(widget, FileOf) or given in widget.extra:
            return []
        return [self._file(port.name, widget, name) for name in texts]

    def _beside(self, port: Port, uses: Sequence[FileUse]) -> list[Any]:
        """What the files that are read along with these are worth in a key; nothing for none."""
        widget = port.widget
        if not isinstance(widget, FileOf) or self.folders is None or self.hashes is None:
            return []
        found = []
        for use in uses if widget.beside else ():
            if use.name in widget.extra:
                continue
            folder = self.folders.resolve(use.kind, use.name).parent
            paths = [folder / name for name in widget.beside]
            found.append([self.hashes.sha256(p) if p.is_file() else "" for p in paths])
        return [found] if any(map(any, found)) else []

    def _named(self, input: str, files: FilesIn, name: str) -> FileUse:
        """A file that a text names; without a hash where it is not there."""
        try:
            return self._file(input, FileOf(files.kind), name)
        except FileMissing:
            return FileUse(input, files.kind, name, "")

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


def _by_content(port: Port, value: Any, uses: Sequence[FileUse]) -> list[Any]:
    """What a value that names files is worth in a key."""
    hashes = [use.sha256 for use in uses]
    if isinstance(port.widget, Text):
        return ["value", value, hashes]
    # One name, and a list of one, give results of different shape.
    return ["file" if isinstance(value, str) else "files", hashes]


def _chosen(value: Any) -> Sequence[str | None]:
    """The names that stand at a choice; None, which is any of them, where a link stands there."""
    if isinstance(value, Link):
        return [None]
    values = value if isinstance(value, (list, tuple)) else [value]
    return [name for name in values if isinstance(name, str)]


def _names_among(kind: NodeType, arrived: Mapping[str, Any]) -> dict[str, Any]:
    """The file names among the values that arrived: these take the place of their links."""
    return {
        name: value
        for name, value in arrived.items()
        if kind.by_name[name].names_files and isinstance(value, (str, tuple))
    }


def _unknown(inputs: Mapping[str, Any], upstream: Mapping[str, str | None]) -> bool:
    return any(isinstance(v, Link) and upstream[v.node] is None for v in inputs.values())


def _hash(parts: Any) -> str:
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=list)  # tuples
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()
