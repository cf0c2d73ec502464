"""The state of one step while a plan runs, and the report of a whole run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from .errors import Cancelled, ExecutionError, RunFailed
from .graph import Node
from .outputs import Shown
from .plan import Step


class State(Enum):
    IDLE = "idle"  # nobody asked for it, or its value was let go
    WAITING = "waiting"  # for inputs
    READY = "ready"  # in its lane's queue
    RUNNING = "running"
    EXPANDED = "expanded"  # for the nodes that run in its place
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"  # something it needs failed


ENDED = frozenset({State.DONE, State.FAILED, State.SKIPPED})


@dataclass(eq=False)
class Task:
    """A step being run.

    rank:       place in the order of the plan; nodes of an expansion come right after its node.
    missing:    how many of the inputs it waits for are not there yet.
    held:       its inputs by name, as the tasks they come from; each counts as one use there.
    dependents: tasks that wait for this one. uses: how many tasks hold its value.
    fingerprint: of `slots`, when they were made; a different one later means somebody changed them.
    results:    what its calls returned, while some of them are expansions that still run.
    redo:       its result is to be thrown away: an input was changed while it ran.
    """

    step: Step
    rank: tuple[int, ...]
    target: bool = False
    parent: str | None = None
    state: State = State.IDLE
    missing: int = 0
    uses: int = 0
    held: dict[str, Task] = field(default_factory=dict)
    dependents: list[Task] = field(default_factory=list)
    slots: tuple[Any, ...] | None = None
    shown: Shown | None = None
    fingerprint: int = 0
    seconds: float = 0.0
    results: list[Any] | None = None
    fanned: bool = False
    redo: bool = False
    announced: bool = False

    def __lt__(self, other: Task) -> bool:
        return self.rank < other.rank

    @property
    def id(self) -> str:
        return self.step.node.id

    @property
    def node(self) -> Node:
        return self.step.node

    def who(self) -> dict[str, Any]:
        """The fields every event of this node carries."""
        return {"node": self.id, "class_type": self.node.type.name, "parent": self.parent}


@dataclass(frozen=True)
class Account:
    """What one node cost.

    status:     ran, cached, failed or skipped.
    seconds:    time in its function, retries included; 0 if it did not run.
    bytes_out:  size of its outputs. peak_bytes: exact peak of device memory on CUDA, else None.
    not_stored: why its result is not in the disk cache although one is in use ("" if it is).
    """

    node: str
    class_type: str
    status: Literal["ran", "cached", "failed", "skipped"]
    seconds: float = 0.0
    bytes_out: int = 0
    peak_bytes: int | None = None
    not_stored: str = ""


@dataclass(frozen=True)
class RunResult:
    """What a run gave. Failed branches do not take away what the others finished.

    outputs:  for each target that finished, its values, one for each output slot.
    shown:    for each output node that finished, what it shows.
    errors:   for each node that failed, why; `skipped` maps nodes to the failed node they need.
    accounts: what each node cost, in the order they ended.
    """

    outputs: Mapping[str, tuple[Any, ...]]
    shown: Mapping[str, Shown]
    errors: Mapping[str, ExecutionError]
    skipped: Mapping[str, str]
    accounts: tuple[Account, ...]
    seconds: float
    cancelled: bool = False

    def __getitem__(self, target: str) -> tuple[Any, ...]:
        return self.outputs[target]

    def require(self) -> RunResult:
        """This result, if everything finished. Raises Cancelled or RunFailed."""
        if self.cancelled:
            raise Cancelled("the run was cancelled")
        if self.errors:
            first = next(iter(self.errors.values()))
            more = f" (and {len(self.errors) - 1} more)" if len(self.errors) > 1 else ""
            raise RunFailed(f"{first}{more}", self) from first
        return self
