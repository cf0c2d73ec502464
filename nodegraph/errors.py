"""Everything nodegraph raises.

* NodeGraphError
  + DeclarationError      a node function cannot become a node type; names the parameter
    - NameClash           what it registers is there already; names both sides
  + PluginError           a plugin cannot be loaded; nothing of it was registered
  + SettingsError         a setting is unknown or has a wrong value; names where it was set
  + FileMissing           a model, picture or latent is not where it was looked for
  + DocumentError         the file or text is not a graph document at all
  + InvalidGraph          the document is a graph, with faults; lists all of them
  + ExecutionError        a node failed while running; carries the node
    - NodeFailed          its function raised
    - InputChanged        it changed one of its inputs in place
    - BadValue            a value that only the run knows does not fit its port
  + RunFailed             the run ended with failed nodes; carries the result, with what did finish
  + Cancelled             somebody asked for the run to stop
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .tasks import RunResult

PluginFailure = Literal["broken", "refused", "needs permission"]


class NodeGraphError(Exception):
    """Base of every error this package raises on purpose."""


class DeclarationError(NodeGraphError):
    """A node function, port type or extension cannot be registered."""


class NameClash(DeclarationError):
    """Two things are registered under one name."""


class PluginError(NodeGraphError):
    """A plugin cannot be loaded. Nothing of it was registered.

    state:  "broken" where its manifest or code is wrong, "refused" where it does not go with what
            is here, "needs permission" where the settings do not permit what it declares to do.
    plugin: its name, as far as that is known.
    """

    def __init__(self, message: str, *, state: PluginFailure = "broken", plugin: str = "") -> None:
        super().__init__(message)
        self.state: PluginFailure = state
        self.plugin = plugin


class SettingsError(NodeGraphError):
    """A setting is unknown or wrong."""


class FileMissing(NodeGraphError):
    """A file that a graph names is not there."""


class DocumentError(NodeGraphError):
    """What was given is not a graph document: not JSON, not an object, or too large."""


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a graph document.

    type:    what kind of fault, a stable word (`value_not_in_list`, `dependency_cycle` ...).
    message: the kind, as a sentence.
    details: this very case: which value, what was expected, what to do.
    node, input: where; `node` is None for the document as a whole.
    extra:   machine-readable facts (`received_value`, `input_config` ...).
    """

    type: str
    message: str
    details: str
    node: str | None = None
    input: str | None = None
    class_type: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        where = "" if self.node is None else f"node {self.node}"
        where += f" ({self.class_type})" if self.class_type else ""
        where += f", input {self.input}" if self.input else ""
        return f"{where}: {self.details}" if where else self.details

    def as_json(self) -> dict[str, Any]:
        """The shape of one entry of `node_errors[id].errors`."""
        extra = dict(self.extra)
        if self.input is not None:
            extra.setdefault("input_name", self.input)
        return {
            "type": self.type,
            "message": self.message,
            "details": self.details,
            "extra_info": extra,
        }


class InvalidGraph(NodeGraphError):
    """A graph document with faults. `faults` lists all of them, in the document's order."""

    def __init__(self, faults: Sequence[Fault], dependants: Mapping[str, Sequence[str]]) -> None:
        self.faults = tuple(faults)
        self.dependants = dependants
        count = len(self.faults)
        head = "the graph has a fault" if count == 1 else f"the graph has {count} faults"
        super().__init__("\n".join([f"{head}:", *(f"  {fault}" for fault in self.faults)]))

    def node_errors(self) -> dict[str, Any]:
        """`{id: {"errors": [...], "dependent_outputs": [ids], "class_type": name}}`."""
        errors: dict[str, Any] = {}
        for fault in self.faults:
            if fault.node is None:
                continue
            entry = errors.setdefault(
                fault.node,
                {
                    "errors": [],
                    "dependent_outputs": list(self.dependants.get(fault.node, ())),
                    "class_type": fault.class_type,
                },
            )
            entry["errors"].append(fault.as_json())
        return errors


class ExecutionError(NodeGraphError):
    """A node failed. `node` is its id, `class_type` the name of its type."""

    def __init__(self, message: str, *, node: str, class_type: str) -> None:
        super().__init__(message)
        self.node = node
        self.class_type = class_type


class NodeFailed(ExecutionError):
    """A node's function raised; the cause is chained."""


class InputChanged(ExecutionError):
    """A node changed an input in place. `input` is the input's name."""

    def __init__(self, message: str, *, node: str, class_type: str, input: str) -> None:
        super().__init__(message, node=node, class_type=class_type)
        self.input = input


class BadValue(ExecutionError):
    """A value that arrived over a link does not fit the port. `input` is the port's name."""

    def __init__(self, message: str, *, node: str, class_type: str, input: str) -> None:
        super().__init__(message, node=node, class_type=class_type)
        self.input = input


class RunFailed(NodeGraphError):
    """Some nodes failed. `result` holds what failed and what finished all the same."""

    def __init__(self, message: str, result: RunResult) -> None:
        super().__init__(message)
        self.result = result


class Cancelled(NodeGraphError):
    """The run was asked to stop."""
