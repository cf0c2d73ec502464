"""One run of a plan: who waits for whom, what is ready, what became of it.

Work is pulled from the targets: a step is demanded when something needs its value, answered from
the cache if its key is there, else it waits for its inputs and joins its lane's queue. Values are
let go when their last reader is done; one that is wanted again (a lazy input, a value that a node
spoilt) is demanded again.

All state is under one lock; nodes run outside it.
"""

from __future__ import annotations

import asyncio
import heapq
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from .calls import UNKNOWN, Call, Outcome, fan_out, gather, outcome
from .context import CancelToken, Context
from .errors import Cancelled, ExecutionError, InputChanged, InvalidGraph, NodeFailed
from .events import (
    Event,
    Executed,
    NodesCached,
    NodeSkipped,
    NodeStarted,
    Preview,
    Progress,
    Retried,
    RunCancelled,
    RunFinished,
    RunStarted,
    Warned,
)
from .events import NodeFailed as NodeFailedEvent
from .events import NodeFinished as NodeFinishedEvent
from .expansion import Expansion, Link
from .graph import check_expansion
from .lanes import AsyncLane, Lane
from .literals import Literals
from .manifest import describe
from .node import FileOf, NodeType
from .outputs import Shown
from .plan import Keys, Plan, Step
from .tasks import Account, RunResult, State, Task
from .traversal import natural, post_order
from .types import Codec
from .values import Many, fingerprint, nbytes

if TYPE_CHECKING:
    from .executor import Executor

Emit = Callable[[Event], None]
POLL_SECONDS = 0.1


