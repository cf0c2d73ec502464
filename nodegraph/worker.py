"""What a worker thread does with a task, from its turn to its result.

inputs -> call -> results -> finished, failed, or waiting for more:
   |        |        |
late key  lazy   expansion
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from .blame import Blame
from .caller import Caller
from .calls import Calls, Outcome, asked_for, fan_out, gather, joined, outcome
from .errors import Cancelled
from .events import Executed, NodeFinished, NodeStarted, Warned
from .expansion import Expansion, Link
from .failures import as_execution_error, forget_frames
from .literals import Literals
from .manifest import describe
from .plan import Keys
from .subgraph import Grown, collected, grow
from .tasks import Task, Value
from .values import Many, nbytes

if TYPE_CHECKING:
    from .run import Run


class Worker:
    """Runs the tasks of one run, on the executor's threads."""

    def __init__(self, run: Run, **facts: Any) -> None:
        self.run = run
        self.owner = run.owner
        self.schedule = run.schedule
        self.keys = run.plan.keys or Keys()
        self.literals = Literals(run.owner.registry)
        self.blame = Blame(run)
        self.caller = Caller(
            run.owner,
            emit=run.emit,
            cancel=run.cancel,
            describe=lambda task: describe(task, self.keys, self.schedule.tasks),
            prompt=run.plan.document,
            **facts,
        )

    def turn(self, lane: str) -> None:
        """Run the first ready task of a lane, if there still is one."""
        with self.run.lock:
            task = self.run.pop(lane)
            if task is None:
                return self.run.settle()
        return self._guarded(task, partial(self._start, task))

    def _guarded(self, task: Task, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self._failed(task, error)

    # -- before the call ---------------------------------------------------------------------

    def _start(self, task: Task) -> None:
        if task.grown is not None:
            return self._assemble(task, task.grown)
        if not self.blame.ready(task):
            return None
        kind = task.node.type
        inputs = gather(task.node, _arrived(task), self.literals)
        if task.step.key is None and self._known_by_now(task, inputs):
            return None
        calls = fan_out(kind, inputs)
        if self._wants_more(task, calls):
            return None
        task.fanned = calls.many
        lane = "async" if kind.is_async else kind.lane
        self.run.emit(NodeStarted(**task.who(), lane=lane))
        if calls.warning:
            self.run.emit(Warned(**task.who(), message=calls.warning))
        if kind.is_async:
            self.owner.async_lane.submit(self._call_async(task, calls))
            return None
        return self._call(task, calls)

    def _known_by_now(self, task: Task, inputs: Mapping[str, Any]) -> bool:
        """Complete the key of a task; True if its value is known then, or being made."""
        node, tasks = task.node, self.schedule.tasks
        contents = {link.node: tasks[link.node].step.content for _, link in node.links()}
        names = {
            port.name: _names(inputs[port.name])
            for port in node.type.inputs
            if port.names_files and isinstance(node.inputs[port.name], Link)
        }
        task.step = self.keys.complete(node, contents, names)
        if task.step.key is None:
            return False
        with self.run.lock:
            if not self.schedule.recalled(task):
                return False
            self.run.leave(task)
            self.run.settle()
        return True

    def _wants_more(self, task: Task, calls: Calls) -> bool:
        """Ask for lazy inputs; True if the task now waits for some."""
        wanted = asked_for(task.node, calls)
        if not wanted:
            return False
        with self.run.lock:
            if self.run.leave(task):
                self.schedule.wait_for(task, wanted)
                self.run.settle()
        return True

    # -- the call ----------------------------------------------------------------------------

    def _call(self, task: Task, calls: Calls) -> None:
        begin = time.perf_counter()
        try:
            results, peak = self.caller.call(task, calls)
        finally:
            task.seconds += time.perf_counter() - begin
        self._returned(task, results, peak)

    async def _call_async(self, task: Task, calls: Calls) -> None:
        current = asyncio.current_task()
        begin = time.perf_counter()
        after: Callable[[], None]
        try:
            assert current is not None, "the loop runs coroutines as tasks"
            with self.run.lock:
                self.run.coroutines.add(current)
            results = await self.caller.call_async(task, calls)
            after = partial(self._returned, task, results, None)
        except BaseException as error:
            after = partial(self._failed, task, self._reason(error))
        task.seconds += time.perf_counter() - begin
        with self.run.lock:
            self.run.coroutines.discard(current)
        # What is left to do looks into values, which is no work for the event loop.
        self.owner.lane("io").submit(partial(self._guarded, task, after))

    def _reason(self, error: BaseException) -> BaseException:
        """A coroutine is cancelled by the run; or by itself, which is a failure like others."""
        if isinstance(error, asyncio.CancelledError) and self.run.cancel.cancelled:
            return Cancelled("the run was cancelled")
        return error

    # -- results -----------------------------------------------------------------------------

    def _returned(self, task: Task, results: list[Any], peak: int | None) -> None:
        if any(isinstance(result, Expansion) for result in results):
            self._expand(task, results)
        else:
            self._finish(task, outcome(task.node, results, fanned=task.fanned), peak)

    def _finish(self, task: Task, made: Outcome, peak: int | None) -> None:
        # In this order: an output may share memory with an input. If the inputs are still intact
        # now, so were the outputs when their fingerprint was taken.
        value = Value.of(made.outputs)
        if self.blame.spoilt(task) or self.run.is_left(task):
            return
        size = nbytes(value.outputs)
        not_stored = self._store(task, value)
        if made.shown is not None:
            self.run.emit(Executed(**task.who(), shown=made.shown))
        self.run.emit(
            NodeFinished(
                **task.who(),
                seconds=task.seconds,
                bytes_out=size,
                peak_bytes=peak,
                stored=not not_stored,
            )
        )
        with self.run.lock:
            if not self.run.leave(task):
                return
            task.value = value
            self.run.report.ran(task, size, peak, not_stored)
            self.schedule.finish(task)
            self.run.settle()

    def _store(self, task: Task, value: Value) -> str:
        """Put a result into the cache; why it does not go to disk, or ""."""
        key = task.step.key
        if key is None:
            return ""
        stored = self.owner.cache.put(
            key,
            value.outputs,
            seconds=task.seconds,
            codecs=self.run.codecs(task.node.type),
            fingerprint=value.fingerprint,
        )
        return stored.reason

    def _expand(self, task: Task, results: list[Any]) -> None:
        """Have nodes run in a node's place."""
        tasks, registry = self.schedule.tasks, self.owner.registry
        grown = [
            grow(task, index, result, tasks, registry=registry, keys=self.keys)
            if isinstance(result, Expansion)
            else result
            for index, result in enumerate(results)
        ]
        if self.blame.spoilt(task):
            return
        parts = [part for part in grown if isinstance(part, Grown)]
        with self.run.lock:
            if not self.run.leave(task):
                return
            task.grown = grown
            self.schedule.expand(
                task,
                [step for part in parts for step in part.steps],
                dict.fromkeys(id for part in parts for id in part.awaited),
            )
            self.run.settle()

    def _assemble(self, task: Task, grown: list[Grown | Any]) -> None:
        """All nodes that ran in a node's place are done: their values are its outputs."""
        inner = {name[1:-1]: value for name, value in task.taken.items() if name[0] == "("}
        slots = {id: value.slots for id, value in inner.items()}
        results: list[Any] = []
        for part in grown:
            if isinstance(part, Grown):
                shown = [inner[step.id].shown for step in part.steps if step.id in inner]
                all_shown = joined([each for each in shown if each is not None])
                results.append(Outcome(collected(task.node, part, slots), all_shown))
            else:
                results.append(part)
        self._finish(task, outcome(task.node, results, fanned=task.fanned), None)

    # -- failures ----------------------------------------------------------------------------

    def _failed(self, task: Task, error: BaseException) -> None:
        try:
            self._fail(task, error)
        except BaseException as defect:
            self.run.abort(defect)
            with self.run.lock:
                self.run.leave(task)
                self.run.settle()

    def _fail(self, task: Task, error: BaseException) -> None:
        if isinstance(error, Cancelled) and self.run.cancel.cancelled:
            with self.run.lock:
                if self.run.leave(task):
                    self.run.report.cancelled(task)
                    self.schedule.stop(task)
                    self.run.settle()
        elif not self.blame.spoilt(task):
            forget_frames(error)
            with self.run.lock:
                if self.run.leave(task):
                    self.run.fail(task, as_execution_error(task.node, error))
                    self.run.settle()


def _arrived(task: Task) -> dict[str, Any]:
    """The values of the inputs that are links."""
    links = task.node.inputs
    return {name: value.outputs[links[name].slot] for name, value in task.taken.items()}


def _names(given: Any) -> Any:
    """File names as `Keys.complete` takes them."""
    if isinstance(given, Many):
        return given.items
    return tuple(given) if isinstance(given, list) else given
