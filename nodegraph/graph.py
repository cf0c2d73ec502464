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
from .literals import Literals, Problem
from .node import NodeType, Port
from .registry import Registry
from .traversal import dependants, find_cycle, natural, reached
from .types import accepts

MAX_NODES = 100_000
MAX_BYTES = 64 * 2**20
MAX_CYCLES = 20  # reported at once


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
        return parse(path.read_bytes(), source=str(path), max_bytes=max_bytes)
    except OSError as error:
        raise DocumentError(f"{path} cannot be read: {error.strerror}") from error


def validate(
    document: Any,
    registry: Registry,
    *,
    targets: Sequence[str] | None = None,
    strict: bool = False,
    max_nodes: int = MAX_NODES,
) -> Graph:
    """The graph of a document with nothing wrong. Raises InvalidGraph, DocumentError."""
    return check(
        document, registry, targets=targets, strict=strict, max_nodes=max_nodes
    ).require()


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
        raise DocumentError(
            f"a graph document is an object of nodes by id, not {_kind(document)}"
        )
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
        self.literals = Literals(registry)
        self.types: dict[str, NodeType] = {}
        self.nodes: dict[str, Node] = {}
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []
        self.edges: dict[str, list[str]] = {}

    def run(self, targets: Sequence[str] | None) -> Checked:
        for id, entry in self.document.items():
            self.read_type(id, entry)
        for id in self.document:
            self.read_inputs(id)
        wanted = self.targets(targets)
        self.report_cycles()
        return self.conclude(wanted)

    # -- reading -----------------------------------------------------------------------------

    def fault(self, type: str, message: str, details: str, node: str, **where: Any) -> None:
        class_type = self._class_type(node)
        self.faults.append(Fault(type, message, details, node, class_type=class_type, **where))

    def _class_type(self, id: str) -> str | None:
        entry = self.document.get(id)
        name = entry.get("class_type") if isinstance(entry, Mapping) else None
        return name if isinstance(name, str) else None

    def read_type(self, id: str, entry: Any) -> None:
        if not isinstance(entry, Mapping):
            details = f"a node is an object with class_type and inputs, not {_kind(entry)}"
            return self.fault("invalid_node", "Node is not an object", details, id)
        name = entry.get("class_type")
        if not isinstance(name, str) or not name:
            details = "give class_type, the name of a node type"
            message = "Cannot execute because a node is missing the class_type property."
            return self.fault("missing_class_type", message, details, id)
        if name not in self.registry.nodes:
            near = self.registry.nearest(name)
            hint = f"did you mean {near}?" if near else "is a plugin missing?"
            details = f"no node type is named {name!r}; {hint}"
            message = f"Cannot execute because node {name} does not exist."
            return self.fault("missing_node_type", message, details, id)
        self.types[id] = self.registry.nodes[name]
        return None

    def read_inputs(self, id: str) -> None:
        if id not in self.types:
            return
        kind, entry = self.types[id], self.document[id]
        given = entry.get("inputs")
        if not isinstance(given, Mapping):
            what = "is missing" if "inputs" not in entry else f"is {_kind(given)}"
            details = f"inputs {what}; give an object, {{}} for none"
            return self.fault("missing_inputs", "Node has no inputs", details, id)
        self.edges[id] = []
        before = len(self.faults)
        inputs = {port.name: self.read_input(id, port, given) for port in kind.inputs}
        self.report_unknown(id, kind, given)
        if kind.check is not None and len(self.faults) == before:
            self.custom_check(id, kind, inputs)
        meta = entry.get("_meta")
        title = meta.get("title", "") if isinstance(meta, Mapping) else ""
        self.nodes[id] = Node(id, kind, inputs, str(title))
        return None

    def read_input(self, id: str, port: Port, given: Mapping[str, Any]) -> Any:
        if port.name not in given:
            if port.required:
                what = "a link to an output" if _is_socket(port) else "a value"
                details = f"{port.name} is required: give {what} of type {port.type}"
                message = "Required input is missing"
                self.fault("required_input_missing", message, details, id, input=port.name)
            return port.default
        value = given[port.name]
        if isinstance(value, list):
            return self.read_link(id, port, value)
        if isinstance(value, Mapping) and set(value) == {"__value__"}:
            value = value["__value__"]
        if value is None and port.default is None:
            return None
        if port.socket:
            details = f"takes a link to an output of type {port.type}, not a value"
            self.fault("invalid_input_type", "Input needs a link", details, id, input=port.name)
            return None
        try:
            return self.literals.convert(port, value)
        except Problem as problem:
            extra = {"received_value": _json_safe(value)}
            self.fault(
                problem.type, problem.message, problem.details, id, input=port.name, extra=extra
            )
            return None

    def read_link(self, id: str, port: Port, value: list[Any]) -> Link | None:
        source, slot = value if len(value) == 2 else (None, None)
        source = str(source) if _is_index(source) else source
        slot = int(slot) if isinstance(slot, float) and slot.is_integer() else slot
        if not isinstance(source, str) or not (_is_index(slot) or isinstance(slot, str)):
            message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            details = (
                f"{_json_safe(value)} is not a link [node id, output]; "
                'write a list as {"__value__": [...]}'
            )
            self.fault("bad_linked_input", message, details, id, input=port.name)
            return None
        if source not in self.document and source not in self.outside:
            message = "Bad linked input, the node it names does not exist"
            details = f"the link goes to node {source!r}, which is not in the graph"
            self.fault("bad_linked_input", message, details, id, input=port.name)
            return None
        if source in self.document:
            self.edges[id].append(source)
        kind = self.types.get(source) or self.outside.get(source)
        if kind is None or source in self.document and source not in self.types:
            return Link(source, 0)  # the fault stands at the source
        return self.typed_link(id, port, source, kind, slot)

    def typed_link(
        self, id: str, port: Port, source: str, kind: NodeType, slot: int | str
    ) -> Link | None:
        index = _slot(kind, slot)
        if index is None:
            outputs = ", ".join(f"{i} {output.name}" for i, output in enumerate(kind.outputs))
            details = f"node {source} ({kind.name}) has no output {slot!r}; it has " + (
                outputs or "none at all"
            )
            message = "Bad linked input, the output it names does not exist"
            self.fault("bad_linked_input", message, details, id, input=port.name)
            return None
        given = kind.outputs[index].type
        if not accepts(port.type, given):
            details = (
                f"{port.name}, received_type({given}) mismatch input_type({port.type}): it takes "
                f"{port.type}, but output {kind.outputs[index].name} of node {source} "
                f"({kind.name}) gives {given}"
            )
            extra = {"received_type": given, "linked_node": [source, index]}
            message = "Return type mismatch between linked nodes"
            self.fault(
                "return_type_mismatch", message, details, id, input=port.name, extra=extra
            )
        return Link(source, index)

    def report_unknown(self, id: str, kind: NodeType, given: Mapping[str, Any]) -> None:
        for name in given:
            if name in kind.by_name:
                continue
            details = f"{kind.name} has no input named {name!r}; it is ignored"
            fault = Fault("unknown_input", "Unknown input", details, id, str(name), kind.name)
            (self.faults if self.strict else self.warnings).append(fault)

    def custom_check(self, id: str, kind: NodeType, inputs: Mapping[str, Any]) -> None:
        complaint = kind.call_hook("check", literals_of(inputs))
        if complaint:
            message = "Custom validation failed for node"
            self.fault("custom_validation_failed", message, complaint, id)

    # -- the whole ---------------------------------------------------------------------------

    def targets(self, wanted: Sequence[str] | None) -> list[str]:
        if wanted is None:
            found = [id for id, kind in self.types.items() if kind.output_node]
            if not found and not self.faults:
                details = "no node of the graph saves or shows anything; add a SaveImage"
                self.faults.append(Fault("prompt_no_outputs", "Prompt has no outputs", details))
            return sorted(found, key=natural)
        for id in dict.fromkeys(wanted):
            if id not in self.document:
                details = f"{id!r} is wanted, but the graph has no node with that id"
                self.faults.append(Fault("missing_target", "Target does not exist", details))
        return sorted({id for id in wanted if id in self.document}, key=natural)

    def report_cycles(self) -> None:
        edges = dict(self.edges)
        for _ in range(MAX_CYCLES):
            cycle = find_cycle(edges)
            if not cycle:
                return
            details = f"these nodes wait for each other: {' -> '.join(cycle)}"
            self.fault("dependency_cycle", "Dependency cycle detected", details, cycle[0])
            for id in cycle:
                edges.pop(id, None)

    def conclude(self, wanted: list[str]) -> Checked:
        needed = reached(wanted, self.edges)
        if not self.strict and (wanted or not self.faults):
            idle = [f for f in self.faults if f.node is not None and f.node not in needed]
            self.warnings += idle
            self.faults = [f for f in self.faults if f.node is None or f.node in needed]
        bad = {fault.node for fault in self.faults if fault.node is not None}
        served = dependants(bad, wanted, self.edges)
        spoilt = {target for targets in served.values() for target in targets}
        good = [target for target in wanted if target not in spoilt]
        faults, warnings = tuple(self.faults), tuple(self.warnings)
        if not good or any(fault.node is None for fault in faults):
            return Checked(None, faults, warnings, served)
        keep = reached(good, self.edges)
        nodes = {id: node for id, node in self.nodes.items() if id in keep}
        graph = Graph(nodes, tuple(good), warnings, self.document)
        return Checked(graph, faults, warnings, served)


