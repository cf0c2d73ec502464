"""Graph documents: JSON in, a typed graph out, or every fault at once.

The document is ComfyUI's API format, read as a superset:

    {"3": {"class_type": "KSampler", "inputs": {"seed": 1, "model": ["4", 0]}, "_meta": {...}}}

A list is a link [id, slot], where slot is an index or an output's name; a list as a value is
written {"__value__": [...]}. Inputs with a default may be left out. Faults in nodes that the
wanted outputs do not need are warnings. Nothing here recurses, so depth is limited by memory only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import DocumentError, Fault, InvalidGraph
from .expansion import Link
from .inputs import UNTYPED, Found, Inputs
from .literals import Literals, Problem, short
from .node import NodeType
from .registry import Registry
from .traversal import dependants, find_cycle, natural, reached, reading

MAX_NODES = 100_000
MAX_BYTES = 64 * 2**20
MAX_CYCLES = 20  # reported at once
CYCLE_WORK = 200_000  # nodes that are walked for more of them than the first
MAX_NEAREST = 100  # unknown names that a nearest one is looked for
LONGEST_PATH = 40  # nodes of a cycle that are printed
MAX_DEPENDANTS = 100  # wanted nodes that are named beside a fault that stops them


@dataclass(frozen=True)
class Node:
    """One node of a graph. `inputs` holds literals, brought to their ports' types, and Links."""

    id: str
    type: NodeType
    inputs: Mapping[str, Any]
    title: str = ""

    def links(self) -> list[tuple[str, Link]]:
        """The inputs that are links, in the order of the ports."""
        given = self.inputs
        found = ((port.name, given.get(port.name)) for port in self.type.inputs)
        return [(name, value) for name, value in found if isinstance(value, Link)]


@dataclass(frozen=True)
class Graph:
    """A graph that can run. `warnings` are faults that do not stop it."""

    nodes: Mapping[str, Node]
    targets: tuple[str, ...]
    warnings: tuple[Fault, ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Checked:
    """What became of a document: the part that can run, and all that is wrong.

    graph: the runnable targets and what they need; None if there are none.
    dependants: by faulty node, the first MAX_DEPENDANTS targets that need it.
    """

    graph: Graph | None
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]
    dependants: Mapping[str, tuple[str, ...]]

    def require(self) -> Graph:
        """The graph, if nothing at all is wrong. Raises InvalidGraph."""
        if self.faults or self.graph is None:
            raise InvalidGraph(self.faults, self.dependants)
        return self.graph


