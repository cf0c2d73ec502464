"""What happens in a job, as the messages that clients of the ecosystem know.

    execution_start, execution_cached,
    per node   progress_state, executing, (progress_state, progress, figures?)*, executed?,
               progress_state,
    at last    execution_success | execution_error | execution_interrupted, executing {node: null}

Times are whole milliseconds; every message names its job. Messages of a job are numbered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nodegraph.errors import ExecutionError
from nodegraph.events import (
    Event,
    Executed,
    Measured,
    NodeEvent,
    NodeFailed,
    NodeFinished,
    NodesCached,
    NodeStarted,
    Progress,
    RunStarted,
)

from .curves import Curve

ATTEMPT = 10**9  # numbers of one attempt: those of the next one are higher
SHOWN_NODES = 200  # in one progress_state, and as many of those that run
PROGRESS = frozenset({"progress", "progress_state"})


@dataclass(frozen=True)
class Message:
    """One message. `n`: its number in the job, from which a client can have the rest again."""

    type: str
    data: Mapping[str, Any]
    n: int = 0

    @property
    def passing(self) -> bool:
        """Whether a later one of its kind makes it worthless."""
        return self.type in PROGRESS


@dataclass
class _NodeState:
    """A node that has begun."""

    state: str
    parent: str | None
    value: int = 0
    max: int = 1


@dataclass
class Story:
    """Tells one attempt at a job, event by event.

    executed: the ids of the nodes that ran to their end, in order. running: those at work.
    """

    id: str
    attempt: int = 1
    executed: list[str] = field(default_factory=list)
    running: dict[str, str] = field(default_factory=dict)  # id: class type
    _nodes: dict[str, _NodeState] = field(default_factory=dict)
    _ended: dict[str, None] = field(default_factory=dict)  # the last of them last
    _curves: dict[str, Curve] = field(default_factory=dict)
    _told: int = 0

    def tell(self, event: Event) -> Iterator[Message]:
        """The messages about an event of the engine; of some there are none."""
        match event:
            case RunStarted():
                yield self.message("execution_start", timestamp=millis(event.at))
            case NodesCached():
                nodes = list(event.nodes)
                yield self.message("execution_cached", nodes=nodes, timestamp=millis(event.at))
            case NodeStarted():
                self._set(event, "running")
                self.running[event.node] = event.class_type
                yield self._state()
                yield self.message("executing", node=event.node, display_node=self._shown_as(event))
            case Progress():
                node = self._set(event, "running")
                node.value, node.max = int(event.value), max(1, int(event.total))
                yield self._state()
                yield self.message("progress", value=node.value, max=node.max, node=event.node)
            case Measured():
                yield from self._measured(event)
            case Executed():
                yield self.message(
                    "executed",
                    node=event.node,
                    display_node=self._shown_as(event),
                    output=event.shown.as_json(),
                )
            case NodeFinished():
                node = self._set(event, "finished")
                node.value = node.max
                self.executed.append(event.node)
                yield self._end(event)
            case NodeFailed():
                self._set(event, "error")
                yield self._end(event)

    def message(self, type: str, **data: Any) -> Message:
        """The next message."""
        self._told += 1
        return Message(type, {**data, "prompt_id": self.id}, self.attempt * ATTEMPT + self._told)

    def interrupted(self, node: str | None, at: float) -> Message:
        """The message that the job was stopped while `node` ran."""
        node = node or next(iter(self.running), None)
        return self.message(
            "execution_interrupted",
            node_id=node,
            node_type=None if node is None else self.running.get(node),
            executed=self.executed,
            timestamp=millis(at),
        )

    def failed(self, failure: Failure, at: float, **more: Any) -> Message:
        """The message that the job failed."""
        return self.message(
            "execution_error",
            node_id=failure.node,
            node_type=failure.class_type,
            executed=self.executed,
            exception_message=failure.message,
            exception_type=failure.type,
            traceback=list(failure.traceback),
            current_inputs={},
            current_outputs=[],
            timestamp=millis(at),
            **more,
        )

    def _measured(self, event: Measured) -> Iterator[Message]:
        curve = self._curves.setdefault(event.node, Curve())
        point = curve.add(event.step, event.total, event.figures)
        sample = event.sample.as_json() if event.sample and curve.room() else None
        if point is not None or sample is not None:
            yield self.message(
                "figures",
                node=event.node,
                display_node=self._shown_as(event),
                step=event.step,
                total=event.total,
                figures=point or {},
                sample=sample,
            )

    def _set(self, event: NodeEvent, state: str) -> _NodeState:
        node = self._nodes.setdefault(event.node, _NodeState(state, event.parent))
        node.state = state
        return node

    def _end(self, event: NodeEvent) -> Message:
        self.running.pop(event.node, None)
        self._ended.pop(event.node, None)
        self._ended[event.node] = None
        if len(self._ended) > SHOWN_NODES:
            del self._ended[next(iter(self._ended))]
        return self._state()

    def _state(self) -> Message:
        """Of a very large graph, those that ended last and those that began last."""
        at_work = list(self.running)[-SHOWN_NODES:]
        shown = dict.fromkeys([*self._ended, *at_work])
        states = {id: self._state_of(id) for id in shown if id in self._nodes}
        return self.message("progress_state", nodes=states)

    def _state_of(self, id: str) -> dict[str, Any]:
        node = self._nodes[id]
        return {
            "value": node.value,
            "max": node.max,
            "state": node.state,
            "node_id": id,
            "prompt_id": self.id,
            "display_node_id": self._top(id, node.parent),
            "parent_node_id": node.parent,
            "real_node_id": id,
        }

    def _shown_as(self, event: NodeEvent) -> str:
        return self._top(event.node, event.parent)

    def _top(self, id: str, parent: str | None) -> str:
        """The node of the document that a node of an expansion stands for."""
        seen = {id}
        while parent is not None and parent not in seen:
            seen.add(parent)
            id, node = parent, self._nodes.get(parent)
            parent = None if node is None else node.parent
        return id


@dataclass(frozen=True)
class Failure:
    """Why a job failed, in words that anybody may read. node: where, if it was one."""

    type: str
    message: str
    node: str | None = None
    class_type: str | None = None
    traceback: tuple[str, ...] = ()


def failure_of(
    error: BaseException, redact: Callable[[str], str], traceback: tuple[str, ...] = ()
) -> Failure:
    """The failure an error stands for; `redact` takes paths of this computer out of its words."""
    cause = error.__cause__ if isinstance(error, ExecutionError) else None
    notes = [note for each in (error, cause) for note in getattr(each, "__notes__", ())]
    said = "\n".join([str(error) or type(error).__name__, *notes])
    return Failure(
        type(cause or error).__name__,
        redact(said),
        getattr(error, "node", None),
        getattr(error, "class_type", None),
        traceback,
    )


def millis(seconds: float) -> int:
    """Seconds since the epoch as whole milliseconds."""
    return int(seconds * 1000)
