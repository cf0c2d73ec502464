"""One job at work: runs it on the engine, in a thread, and sees to it that it ends."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from nodegraph.computing import compute_alone
from nodegraph.context import CancelToken
from nodegraph.documents import Document
from nodegraph.events import (
    Event,
    Executed,
    NodeEvent,
    NodeFailed,
    NodeFinished,
    NodeSkipped,
    NodeStarted,
    Preview,
    RunCancelled,
)
from nodegraph.outputs import Sent

from .book import JournalBook
from .job import Job, Result, Status
from .journal import Journal
from .messages import Failure, Message, Story, failure_of

if TYPE_CHECKING:
    from nodegraph.engine import Engine
    from nodegraph.tasks import RunResult

log = logging.getLogger(__name__)

Cause = Literal["interrupted", "deadline", "hung", "shutdown"]


@dataclass
class Running:
    """A job at work.

    cause: why it is being stopped, if it is; `stuck`: the node that showed no sign of life.
    log:   the messages so far, without progress.
    over:  it has ended; what its nodes still say is ignored. leave: end without its thread.
    """

    job: Job
    token: CancelToken = field(default_factory=CancelToken)
    cause: Cause | None = None
    stuck: tuple[str, str] | None = None
    log: list[Message] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    cancelled_in: str | None = None
    over: bool = False
    leave: Callable[[], None] = lambda: None
    _signs: dict[str, tuple[str, float]] = field(default_factory=dict)  # type, when
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.story = Story(self.job.id, self.job.attempts)

    def sign(self, event: Event) -> None:
        """Note that a node is alive. From any thread."""
        if not isinstance(event, NodeEvent):
            return
        with self._lock:
            if event.parent is not None:  # which is not at work itself: others are in its place
                self._signs.pop(event.parent, None)
            if isinstance(event, (NodeFinished, NodeFailed, NodeSkipped)):
                self._signs.pop(event.node, None)
            elif isinstance(event, NodeStarted) or event.node in self._signs:
                self._signs[event.node] = (event.class_type, time.monotonic())

    def silent(self, now: float) -> tuple[float, tuple[str, str] | None]:
        """The longest that a node at work has given no sign, in seconds, and which one it is."""
        with self._lock:
            signs = dict(self._signs)
        if not signs:
            return 0.0, None
        node, (kind, last) = min(signs.items(), key=lambda item: item[1][1])
        return now - last, (node, kind)

    def hear(self, event: Event) -> list[Message]:
        """Take an event in; the messages about it."""
        if isinstance(event, RunCancelled):
            self.cancelled_in = event.node
        messages = list(self.story.tell(event))
        for message in messages:
            self.keep(message)
        if isinstance(event, Executed) and event.parent is None:
            self._show(event)
        return messages

    def keep(self, message: Message) -> None:
        if not message.passing:
            self.log.append(message)

    def _show(self, event: Executed) -> None:
        self.outputs[event.node] = event.shown.as_json()
        self.meta[event.node] = {
            "node_id": event.node,
            "display_node": event.node,
            "parent_node": None,
            "real_node_id": event.node,
        }


@dataclass(frozen=True)
class Runner:
    """Runs jobs.

    redact: takes paths of this computer out of a text. debug: clients are told tracebacks.
    extra:  what nodes see as Context.extra.
    preview: told of pictures on the way, and `observe` of all other events, in the node's thread.
             Of what is `emit`ted with those, a Preview is always a picture that is Sent.
    """

    journal: Journal
    redact: Callable[[str], str] = str
    debug: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
    preview: Callable[[Job, Preview], None] = lambda _job, _event: None
    observe: Callable[[Event], None] = lambda _event: None

    def run(
        self, engine: Engine, running: Running, emit: Callable[[Event], None]
    ) -> RunResult | BaseException:
        """Run a job to its end, in the calling thread. What it raises is returned."""
        job = running.job

        def hear(event: Event) -> None:
            running.sign(event)
            if running.over:
                return
            self._show(job, event)
            if not isinstance(event, Preview) or isinstance(event.value, Sent):
                emit(event)

        try:
            compute_alone()  # this thread copies results, while others may be sampling
            document = Document(job.request.document)
            checked = engine.check_document(document, targets=list(job.request.targets))
            return engine.run(
                checked.require(),
                emit=hear,
                cancel=running.token,
                workflow=job.request.workflow,
                extra=self.extra,
                book=lambda node, call: JournalBook(
                    self.journal, job.id, node, call, running.token
                ),
            )
        except BaseException as error:
            return error

    def _show(self, job: Job, event: Event) -> None:
        """Tell those who only watch; what they do wrong is no fault of the job."""
        try:
            if isinstance(event, Preview) and not isinstance(event.value, Sent):
                self.preview(job, event)
            else:
                self.observe(event)
        except Exception:
            log.exception("who watches job %s failed", job.id)

    def outcome(
        self, running: Running, result: RunResult | BaseException, settings: Limits
    ) -> tuple[Status, Message]:
        """How a job ended, and the message that says so."""
        now, story = time.time(), running.story
        if was_stopped(running, result):
            failure = self._stopped(running, settings)
            if failure is None:
                return Status.CANCELLED, story.interrupted(running.cancelled_in, now)
            return Status.ERROR, story.failed(failure, now)
        if isinstance(result, BaseException):
            return Status.ERROR, story.failed(self._failure(result), now)
        if result.errors:
            return Status.ERROR, self._failed(story, result, now)
        return Status.SUCCESS, story.message("execution_success", timestamp=int(now * 1000))

    def _stopped(self, running: Running, limits: Limits) -> Failure | None:
        if running.cause == "deadline":
            message = "the job did not end before its deadline: give it more time, or less to do"
            node = running.cancelled_in
            kind = None if node is None else running.story.running.get(node)
            return Failure("DeadlineExceeded", message, node, kind)
        if running.cause == "hung" and running.stuck is not None:
            stuck, kind = running.stuck
            message = (
                f"node {stuck} ({kind}) gave no sign of life for {limits.node_timeout:g} s and was "
                "given up; the setting node_timeout allows more"
            )
            return Failure("NodeTimeout", message, stuck, kind)
        return None

    def _failed(self, story: Story, result: RunResult, now: float) -> Message:
        """All that failed; clients look at the first alone, so that is the one of the message."""
        failures = [self._failure(error) for error in result.errors.values()]
        others = {
            failure.node: {"exception_type": failure.type, "exception_message": failure.message}
            for failure in failures[1:]
        }
        return story.failed(failures[0], now, others=others, skipped=dict(result.skipped))

    def _failure(self, error: BaseException) -> Failure:
        lines = traceback.format_exception(error) if self.debug else []
        return failure_of(error, str if self.debug else self.redact, tuple(lines))


@dataclass(frozen=True)
class Limits:
    """Seconds: that a node may be silent (None: for ever), that a cancelled one has to stop."""

    node_timeout: float | None = None
    stop_grace: float = 30.0


def was_stopped(running: Running, result: RunResult | BaseException) -> bool:
    """Whether a job ended because it was told to, before it was done."""
    if isinstance(result, BaseException):
        return running.cause is not None
    return result.cancelled


def result_of(running: Running, last: tuple[Message, ...]) -> Result:
    """What is remembered of a job. last: its last messages; the first says how it ended."""
    error = None if last[0].type == "execution_success" else last[0].data
    messages = tuple((each.n, each.type, each.data) for each in (*running.log, *last))
    return Result(running.outputs, running.meta, messages, error)