def parse(text: str | bytes, *, source: str = "the document", max_bytes: int = MAX_BYTES) -> Any:
    """JSON text -> data. Raises DocumentError, with line and column."""
    size = len(text)
    if size > max_bytes:
        raise DocumentError(f"{source} has {size:,} bytes; the limit is {max_bytes:,}")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise DocumentError(f"{source} is not JSON: {where}: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise DocumentError(f"{source} is not UTF-8 text: {error.reason}") from error
    except RecursionError as error:
        raise DocumentError(f"{source} is nested too deep") from error
    except ValueError as error:  # an integer of thousands of digits
        raise DocumentError(f"{source} is not usable JSON: {error}") from error


def read(path: Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """The JSON in a file. Raises DocumentError."""
    try:
        with path.open("rb") as file:
            text = file.read(max_bytes + 1)
            size = path.stat().st_size
    except OSError as error:
        raise DocumentError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(text) > max_bytes:
        raise DocumentError(f"{path} has {size:,} bytes; the limit is {max_bytes:,}")
    return parse(text, source=str(path), max_bytes=max_bytes)


def validate(
    document: Any,
    registry: Registry,
    *,
    targets: Sequence[str] | None = None,
    strict: bool = False,
    max_nodes: int = MAX_NODES,
) -> Graph:
    """The graph of a document with nothing wrong. Raises InvalidGraph, DocumentError."""
    return check(document, registry, targets=targets, strict=strict, max_nodes=max_nodes).require()


def check(
    document: Any,
    registry: Registry,
    *,
    targets: Sequence[str] | None = None,
    strict: bool = False,
    max_nodes: int = MAX_NODES,
) -> Checked:
    """Everything wrong with a document, and the part of it that can run all the same.

    targets: ids of the wanted nodes; by default all output nodes.
    strict:  unknown inputs, and faults in nodes nobody needs, are faults, not warnings.
    Raises DocumentError if `document` is not an object at all.
    """
    if not isinstance(document, Mapping):
        raise DocumentError(f"a graph document is an object of nodes by id, not {_kind(document)}")
    if len(document) > max_nodes:
        fault = Fault(
            "prompt_too_large",
            "Prompt has too many nodes",
            f"the graph has {len(document):,} nodes; the limit is {max_nodes:,}",
        )
        return Checked(None, (fault,), (), {})
    return _Check(document, registry, strict).run(targets)


class _Check:
    """One pass over a document: entries, then inputs, then cycles, then what that leaves."""

    def __init__(
        self,
        document: Mapping[str, Any],
        registry: Registry,
        strict: bool,
        outside: Mapping[str, NodeType] | None = None,
    ) -> None:
        self.document = {str(id): entry for id, entry in document.items()}
        self.registry = registry
        self.strict = strict
        self.outside = outside or {}
        self.inputs = Inputs(Literals(registry), self.find)
        self.types: dict[str, NodeType] = {}
        self.nodes: dict[str, Node] = {}
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []
        self.edges: dict[str, list[str]] = {}
        self.reading: list[str] = []  # the edges of the node whose inputs are being read
        self.nearest: dict[str, str | None] = {}

    def run(self, targets: Sequence[str] | None) -> Checked:
        self.read()
        wanted = self.targets(targets)
        self.report_cycles()
        return self.conclude(wanted)

    # -- reading -----------------------------------------------------------------------------

    def read(self) -> None:
        for id, entry in self.document.items():
            try:
                self.types[id] = self.type_of(entry)
            except Problem as problem:
                self.fault(problem, id)
        for id, kind in self.types.items():
            self.read_node(id, kind)

    def fault(self, problem: Problem, node: str, input: str | None = None) -> None:
        entry = self.document[node]
        name = entry.get("class_type") if isinstance(entry, Mapping) else None
        self.faults.append(
            Fault(
                problem.type,
                problem.message,
                problem.details,
                node,
                input,
                name if isinstance(name, str) else None,
                problem.extra,
            )
        )

    def type_of(self, entry: Any) -> NodeType:
        """Raises Problem."""
        if not isinstance(entry, Mapping):
            details = f"a node is an object with class_type and inputs, not {_kind(entry)}"
            raise Problem("invalid_node", "Node is not an object", details)
        name = entry.get("class_type")
        if not isinstance(name, str) or not name:
            details = "give class_type, the name of a node type"
            message = "Cannot execute because a node is missing the class_type property."
            raise Problem("missing_class_type", message, details)
        kind = self.registry.nodes.get(name)
        if kind is None:
            if name not in self.nearest and len(self.nearest) < MAX_NEAREST:
                self.nearest[name] = self.registry.nearest(name)
            near = self.nearest.get(name)
            hint = f"did you mean {near}?" if near else "is a plugin missing?"
            details = f"no node type is named {short(name)}; {hint}"
            message = f"Cannot execute because node {short(name)[1:-1]} does not exist."
            raise Problem("missing_node_type", message, details)
        return kind

    def read_node(self, id: str, kind: NodeType) -> None:
        entry = self.document[id]
        given = entry.get("inputs")
        if not isinstance(given, Mapping):
            what = "is missing" if "inputs" not in entry else f"is {_kind(given)}"
            details = f"inputs {what}; give an object, {{}} for none"
            return self.fault(Problem("missing_inputs", "Node has no inputs", details), id)
        self.reading = self.edges[id] = []
        before = len(self.faults)
        inputs: dict[str, Any] = {}
        for port in kind.inputs:
            try:
                inputs[port.name] = self.inputs.read(port, given)
            except Problem as problem:
                self.fault(problem, id, port.name)
        if len(given) > len(inputs) or not given.keys() <= inputs.keys():
            self.report_unknown(id, kind, given)
        if kind.check is not None and len(self.faults) == before:
            self.custom_check(id, kind, inputs)
        meta = entry.get("_meta")
        title = meta.get("title", "") if isinstance(meta, Mapping) else ""
        self.nodes[id] = Node(id, kind, inputs, str(title))
        return None

    def find(self, id: str) -> Found:
        """The type of a node that an input links to; the link is an edge, whatever its faults."""
        if id in self.document:
            self.reading.append(id)
            return self.types.get(id, UNTYPED)
        return self.outside.get(id)

    def report_unknown(self, id: str, kind: NodeType, given: Mapping[str, Any]) -> None:
        for name in given:
            if name in kind.by_name:
                continue
            details = f"{kind.name} has no input named {short(name)}; it is ignored"
            fault = Fault("unknown_input", "Unknown input", details, id, str(name), kind.name)
            (self.faults if self.strict else self.warnings).append(fault)

    def custom_check(self, id: str, kind: NodeType, inputs: Mapping[str, Any]) -> None:
        try:
            complaint = kind.call_hook("check", literals_of(inputs))
        except Exception as error:  # of the plugin's author; the document is as wrong as before
            details = f"the node's own check failed: {type(error).__name__}: {error}"
            message = "Exception when validating node"
            return self.fault(Problem("exception_during_validation", message, details), id)
        if complaint:
            message = "Custom validation failed for node"
            self.fault(Problem("custom_validation_failed", message, str(complaint)), id)
        return None

    # -- the whole ---------------------------------------------------------------------------

    def targets(self, wanted: Sequence[str] | None) -> list[str]:
        if wanted is None:
            found = [id for id, kind in self.types.items() if kind.output_node]
            if not found and not self.faults:
                details = "no node of the graph saves or shows anything; add a SaveImage"
                self.faults.append(Fault("prompt_no_outputs", "Prompt has no outputs", details))
            return sorted([*found, *self.perhaps_outputs()], key=natural)
        if not wanted:
            details = "no node is wanted; name at least one"
            self.faults.append(Fault("prompt_no_outputs", "Prompt has no outputs", details))
        for id in dict.fromkeys(wanted):
            if id not in self.document:
                details = f"{short(id)} is wanted, but the graph has no node with that id"
                self.faults.append(Fault("missing_target", "Target does not exist", details))
        return sorted({id for id in wanted if id in self.document}, key=natural)

    def perhaps_outputs(self) -> list[str]:
        """Nodes of no known type that nobody reads from: they may be meant as output nodes."""
        unknown = self.document.keys() - self.types.keys()
        if not unknown:
            return []
        return list(unknown.difference(*self.edges.values()))

    def report_cycles(self) -> None:
        edges = dict(self.edges)
        for _ in range(max(1, min(MAX_CYCLES, CYCLE_WORK // max(1, len(edges))))):
            cycle = find_cycle(edges)
            if not cycle:
                return
            details = f"these nodes wait for each other: {' -> '.join(_ends(cycle))}"
            problem = Problem("dependency_cycle", "Dependency cycle detected", details)
            self.fault(problem, cycle[0])
            for id in cycle:
                edges.pop(id, None)

    def conclude(self, wanted: list[str]) -> Checked:
        if not self.strict and (wanted or not self.faults):
            needed = reached(wanted, self.edges)
            idle = [f for f in self.faults if f.node is not None and f.node not in needed]
            self.warnings += idle
            self.faults = [f for f in self.faults if f.node is None or f.node in needed]
        bad = {fault.node for fault in self.faults if fault.node is not None}
        served = dependants(bad, wanted, self.edges, most=MAX_DEPENDANTS)
        spoilt = reading(bad, self.edges)
        good = [target for target in wanted if target not in spoilt]
        faults, warnings = self.in_order(self.faults), self.in_order(self.warnings)
        if not good or any(fault.node is None for fault in faults):
            return Checked(None, faults, warnings, served)
        keep = reached(good, self.edges)
        nodes = {id: node for id, node in self.nodes.items() if id in keep}
        graph = Graph(nodes, tuple(good), warnings, self.document)
        return Checked(graph, faults, warnings, served)

    def in_order(self, faults: list[Fault]) -> tuple[Fault, ...]:
        """First those of the whole, then those of the nodes, as they stand in the document."""
        if not faults:
            return ()
        place: dict[str | None, int] = {id: index for index, id in enumerate(self.document)}
        return tuple(sorted(faults, key=lambda fault: place.get(fault.node, -1)))


def check_expansion(
    nodes: Mapping[str, Any], registry: Registry, outside: Mapping[str, NodeType]
) -> dict[str, Node]:
    """The nodes of an expansion, whose links may also name nodes `outside`. Raises InvalidGraph."""
    checker = _Check(nodes, registry, strict=False, outside=outside)
    checker.read()
    checker.report_cycles()
    if checker.faults:
        raise InvalidGraph(checker.faults, {})
    return checker.nodes


def literals_of(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs as hooks see them before a run: links are None."""
    return {name: None if isinstance(v, Link) else v for name, v in inputs.items()}


def _ends(path: list[str]) -> list[str]:
    """A path that can be printed: of a very long one, the beginning and the end."""
    if len(path) <= LONGEST_PATH:
        return path
    half = LONGEST_PATH // 2
    return [*path[:half], f"... {len(path) - 2 * half} more ...", *path[-half:]]


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, (int, float)) else "no JSON")