class Run:
    """The state of one run. `Executor.run` makes it and calls `execute`."""

    def __init__(
        self,
        plan: Plan,
        executor: Executor,
        *,
        emit: Emit,
        cancel: CancelToken,
        workflow: Mapping[str, Any] | None,
        extra: Mapping[str, Any],
    ) -> None:
        self.plan = plan
        self.owner = executor
        self.cancel = cancel
        self.workflow = workflow
        self.extra = extra
        self.literals = Literals(executor.registry)
        self.keys = plan.keys or Keys()
        self._callback = emit
        self._emit_lock = threading.Lock()
        self._callback_error: BaseException | None = None
        self._lock = threading.RLock()
        self._end = threading.Event()
        self._ready: dict[str, list[Task]] = {}
        self._running: set[Task] = set()
        self._serial = False
        self._coroutines: set[asyncio.Task[None]] = set()
        self._accounts: list[Account] = []
        self._errors: dict[str, ExecutionError] = {}
        self._skipped: dict[str, str] = {}
        self._outputs: dict[str, tuple[Any, ...]] = {}
        self._shown: dict[str, Shown] = {}
        self._newly_cached: list[str] = []
        self._cancelled_in: str | None = None
        targets = set(plan.targets)
        self.tasks = {
            step.id: Task(step, (rank,), target=step.id in targets, uses=step.id in targets)
            for rank, step in enumerate(plan.steps)
        }
        self._open = len(targets)

    # -- the whole ---------------------------------------------------------------------------

    def execute(self) -> RunResult:
        """Run to the end, on the executor's lanes; the calling thread waits."""
        begin = time.perf_counter()
        self.emit(RunStarted(nodes=tuple(self.tasks)))
        with self._lock:
            self._demand([self.tasks[id] for id in self.plan.targets])
            idle = [id for id, task in self.tasks.items() if task.state is State.IDLE]
            self._announce_cached(idle, always=True)
            self._end_if_over()
        self._wait()
        seconds = time.perf_counter() - begin
        cancelled = self.cancel.cancelled and self._open > 0
        failed = (*self._errors, *self._skipped)
        if cancelled:
            self.emit(RunCancelled(seconds=seconds, node=self._cancelled_in))
        else:
            self.emit(RunFinished(seconds=seconds, failed=failed))
        if self._callback_error is not None:
            raise self._callback_error
        return RunResult(
            self._outputs,
            self._shown,
            self._errors,
            self._skipped,
            tuple(self._accounts),
            seconds,
            cancelled,
        )

    def _wait(self) -> None:
        while True:
            try:
                if self._end.wait(POLL_SECONDS):
                    return
            except KeyboardInterrupt:
                # Ctrl-C means: stop at the next step, and leave everything in order.
                self.cancel.cancel()
            if self.cancel.cancelled:
                with self._lock:
                    for coroutine in self._coroutines:
                        coroutine.get_loop().call_soon_threadsafe(coroutine.cancel)
                    self._end_if_over()

    def emit(self, event: Event) -> None:
        """Hand an event to the callback. If it raises, the run is cancelled and raises that."""
        with self._emit_lock:
            try:
                self._callback(event)
            except BaseException as error:
                self._callback_error = self._callback_error or error
                self.cancel.cancel()

    def _end_if_over(self) -> None:
        if not self._running and (self._open == 0 or self.cancel.cancelled):
            self._end.set()

    # -- demand ------------------------------------------------------------------------------

    def _demand(self, roots: Sequence[Task]) -> None:
        """See to it that these tasks end. Under the lock."""
        todo = list(reversed(roots))
        while todo:
            task = todo.pop()
            if task.state is not State.IDLE:
                continue
            if self._from_cache(task):
                self._arrived(task)
                continue
            task.state = State.WAITING
            lazy = {port.name for port in task.node.type.inputs if port.lazy}
            names = [name for name, _ in task.node.links() if name not in lazy]
            self._hold(task, names, todo)
            if task.missing == 0 and task.state is State.WAITING:
                self._make_ready(task)

    def _hold(self, task: Task, names: Sequence[str], todo: list[Task]) -> None:
        """Make `task` wait for the inputs `names`; those nobody demanded yet go to `todo`."""
        first = len(todo)
        for name in names:
            link = task.node.inputs[name]
            if name in task.held:
                continue
            source = self._source(task, link)
            task.held[name] = source
            source.uses += 1
            if source.state in (State.FAILED, State.SKIPPED):
                self._skip(task, source.id)
                return
            if source.state is not State.DONE:
                task.missing += 1
                source.dependents.append(task)
                todo.append(source)
        # The first input is to be demanded first, so that it runs first.
        todo[first:] = reversed(todo[first:])

    def _source(self, task: Task, link: Link) -> Task:
        return self.tasks[link.node]

    def _from_cache(self, task: Task) -> bool:
        key = task.step.key
        if key is None or not task.node.type.cached:
            return False
        entry = self.owner.cache.get(key, self._codecs(task.node.type))
        if entry is None:
            return False
        *slots, shown = entry.outputs
        if shown is not None and not self.owner.files_exist(shown):
            self.owner.cache.drop(key, disk=True)
            return False
        task.slots, task.shown, task.fingerprint = tuple(slots), shown, entry.fingerprint
        if not task.announced:
            self._accounts.append(Account(task.id, task.node.type.name, "cached"))
        self._newly_cached.append(task.id)
        return True

    def _announce_cached(self, idle: Sequence[str] = (), *, always: bool = False) -> None:
        """Tell which nodes need not run; output nodes among them still show what they have."""
        ids = sorted([*self._newly_cached, *idle], key=natural)
        fresh, self._newly_cached = self._newly_cached, []
        if not ids and not always:
            return
        for id in ids:
            self.tasks[id].announced = True
        self.emit(NodesCached(nodes=tuple(ids)))
        for id in fresh:
            task = self.tasks[id]
            if task.shown is not None:
                self.emit(Executed(**task.who(), shown=task.shown, cached=True))

    def _arrived(self, task: Task) -> None:
        """The task's value is there: record it, and wake who waits for it. Under the lock."""
        task.state = State.DONE
        if task.target and task.id not in self._outputs:
            self._outputs[task.id] = task.slots or ()
            self._open -= 1
        if task.shown is not None and task.parent is None:
            self._shown[task.id] = task.shown
        dependents, task.dependents = task.dependents, []
        for dependent in dependents:
            dependent.missing -= 1
            if dependent.missing == 0 and dependent.state in (State.WAITING, State.EXPANDED):
                self._make_ready(dependent)

    def _make_ready(self, task: Task) -> None:
        task.state = State.READY
        lane = task.node.type.lane
        heapq.heappush(self._ready.setdefault(lane, []), task)
        self._take_turn(lane)

    def _take_turn(self, lane: str) -> None:
        place: Lane = self.owner.lane(lane)
        place.submit(lambda: self._turn(lane))

    # -- running -----------------------------------------------------------------------------

    def _turn(self, lane: str) -> None:
        """Run the first ready task of a lane, if there still is one."""
        with self._lock:
            task = self._pop(lane)
            if task is None:
                return self._end_if_over()
            task.state = State.RUNNING
            self._running.add(task)
        try:
            self._run(task)
        except BaseException as error:  # a defect of the engine must end the run, not hang it
            self._fail(task, error)

    def _pop(self, lane: str) -> Task | None:
        queue = self._ready.get(lane, [])
        if self.cancel.cancelled or (self._serial and self._running):
            return None
        while queue:
            task = heapq.heappop(queue)
            if task.state is State.READY:
                return task
        return None

    def _run(self, task: Task) -> None:
        if task.results is not None:
            return self._assemble(task)
        arrived = {name: self._value(task, name) for name in task.held}
        if task.step.key is None:
            self._complete_key(task, arrived)
            if self._late_hit(task):
                return None
        inputs = gather(task.node, arrived, self.literals)
        calls, warning = fan_out(task.node.type, inputs)
        if self._wants_more(task, calls):
            return None
        lane = "async" if task.node.type.is_async else task.node.type.lane
        self.emit(NodeStarted(**task.who(), lane=lane))
        if warning:
            self.emit(Warned(**task.who(), message=warning))
        task.fanned = len(calls) != 1 or _is_fanned(task.node.type, inputs)
        if task.node.type.is_async:
            places: AsyncLane = self.owner.async_lane
            places.submit(self._run_async(task, calls))
            return None
        begin = time.perf_counter()
        try:
            with self._measured() as measure:
                results = [self._call(task, call) for call in calls]
        except BaseException as error:
            task.seconds += time.perf_counter() - begin
            return self._fail(task, error)
        task.seconds += time.perf_counter() - begin
        return self._returned(task, results, getattr(measure, "peak_bytes", None))

    def _value(self, task: Task, name: str) -> Any:
        slots = task.held[name].slots
        assert slots is not None, f"{task.id} runs before its input {name} is there"
        return slots[task.node.inputs[name].slot]

    def _complete_key(self, task: Task, arrived: Mapping[str, Any]) -> None:
        contents = {
            link.node: self._source(task, link).step.content for _, link in task.node.links()
        }
        flat = {name: v.items if isinstance(v, Many) else v for name, v in arrived.items()}
        late = {name for name, port in task.node.type.by_name.items() if _is_file(port.widget)}
        names = {name: value for name, value in flat.items() if name in late}
        if None not in contents.values():
            gather(task.node, arrived, self.literals)  # a wrong file name is the node's own error
            task.step = self.keys.complete(task.node, contents, names)

    def _late_hit(self, task: Task) -> bool:
        with self._lock:
            if not self._from_cache(task):
                return False
            self._announce_cached()
            self._running.discard(task)
            self._release(task)
            self._arrived(task)
            self._after()
            return True

    def _wants_more(self, task: Task, calls: Sequence[Call]) -> bool:
        """Ask for lazy inputs; True if the task now waits for some."""
        kind = task.node.type
        if kind.needs is None:
            return False
        asked: dict[str, None] = {}
        for call in calls:
            known = {n: None if v is UNKNOWN else v for n, v in call.arguments.items()}
            asked.update(dict.fromkeys(kind.call_hook("needs", known)))
        links = dict(task.node.links())
        wanted = [name for name in asked if name in links and name not in task.held]
        if not wanted:
            return False
        with self._lock:
            self._running.discard(task)
            task.state = State.WAITING
            todo: list[Task] = []
            self._hold(task, wanted, todo)
            self._demand(list(reversed(todo)))
            if task.missing == 0 and task.state is State.WAITING:
                self._make_ready(task)
            self._announce_cached()
            self._after()
        return True

    def _call(self, task: Task, call: Call) -> Any:
        self.cancel.check()
        arguments = self._arguments(task, call)
        function = task.node.type.function
        try:
            with _no_grad():
                return function(**arguments)
        except Exception as error:
            freed = self._freed_after(error)
            if freed is None:
                raise
            reason = str(error).partition("\n")[0]
        # Outside the handler, so that the failed attempt's tensors are no longer referenced.
        self.emit(Retried(**task.who(), reason=reason, freed=freed))
        with _no_grad():
            return function(**arguments)

    def _freed_after(self, error: Exception) -> int | None:
        """Bytes freed if the error means that memory ran out; None if it means something else."""
        freed = self.owner.models.recover(error) if self.owner.models else None
        if freed is None:
            return None
        error.__traceback__ = None
        return freed + int(self.owner.cache.free() or 0)

    async def _run_async(self, task: Task, calls: Sequence[Call]) -> None:
        current = asyncio.current_task()
        begin = time.perf_counter()
        with self._lock:
            if current is not None:
                self._coroutines.add(current)
        _disable_grad()
        try:
            self.cancel.check()
            results = [
                await task.node.type.function(**self._arguments(task, call)) for call in calls
            ]
            task.seconds += time.perf_counter() - begin
            self._returned(task, results, None)
        except asyncio.CancelledError:
            self._fail(task, Cancelled("the run was cancelled"))
        except BaseException as error:
            task.seconds += time.perf_counter() - begin
            self._fail(task, error)
        finally:
            with self._lock:
                self._coroutines.discard(current)  # type: ignore[arg-type]

    def _arguments(self, task: Task, call: Call) -> dict[str, Any]:
        kind = task.node.type
        arguments = {
            name: kind.by_name[name].default if value is UNKNOWN else value
            for name, value in call.arguments.items()
        }
        if kind.context_name is not None:
            arguments[kind.context_name] = self._context(task)
        return arguments

    def _context(self, task: Task) -> Context:
        who = task.who()
        owner = self.owner
        return Context(
            node=task.id,
            device=owner.device,
            precision=owner.precision,
            folders=owner.registry.folders,
            hashes=owner.hashes,
            models=owner.models,
            cancel=self.cancel,
            extensions=owner.registry.extensions,
            links=dict(task.node.links()),
            prompt=self.plan.document,
            workflow=self.workflow,
            extra=self.extra,
            on_progress=lambda v, n, text: self.emit(
                Progress(**who, value=v, total=n, text=text)
            ),
            on_preview=lambda value: self.emit(Preview(**who, value=value)),
            on_warning=lambda message: self.emit(Warned(**who, message=message)),
            on_manifest=lambda: describe(task, self.keys, self.tasks),
        )

    def _measured(self) -> AbstractContextManager[Any]:
        models = self.owner.models
        if models is None or self.owner.device == "cpu":
            return nullcontext()
        return models.measure(self.owner.device)

    # -- results -----------------------------------------------------------------------------

    def _returned(self, task: Task, results: list[Any], peak: int | None) -> None:
        changed = self._changed_inputs(task)
        if changed or task.redo:
            return self._spoilt(task, changed)
        if any(isinstance(result, Expansion) for result in results):
            return self._expand(task, results)
        try:
            made = outcome(task.node, results, fanned=task.fanned)
        except Exception as error:
            return self._fail(task, error)
        return self._finish(task, made, peak)

    def _finish(self, task: Task, made: Outcome, peak: int | None) -> None:
        outputs = (*made.slots, made.shown)
        print_ = fingerprint(outputs)
        size = nbytes(outputs)
        not_stored = self._store(task, outputs, print_)
        name = task.node.type.name
        account = Account(task.id, name, "ran", task.seconds, size, peak, not_stored)
        if made.shown is not None:
            self.emit(Executed(**task.who(), shown=made.shown))
        self.emit(
            NodeFinishedEvent(
                **task.who(),
                seconds=task.seconds,
                bytes_out=size,
                peak_bytes=peak,
                stored=not not_stored,
            )
        )
        with self._lock:
            task.slots, task.shown, task.fingerprint = made.slots, made.shown, print_
            task.results = None
            self._accounts.append(account)
            self._running.discard(task)
            self._release(task)
            self._arrived(task)
            if task.uses == 0:
                self._let_go(task)
            self._after()

    def _store(self, task: Task, outputs: tuple[Any, ...], print_: int) -> str:
        """Put a result into the cache; why it does not go to disk, or ""."""
        kind, key = task.node.type, task.step.key
        if key is None or not kind.cached:
            return ""
        stored = self.owner.cache.put(
            key,
            outputs,
            seconds=task.seconds,
            codecs=self._codecs(kind),
            fingerprint=print_,
        )
        return stored.reason

    def _codecs(self, kind: NodeType) -> list[Codec | None]:
        """One for each output slot, and none for what the node shows, which needs none."""
        return [*(self.owner.registry.codec(port.type) for port in kind.outputs), None]

    def _release(self, task: Task) -> None:
        """The task no longer needs its inputs. Under the lock."""
        for source in task.held.values():
            source.uses -= 1
            if source.uses == 0 and source.state is State.DONE:
                self._let_go(source)
        task.held = {}

    def _let_go(self, task: Task) -> None:
        task.slots = None
        task.state = State.IDLE

    def _after(self) -> None:
        """A task stopped running: in serial order the next may begin; the run may be over."""
        if self._serial:
            for lane, queue in self._ready.items():
                if queue:
                    self._take_turn(lane)
        self._end_if_over()

    # -- failures ----------------------------------------------------------------------------

    def _fail(self, task: Task, error: BaseException) -> None:
        if isinstance(error, Cancelled) and self.cancel.cancelled:
            with self._lock:
                self._cancelled_in = self._cancelled_in or task.id
                self._running.discard(task)
                task.state = State.SKIPPED
                self._end_if_over()
            return None
        changed = [] if isinstance(error, InputChanged) else self._changed_inputs(task)
        if changed or task.redo:
            return self._spoilt(task, changed)
        failure = error if isinstance(error, ExecutionError) else self._wrapped(task, error)
        name = task.node.type.name
        self.emit(NodeFailedEvent(**task.who(), error=failure, seconds=task.seconds))
        with self._lock:
            self._errors[task.id] = failure
            self._accounts.append(Account(task.id, name, "failed", task.seconds))
            self._running.discard(task)
            task.state = State.FAILED
            self._close(task)
            self._after()
        return None

    def _wrapped(self, task: Task, error: BaseException) -> ExecutionError:
        kind = task.node.type.name
        text = str(error) or "no message"
        name = type(error).__name__
        said = text if type(error).__module__.startswith("nodegraph") else f"{name}: {text}"
        failure = NodeFailed(
            f"node {task.id} ({kind}) failed: {said}", node=task.id, class_type=kind
        )
        failure.__cause__ = error
        return failure

    def _close(self, task: Task) -> None:
        """A task failed or was skipped: what waits for it cannot run. Under the lock."""
        todo = [task]
        while todo:
            ended = todo.pop()
            self._release(ended)
            if ended.target:
                self._open -= 1
            dependents, ended.dependents = ended.dependents, []
            for dependent in dependents:
                if dependent.state in (State.WAITING, State.EXPANDED):
                    self._mark_skipped(dependent, ended.id)
                    todo.append(dependent)

    def _skip(self, task: Task, because: str) -> None:
        self._mark_skipped(task, because)
        self._close(task)

    def _mark_skipped(self, task: Task, because: str) -> None:
        task.state = State.SKIPPED
        root = self._skipped.get(because, because)
        self._skipped[task.id] = root
        self._accounts.append(Account(task.id, task.node.type.name, "skipped"))
        self.emit(NodeSkipped(**task.who(), because=root))

    # -- inputs that somebody changed ----------------------------------------------------------

    def _changed_inputs(self, task: Task) -> list[str]:
        """Names of the inputs whose content is no longer what their node made."""
        checked: dict[Task, bool] = {}
        for source in task.held.values():
            if source not in checked and source.slots is not None:
                value = (*source.slots, source.shown)
                checked[source] = fingerprint(value) != source.fingerprint
        return [name for name, source in task.held.items() if checked.get(source)]

    def _spoilt(self, task: Task, changed: Sequence[str]) -> None:
        """Drop the values that were changed, and find out who did it.

        If only this task was reading them, it did. If others were, all of them run again, one
        at a time from now on, and the next time the culprit is alone.
        """
        with self._lock:
            sources = {id(task.held[name]) for name in changed}
            others = [
                other
                for other in self._running
                if other is not task
                and any(id(source) in sources for source in other.held.values())
            ]
            guilty = bool(changed) and not others and not task.redo
            for other in others:
                other.redo = True
            self._serial = self._serial or bool(others)
            lost = self._drop_changed()
            if not guilty:
                self._run_again(task)
        if guilty:
            self._fail_guilty(task, changed)
        with self._lock:
            self._demand([source for source in lost if source.dependents or source.target])
            self._after()

    def _fail_guilty(self, task: Task, changed: Sequence[str]) -> None:
        kind = task.node.type.name
        names = " and ".join(changed)
        message = (
            f"node {task.id} ({kind}) changed its input {names} in place; a node must make a new "
            f"value (clone() it first). The changed value was dropped and is made again"
        )
        self._fail(task, InputChanged(message, node=task.id, class_type=kind, input=changed[0]))

    def _drop_changed(self) -> list[Task]:
        """Let go of every value that is not what it was, and have its readers wait again."""
        lost = [
            task
            for task in self.tasks.values()
            if task.state is State.DONE
            and task.slots is not None
            and fingerprint((*task.slots, task.shown)) != task.fingerprint
        ]
        for source in lost:
            if source.step.key is not None:
                self.owner.cache.drop(source.step.key)
            self._let_go(source)
            if source.target and source.id in self._outputs:
                del self._outputs[source.id]
                self._open += 1
        for task in self.tasks.values():
            if task.state in (State.WAITING, State.READY):
                self._wait_again(task, lost)
        return lost

    def _wait_again(self, task: Task, lost: Sequence[Task]) -> None:
        for source in task.held.values():
            if source in lost:
                task.missing += 1
                task.state = State.WAITING
                source.dependents.append(task)

    def _run_again(self, task: Task) -> None:
        """Back to waiting for its inputs, as if it had not run."""
        self._running.discard(task)
        task.redo = False
        task.state = State.WAITING
        for source in task.held.values():
            if source.state is not State.DONE:
                task.missing += 1
                source.dependents.append(task)
        if task.missing == 0:
            self._make_ready(task)

    # -- expansion -----------------------------------------------------------------------------

    def _expand(self, task: Task, results: list[Any]) -> None:
        """Put the nodes that an expanding node returned in its place."""
        try:
            prepared = [self._prepare(task, i, result) for i, result in enumerate(results)]
        except InvalidGraph as error:
            return self._fail(task, error)
        with self._lock:
            self._running.discard(task)
            task.results = [result for result, _ in prepared]
            task.state = State.EXPANDED
            for _, steps in prepared:
                for step in steps:
                    rank = (*task.rank, len(self.tasks))
                    self.tasks[step.id] = Task(step, rank, parent=task.id)
            wanted: list[Task] = []
            for result in task.results:
                if isinstance(result, tuple):
                    self._await_results(task, result, wanted)
            shows = [
                self.tasks[step.id]
                for _, steps in prepared
                for step in steps
                if step.node.type.output_node and self.tasks[step.id] not in wanted
            ]
            for shown in shows:
                self._await_one(task, f"({shown.id})", shown, wanted)
            self._demand(wanted)
            if task.missing == 0 and task.state is State.EXPANDED:
                self._make_ready(task)
            self._announce_cached()
            self._after()
        return None

    def _prepare(self, task: Task, index: int, result: Any) -> tuple[Any, list[Step]]:
        """An Expansion -> (its result with full ids, its steps); anything else as it is."""
        if not isinstance(result, Expansion):
            return result, []
        prefix = f"{task.id}.{index}."
        outside = {id: other.node.type for id, other in self.tasks.items()}
        local = {str(id) for id in result.nodes}
        named = {prefix + id: _renamed(e, prefix, local) for id, e in result.nodes.items()}
        nodes = check_expansion(named, self.owner.registry, outside)
        contents = {id: other.step.content for id, other in self.tasks.items()}
        steps: list[Step] = []
        for id in _order(nodes):
            step = self.keys.step(nodes[id], contents)
            contents[id] = step.content
            steps.append(step)
        links = tuple(
            Link(prefix + item.node, item.slot)
            if isinstance(item, Link) and item.node in local
            else item
            for item in result.result
        )
        return links, steps

    def _await_results(self, task: Task, result: tuple[Any, ...], wanted: list[Task]) -> None:
        for item in result:
            if isinstance(item, Link):
                self._await_one(task, f"({item.node})", self.tasks[item.node], wanted)

    def _await_one(self, task: Task, name: str, source: Task, wanted: list[Task]) -> None:
        if name in task.held:
            return
        task.held[name] = source
        source.uses += 1
        if source.state is not State.DONE:
            task.missing += 1
            source.dependents.append(task)
            wanted.append(source)

    def _assemble(self, task: Task) -> None:
        """All nodes that ran in a node's place are done: their values are its outputs."""
        results = [
            self._collected(task, result) if isinstance(result, tuple) else result
            for result in task.results or ()
        ]
        try:
            made = outcome(task.node, results, fanned=task.fanned)
        except Exception as error:
            return self._fail(task, error)
        return self._finish(task, made, None)

    def _collected(self, task: Task, result: tuple[Any, ...]) -> Outcome:
        slots: list[Any] = []
        for item in result:
            if isinstance(item, Link):
                values = task.held[f"({item.node})"].slots
                assert values is not None
                index = item.slot if isinstance(item.slot, int) else 0
                slots.append(values[index])
            else:
                slots.append(item)
        return Outcome(tuple(slots))


def _is_fanned(kind: NodeType, inputs: Mapping[str, Any]) -> bool:
    whole = {port.name for port in kind.inputs if port.is_list}
    return any(isinstance(v, Many) and name not in whole for name, v in inputs.items())


def _is_file(widget: Any) -> bool:
    return isinstance(widget, FileOf)


def _renamed(entry: Any, prefix: str, local: set[str]) -> Any:
    """An expansion's node entry, its links to local ids turned into full ids."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("inputs"), Mapping):
        return entry
    inputs = {
        name: [prefix + value[0], value[1]]
        if isinstance(value, list) and len(value) == 2 and value[0] in local
        else value
        for name, value in entry["inputs"].items()
    }
    return {**entry, "inputs": inputs}


def _order(nodes: Mapping[str, Any]) -> list[str]:
    edges = {
        id: [link.node for _, link in node.links() if link.node in nodes]
        for id, node in nodes.items()
    }
    return post_order(sorted(nodes, key=natural), edges)


def _disable_grad() -> None:
    # For the whole thread: coroutines interleave, so a context manager would leak between them.
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_grad_enabled(False)


def _no_grad() -> AbstractContextManager[Any]:
    torch = sys.modules.get("torch")
    return nullcontext() if torch is None else torch.no_grad()
