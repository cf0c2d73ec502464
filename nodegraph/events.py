"""What happens while a plan runs, as frozen facts.

    RunStarted, NodesCached, then per node NodeStarted, Progress*, Preview*, Measured*, Warned*,
    Retried?, Executed? (output nodes), NodeFinished | NodeFailed | NodeSkipped; and at last
    RunFinished | RunCancelled.

The executor emits them to a callback, one at a time; times are seconds since the epoch.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .outputs import SavedFile, Shown


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of all events. `at`: when, in seconds since the epoch."""

    at: float = field(default_factory=time.time)


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event):
    """A run begins; `nodes` are the ids of its plan, in order."""

    nodes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class NodesCached(Event):
    """These nodes need not run: their results are cached, or nobody needs them any more."""

    nodes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class NodeEvent(Event):
    """An event of one node. `parent` is the node whose expansion made it, if any."""

    node: str
    class_type: str
    parent: str | None = None


@dataclass(frozen=True, kw_only=True)
class NodeStarted(NodeEvent):
    """A node's function is about to be called, on `lane`."""

    lane: str


@dataclass(frozen=True, kw_only=True)
class Progress(NodeEvent):
    """`value` of `total` units (steps, tiles) are done."""

    value: int
    total: int
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Preview(NodeEvent):
    """An intermediate result, see `Context.preview`: a picture, or what `pictures` makes one of.

    A `Sent` is a result, to be delivered as it is.
    """

    value: Any


@dataclass(frozen=True, kw_only=True)
class Measured(NodeEvent):
    """Figures of a node that learns, see `Context.measure`."""

    step: int
    total: int
    figures: Mapping[str, float]
    sample: SavedFile | None = None


@dataclass(frozen=True, kw_only=True)
class Warned(NodeEvent):
    """Something the user should know that did not stop the node."""

    message: str


@dataclass(frozen=True, kw_only=True)
class Retried(NodeEvent):
    """The node ran out of memory; `freed` bytes were freed, and it runs once more."""

    reason: str
    freed: int


@dataclass(frozen=True, kw_only=True)
class Executed(NodeEvent):
    """An output node has something to show. `cached`: from an earlier run."""

    shown: Shown
    cached: bool = False


@dataclass(frozen=True, kw_only=True)
class NodeFinished(NodeEvent):
    """A node ended well. `bytes_out`: size of its outputs; `peak_bytes`: exact peak on CUDA."""

    seconds: float
    bytes_out: int
    peak_bytes: int | None = None
    stored: bool = True


@dataclass(frozen=True, kw_only=True)
class NodeFailed(NodeEvent):
    """A node raised `error`."""

    error: Exception
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class NodeSkipped(NodeEvent):
    """A node cannot run because `because`, a node it needs, failed."""

    because: str


@dataclass(frozen=True, kw_only=True)
class RunFinished(Event):
    """The run ended; `failed` lists the nodes that failed or were skipped."""

    seconds: float
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunCancelled(Event):
    """The run was cancelled, while `node` ran (None: between nodes)."""

    seconds: float
    node: str | None = None
