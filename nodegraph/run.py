"""One run of a plan: a `Schedule` with threads and events around it.

    Schedule  who waits for whom
    Worker    what a thread does with a task that is ready
    Run       the lock, the events, the beginning and the end

All state is under one lock. Nodes run outside it, and their results are looked into outside it;
cached results are recalled, and spoilt ones searched for, under it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from .blame import MAX_ATTEMPTS
from .context import CancelToken
from .errors import ExecutionError
from .events import (
    Event,
    Executed,
    NodeFailed,
    NodesCached,
    NodeSkipped,
    RunCancelled,
    RunFinished,
    RunStarted,
)
from .node import NodeType
from .plan import Plan
from .report import Report
from .schedule import Schedule
from .tasks import RunResult, State, Task, Value, is_fixed
from .traversal import natural, reached
from .types import Codec
from .worker import Worker

if TYPE_CHECKING:
    from .executor import Executor

POLL_SECONDS = 0.1


class Run:
    """The state of one run. `Executor.run` makes it and calls `execute`.

    ticket: see Activity. facts: what the contexts of its nodes have in common.
    """

    def __init__(
        self,
        plan: Plan,
        executor: Executor,
        *,
        emit: Callable[[Event], None],
        cancel: CancelToken,
        ticket: int,
        **facts: Any,
    ) -> None:
        self.plan = plan
        self.ticket = ticket
        self.owner = executor
        self.cancel = cancel
        self.lock = threading.RLock()
        self.schedule = Schedule(plan, self._recall)
        self.report = Report()
        self.coroutines: set[asyncio.Task[None]] = set()
        self._worker = Worker(self, **facts)
        self._running: dict[Task, tuple[str, threading.Thread]] = {}  # lane and thread
        self._left: set[Task] = set()  # still at work, but the run goes on without them
        self._over = False
        self._end = threading.Event()
        self._emit = emit
        self._emit_lock = threading.Lock()
        self._error: BaseException | None = None  # of the callback, or a defect of ours
        self._codecs: dict[str, list[Codec | None]] = {}
        self._results: dict[str, tuple[Any, ...]] = {}

    # -- the whole ---------------------------------------------------------------------------

    def execute(self) -> RunResult:
        """Run to the end, on the executor's lanes; the calling thread waits."""
        begin = time.perf_counter()
        self.emit(RunStarted(nodes=tuple(self.schedule.tasks)))
        try:
            with self.lock:
                self.schedule.demand([self.schedule.tasks[id] for id in self.plan.targets])
                self._announce_idle()
                self.settle()
        except BaseException as error:
            self.abort(error)
        self._wait()
        for _ in range(MAX_ATTEMPTS):
            if self._take_results():
                break
            self._wait()
        seconds = time.perf_counter() - begin
        cancelled = self.cancel.cancelled and self.schedule.open > 0
        if cancelled:
            last: Event = RunCancelled(seconds=seconds, node=self.report.cancelled_in)
        else:
            failed = (*self.report.errors, *self.schedule.because)
            last = RunFinished(seconds=seconds, failed=failed)
        self.emit(last, last=True)
        if self._error is not None:
            raise self._error
        return self.report.result(self._results, self.schedule.because, seconds, cancelled)

    def emit(self, event: Event, *, last: bool = False) -> None:
        """Hand an event to the callback. If it raises, the run is cancelled and raises that.

        last: what comes after it is left out; it is from nodes that were left behind.
        """
        with self._emit_lock:
            over, self._over = self._over, self._over or last
            if self._error is not None or over:
                return
            self.owner.callbacks.active = True
            try:
                self._emit(event)
            except BaseException as error:
                self._error = error
                self.cancel.cancel()
            finally:
                self.owner.callbacks.active = False

    def abort(self, error: BaseException) -> None:
        """A defect of the engine, or of the cache, ends the run: it must not hang."""
        with self._emit_lock:
            self._error = self._error or error
            self.cancel.cancel()

    def _wait(self) -> None:
        while True:
            try:
                if self._end.wait(POLL_SECONDS):
                    return
                self._look_around()
            except KeyboardInterrupt:
                # Ctrl-C means: stop at the next step, and leave everything in order.
                self.cancel.cancel()

    def _take_results(self) -> bool:
        """Copy the targets' outputs for the caller; False if some have to be made again first.

        The values themselves belong to the cache, and so to runs to come, whose nodes might change
        them, as the caller may change what it gets.
        """
        values = self.schedule.outputs
        shared = {id: value for id, value in values.items() if not is_fixed(value.slots)}
        own = {id: _own(value) for id, value in shared.items()}
        self._results = {id: own.get(id, value).slots for id, value in values.items()}
        if all(value.intact() for value in own.values()):
            return True
        with self.lock:
            self._end.clear()
            self._worker.blame.drop_changed()
            self.settle()
        return False

    def _look_around(self) -> None:
        """Nobody tells a run that its token was cancelled; and a run must not wait for nothing."""
        with self.lock:
            if self.cancel.cancelled:
                coroutines, self.coroutines = self.coroutines, set()
                for coroutine in coroutines:
                    coroutine.get_loop().call_soon_threadsafe(coroutine.cancel)
                if self.cancel.abandoned:
                    self._leave_behind()
            elif not self._running and self.schedule.stuck:
                self.abort(RuntimeError("the run waits for nothing; this is a defect"))
            self.settle()

    def _leave_behind(self) -> None:
        """End without the nodes that do not stop; their lanes go on with other threads.

        They still count as at work, and keep their inputs, so that nobody else is blamed for what
        they change.
        """
        for task, (lane, thread) in self._running.items():
            self.report.cancelled(task)
            if not task.node.type.is_async:
                self.owner.lane(lane).replace(thread)
        if any(task.node.type.is_async for task in self._running):
            self.owner.async_lane.replace()
        self._left.update(self._running)
        self._running.clear()

    # -- under the lock ----------------------------------------------------------------------

    def pop(self, lane: str) -> Task | None:
        """The next task of a lane, which runs from now on, until it is said to `leave`."""
        task = None if self.cancel.cancelled else self.schedule.pop(lane)
        if task is not None:
            self._running[task] = (lane, threading.current_thread())
            task.ticket = self.owner.activity.begin()
        return task

    def leave(self, task: Task) -> bool:
        """A task is no longer running. False if it was left behind: then it changes nothing."""
        left = task in self._left
        if left or task in self._running:
            self._left.discard(task)
            self._running.pop(task, None)
            self.owner.activity.end()
            task.taken = {}
        return not left

    def is_left(self, task: Task) -> bool:
        """Whether a task was left behind. If so, it has left now, and its result is nobody's."""
        with self.lock:
            return task in self._left and not self.leave(task)

    def fail(self, task: Task, error: ExecutionError) -> None:
        """A task failed, for this reason."""
        self.emit(NodeFailed(**task.who(), error=error, seconds=task.seconds))
        self.report.failed(task, error)
        self.schedule.fail(task)

    def settle(self) -> None:
        """Tell what the schedule has news of, give the lanes their turns, see if it is over."""
        news = self.schedule.take_news()
        if news is not None:
            for task in news.skipped:
                self.report.skipped(task)
                self.emit(NodeSkipped(**task.who(), because=self.schedule.because[task.id]))
            fresh = [task for task in news.recalled if self.report.recalled(task)]
            if fresh or news.dropped:
                self._announce_cached([task.id for task in (*fresh, *news.dropped)], fresh)
            for lane in news.woken:
                self.owner.lane(lane).submit(partial(self._worker.turn, lane))
        if not self._running and (self.schedule.open == 0 or self.cancel.cancelled):
            self._end.set()

    def codecs(self, kind: NodeType) -> list[Codec | None]:
        """One for each output slot, and none for what the node shows, which needs none."""
        found = self._codecs.get(kind.name)
        if found is None:
            registry = self.owner.registry
            found = [*(registry.codec(port.type) for port in kind.outputs), None]
            self._codecs[kind.name] = found
        return found

    def _recall(self, task: Task) -> bool:
        """Give a task its value from the cache, if it is there."""
        key, kind, cache = task.step.key, task.node.type, self.owner.cache
        if key is None or self.cancel.cancelled:  # after a cancel nothing is read any more
            return False
        entry = cache.get(key, self.codecs(kind))
        if entry is None or len(entry.outputs) != len(kind.outputs) + 1:
            return False
        value = Value.of(entry.outputs, entry.fingerprint)
        if value.shown is not None and not self.owner.files_exist(value.shown):
            cache.drop(key, disk=True)
            return False
        task.value = value
        return True

    def _announce_idle(self) -> None:
        """At the start: what need not run, because of what is cached or because nobody needs it."""
        tasks, news = self.schedule.tasks, self.schedule.news
        fresh = [task for task in news.recalled if self.report.recalled(task)]
        news.recalled = []
        cut = {task.id for task in fresh}
        waiting = [id for id, task in tasks.items() if task.state is not State.DONE and task.uses]
        edges = {
            id: [link.node for _, link in task.node.links()]
            for id, task in tasks.items()
            if waiting and id not in cut
        }
        needed = reached(waiting, edges)  # by lazy inputs too, which may be asked for later
        idle = [id for id in tasks if id not in needed and id not in cut]
        self._announce_cached([*cut, *idle], fresh)

    def _announce_cached(self, ids: list[str], fresh: list[Task]) -> None:
        self.emit(NodesCached(nodes=tuple(sorted(ids, key=natural))))
        for task in fresh:
            shown = None if task.value is None else task.value.shown
            if shown is not None:
                self.emit(Executed(**task.who(), shown=shown, cached=True))


def _own(value: Value) -> Value:
    try:
        return value.copied()
    except (MemoryError, RuntimeError):  # torch's own out-of-memory errors are RuntimeErrors
        return value
