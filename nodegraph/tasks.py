"""The state of one step while a plan runs, and the report of a whole run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from .copies import copied
from .errors import Cancelled, ExecutionError, RunFailed
from .graph import Node
from .outputs import Shown
from .plan import Step
from .subgraph import Grown
from .values import fingerprint

FIXED = frozenset({int, float, str, bool, bytes, complex, type(None)})


class State(Enum):
    IDLE = "idle"  # nobody asked for it, or its value was let go
    WAITING = "waiting"  # for inputs
    READY = "ready"  # in its lane's queue
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"  # something it needs failed


@dataclass(frozen=True, slots=True)
class Value:
    """What a node made: one item per output slot, and last what it shows, as the cache has it.

    fingerprint: of `outputs`, when they were made; another one later means somebody changed them.
    fixed:       nothing in it can be changed in place.
    """

    outputs: tuple[Any, ...]
    fingerprint: int
    fixed: bool

    @classmethod
    def of(cls, outputs: tuple[Any, ...], print_: int | None = None) -> Value:
        return cls(outputs, fingerprint(outputs) if print_ is None else print_, is_fixed(outputs))

    @property
    def slots(self) -> tuple[Any, ...]:
        return self.outputs[:-1]

    @property
    def shown(self) -> Shown | None:
        return self.outputs[-1]

    def copied(self) -> Value:
        """The same value, sharing nothing that can be changed."""
        return self if self.fixed else Value(copied(self.outputs), self.fingerprint, False)

    def intact(self) -> bool:
        """Whether it still is what its node made."""
        return self.fixed or fingerprint(self.outputs) == self.fingerprint


def is_fixed(items: tuple[Any, ...]) -> bool:
    """Whether none of these can be changed in place."""
    return all(type(item) in FIXED for item in items)


@dataclass(eq=False, slots=True)
class Task:
    """A step being run.

    rank:       place in the order of the plan; nodes of an expansion come right after its node.
    parent:     id of the node whose expansion made it, `depth` expansions deep.
    missing:    how many tasks it waits for.
    held:       the tasks whose values it reads, by input; each entry is one use there. Those that
                run in its place are held under their ids in parentheses.
    dependents: tasks that wait for this one. uses: how many entries of `held` it is, plus one for
                a target.
    taken:      the values of `held` that its call was given.
    leader:     a task that does the same work, whose value it waits for instead of working.
    grown:      what its calls returned, while some of that are expansions that still run.
    fanned:     it was called once for each item of a list.
    careful:    it runs on copies of its inputs, because one was changed; `attempts`: how often.
    ticket:     when its call began, see Activity.
    """

    step: Step
    rank: tuple[int, ...]
    target: bool = False
    parent: str | None = None
    depth: int = 0
    state: State = State.IDLE
    missing: int = 0
    uses: int = 0
    held: dict[str, Task] = field(default_factory=dict)
    dependents: dict[Task, None] = field(default_factory=dict)
    taken: dict[str, Value] = field(default_factory=dict)
    value: Value | None = None
    leader: Task | None = None
    grown: list[Grown | Any] | None = None
    children: tuple[str, ...] = ()
    fanned: bool = False
    careful: bool = False
    attempts: int = 0
    ticket: int = 0
    seconds: float = 0.0

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
        node = self.step.node
        return {"node": node.id, "class_type": node.type.name, "parent": self.parent}

    def changed(self) -> list[str]:
        """The inputs it was given that are no longer what they were."""
        intact = {id(value): value.intact() for value in self.taken.values()}
        return [name for name, value in self.taken.items() if not intact[id(value)]]


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

    outputs:  for each target that finished, its values, one for each output slot; the caller's own.
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