def check_expansion(
    nodes: Mapping[str, Any], registry: Registry, outside: Mapping[str, NodeType]
) -> dict[str, Node]:
    """The nodes of an expansion, whose links may also name nodes `outside`. Raises InvalidGraph."""
    checker = _Check(nodes, registry, strict=False, outside=outside)
    for id, entry in checker.document.items():
        checker.read_type(id, entry)
    for id in checker.document:
        checker.read_inputs(id)
    checker.report_cycles()
    if checker.faults:
        raise InvalidGraph(checker.faults, {})
    return checker.nodes


def literals_of(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs as hooks see them before a run: links are None."""
    return {name: None if isinstance(v, Link) else v for name, v in inputs.items()}


def _slot(kind: NodeType, slot: int | str) -> int | None:
    if isinstance(slot, int):
        return slot if 0 <= slot < len(kind.outputs) else None
    names = [output.name.lower() for output in kind.outputs]
    if slot.lower() in names:
        return names.index(slot.lower())
    return _slot(kind, int(slot)) if slot.isdecimal() and len(slot) < 6 else None


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_socket(port: Port) -> bool:
    words = port.type.split(",")
    return port.socket or not {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"} & set(words)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, (int, float)) else "no JSON")


def _json_safe(value: Any) -> Any:
    """`value` if JSON can carry it and it is short; else its beginning as text."""
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError, OverflowError):
        return f"a {type(value).__name__} that JSON cannot carry"
    return value if len(text) <= 200 else text[:197] + "..."
