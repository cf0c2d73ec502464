"""The queue: jobs wait in order, some run, all are in the journal first.

Lives on one event loop; jobs run in threads. Whatever a job does, the queue goes on.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import logging
import sqlite3
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from nodegraph.errors import NodeGraphError
from nodegraph.events import Event
from nodegraph.settings import Settings

from . import store
from .job import Job, Request, Status
from .journal import Journal, JournalError
from .messages import Failure, Message
from .running import Cause, Limits, Runner, Running, result_of

if TYPE_CHECKING:
    from nodegraph.engine import Engine

ATTEMPTS = 3  # that end with the server's end, before a job is taken for the reason
REMEMBERED = 256  # finished jobs whose messages are in memory
EVENTS = 500  # of the engine that are told at once, so that others have their turn

T = TypeVar("T")

log = logging.getLogger(__name__)


class QueueFull(NodeGraphError):
    """No more jobs are taken for now."""


class Closing(NodeGraphError):
    """The server is ending; no jobs are taken any more."""


class OtherJob(NodeGraphError):
    """There is a job with this id already, which asks for something else."""


@dataclass(frozen=True)
class Ears:
    """Who is told, on the event loop: that the queue changed; messages of a job; a job's end."""

    changed: Callable[[], None]
    message: Callable[[Job, Message], None]
    ended: Callable[[Job], None]


class JobQueue:
    """Jobs, from their submission to their end."""

    def __init__(
        self,
        journal: Journal,
        runner: Runner,
        engine: Callable[[], Awaitable[Engine]],
        settings: Settings,
        ears: Ears,
    ) -> None:
        self.journal = journal
        self.paused = False
        self.running: dict[str, Running] = {}
        self._runner = runner
        self._engine = engine
        self._settings = settings
        self._limits = Limits(settings.node_timeout, settings.stop_grace)
        self._ears = ears
        self._pending: list[Job] = []
        self._accepting = 0
        self._wake = asyncio.Event()
        self._closing = False
        self._workers: list[asyncio.Task[None]] = []
        self._threads = ThreadPoolExecutor(settings.jobs, thread_name_prefix="nodegraph-job")
        self._inbox: deque[tuple[Running, Event]] = deque()
        self._inbox_lock = threading.Lock()
        self._told = False  # the loop, that something is in the inbox
        self._logs: OrderedDict[str, list[Message]] = OrderedDict()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Future[None]] = set()
        self._loop = asyncio.get_running_loop()

    # -- what waits and runs -------------------------------------------------------------------

    @property
    def pending(self) -> list[Job]:
        """The jobs that wait, in the order in which they will run."""
        return list(self._pending)

    @property
    def remaining(self) -> int:
        """How many wait or run."""
        return len(self._pending) + len(self.running)

    async def start(self) -> None:
        """Take up what was left when the journal was last written, and begin to work."""
        self.paused = self.journal.read(lambda c: store.fact(c, "paused")) == "yes"
        for job in self.journal.read(store.unfinished):
            if job.attempts >= ATTEMPTS:
                await self._give_up(job)
            else:
                self._wait(job.with_(status=Status.PENDING, started=None))
        self._workers = [
            asyncio.create_task(self._work(), name=f"job-{index}")
            for index in range(self._settings.jobs)
        ]

    async def submit(
        self,
        request: Request,
        *,
        id: str,
        number: float | None = None,
        front: bool = False,
        retry_of: str | None = None,
    ) -> Job:
        """Put a job into the journal, then into the queue. The same id again is the same job.

        Raises QueueFull, Closing, OtherJob, JournalError.
        """
        if self._closing:
            raise Closing("the server is ending: submit again when it is back")
        job = Job(id, request, created=time.time(), retry_of=retry_of)
        room = len(self._pending) + self._accepting < self._settings.max_queue
        self._accepting += 1
        try:
            taken, new = await self._write(lambda c: _accept(c, job, number, front, room=room))
        finally:
            self._accepting -= 1
        if new:
            self._wait(taken)
            self._ears.changed()
        elif taken.request.digest != request.digest:
            raise OtherJob(f"there is a job {id!r} already, for another graph: give another id")
        return taken

    async def cancel(self, id: str) -> bool:
        """Stop a job, whether it waits or runs. False if it does neither."""
        if id in self.running:
            self._stop(self.running[id], "interrupted")
            return True
        job = self._take(id)
        if job is None:
            return False
        await self._drop(job)
        return True

    async def clear(self) -> None:
        """Cancel all that wait."""
        jobs, self._pending = self._pending, []
        await asyncio.gather(*(self._drop(job) for job in jobs))
        self._ears.changed()

    def interrupt(self, id: str | None = None) -> bool:
        """Stop the job with this id if it runs; without an id, all that run."""
        found = [running for running in self.running.values() if id in (None, running.job.id)]
        for running in found:
            self._stop(running, "interrupted")
        return bool(found)

    async def pause(self, paused: bool) -> None:
        """Begin no more jobs, until told otherwise; remembered across restarts."""
        await self._write(lambda c: store.set_fact(c, "paused", "yes" if paused else "no"))
        self.paused = paused
        self._wake.set()
        self._ears.changed()

    async def move(self, id: str, number: float | None) -> Job | None:
        """Give a waiting job another place: a number, or the first. None if it does not wait."""
        if all(job.id != id for job in self._pending):
            return None
        place = min([0.0, *(job.number for job in self._pending)]) - 1 if number is None else number
        await self._write(lambda c: store.move(c, id, place))
        job = self._take(id)
        if job is None:  # it began meanwhile
            return None
        moved = job.with_(number=place)
        self._wait(moved)
        self._ears.changed()
        return moved

    async def find(self, id: str) -> Job | None:
        """A job, wherever it is."""
        for job in (*self._pending, *(running.job for running in self.running.values())):
            if job.id == id:
                return job
        return await asyncio.to_thread(self.journal.read, lambda c: store.get(c, id))

    async def messages(self, id: str, since: int = 0) -> list[Message] | None:
        """The messages of a job after number `since`, without progress. None for no such job."""
        running = self.running.get(id)
        kept = self._logs.get(id) if running is None else running.log
        if kept is None:
            job = await self.find(id)
            if job is None:
                return None
            kept = [Message(type, data, n) for n, type, data in job.result.messages]
        return [message for message in kept if message.n > since]

    async def forget(self, ids: list[str] | None) -> None:
        """Forget finished jobs; all of them for None."""
        await self._write(lambda c: store.forget(c, ids))
        for id in list(self._logs) if ids is None else ids:
            self._logs.pop(id, None)

    async def close(self, grace: float) -> None:
        """Take no more; what does not end within `grace` seconds waits for the next start."""
        self._closing = True
        self._wake.set()
        if self.running and grace > 0:
            await asyncio.wait(self._workers, timeout=grace)
        for running in list(self.running.values()):
            self._stop(running, "shutdown", grace=min(2.0, self._limits.stop_grace))
        if self._workers:
            await asyncio.wait(self._workers, timeout=10.0)
        for timer in self._timers.values():
            timer.cancel()
        for worker in self._workers:
            worker.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    # -- pending -------------------------------------------------------------------------------

    def _wait(self, job: Job) -> None:
        bisect.insort(self._pending, job, key=lambda each: each.turn)
        if job.request.deadline is not None:
            self._after(job.id, job.request.deadline - time.time(), self._expire)
        self._wake.set()

    def _take(self, id: str) -> Job | None:
        for index, job in enumerate(self._pending):
            if job.id == id:
                return self._pending.pop(index)
        return None

    async def _drop(self, job: Job) -> None:
        """A job that waited is cancelled."""
        idle = _idle(job)
        last = idle.story.interrupted(None, time.time())
        await self._end(job, Status.CANCELLED, idle, last)

    def _expire(self, id: str) -> None:
        if id in self.running:
            return self._stop(self.running[id], "deadline")
        job = self._take(id)
        if job is not None:
            message = "the job's deadline came before its turn: give it more time, or run it first"
            self._spawn(self._fail(job, Failure("DeadlineExceeded", message)))
        return None

    async def _give_up(self, job: Job) -> None:
        message = (
            f"the server ended {job.attempts} times while this job ran, so it is not begun again; "
            "retry it if something else was the reason"
        )
        await self._fail(job, Failure("ServerEnded", message))

    async def _fail(self, job: Job, failure: Failure) -> None:
        """A job fails without having its turn."""
        idle = _idle(job)
        await self._end(job, Status.ERROR, idle, idle.story.failed(failure, time.time()))

    # -- running -------------------------------------------------------------------------------

    async def _work(self) -> None:
        """One of the workers: runs jobs, one after the other, and never ends before the queue."""
        while not self._closing:
            if self.paused or not self._pending:
                self._wake.clear()
                await self._wake.wait()
                continue
            job = self._pending.pop(0)
            try:
                await self._run(job)
            except Exception:
                log.exception("job %s could not be run", job.id)
                await asyncio.sleep(0.1)

    async def _run(self, job: Job) -> None:
        running = Running(job.with_(attempts=job.attempts + 1))
        self.running[job.id] = running
        try:
            running.job = await self._write(lambda c: store.begin(c, job, time.time()))
            self._ears.changed()
            engine = await self._engine()
            if running.cause is None:
                self._watch(running)
            work = self._runner.run
            result = await self._loop.run_in_executor(
                self._threads, work, engine, running, lambda event: self._post(running, event)
            )
            self._tell_posted()
        except Exception as error:
            result = error
        finally:
            self._forget_timers(job.id)
        if running.cause == "shutdown" and (isinstance(result, BaseException) or result.cancelled):
            del self.running[job.id]
            return  # the journal has it as running, which it will be again
        status, last = self._runner.outcome(running, result, self._limits)
        await self._end(running.job, status, running, last)

    async def _end(self, job: Job, status: Status, running: Running, last: Message) -> None:
        """A job is over: on disk first, then for those who listen."""
        told = (last, running.story.message("executing", node=None))
        result = result_of(running, told)
        ended = job.with_(status=status, ended=time.time(), result=result)
        try:
            await self._write(lambda c: self._end_and_prune(c, ended))
        except JournalError as error:
            log.error("job %s has ended, which could not be written down: %s", job.id, error)
        self._logs[job.id] = [*running.log, *told]
        while len(self._logs) > REMEMBERED:
            self._logs.popitem(last=False)
        self.running.pop(job.id, None)
        self._forget_timers(job.id)
        for message in told:
            self._ears.message(ended, message)
        self._ears.ended(ended)
        self._ears.changed()

    def _end_and_prune(self, connection: sqlite3.Connection, job: Job) -> None:
        store.end(connection, job)
        settings = self._settings
        store.prune(
            connection,
            jobs=settings.history_jobs,
            days=settings.history_days,
            nbytes=settings.history_bytes,
            now=time.time(),
        )

    def _stop(self, running: Running, cause: Cause, grace: float | None = None) -> None:
        """Ask a job to stop; if a node does not, it is left behind."""
        if running.cause is None or cause == "shutdown":
            running.cause = cause
        running.token.cancel()
        wait = self._limits.stop_grace if grace is None else grace
        self._after(f"stop {running.job.id}", wait, lambda _: running.token.abandon())

    def _watch(self, running: Running) -> None:
        """See whether its nodes give signs of life; look again when one could be overdue."""
        limit = self._limits.node_timeout
        if limit is None or running.cause is not None:
            return
        silent, who = running.silent(time.monotonic())
        if who is not None and silent >= limit:
            running.stuck = who
            self._stop(running, "hung")
        else:
            self._after(
                f"watch {running.job.id}", limit - silent + 0.01, lambda _: self._watch(running)
            )

    # -- events --------------------------------------------------------------------------------

    def _post(self, running: Running, event: Event) -> None:
        """From the engine's threads: have the event told on the loop."""
        with self._inbox_lock:
            self._inbox.append((running, event))
            wake, self._told = not self._told, True
        if wake:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._tell_some)

    def _tell_some(self) -> None:
        for _ in range(EVENTS):
            with self._inbox_lock:
                if not self._inbox:
                    self._told = False
                    return
                running, event = self._inbox.popleft()
            self._tell(running, event)
        self._loop.call_soon(self._tell_some)

    def _tell_posted(self) -> None:
        while self._inbox:
            with self._inbox_lock:
                running, event = self._inbox.popleft()
            self._tell(running, event)

    def _tell(self, running: Running, event: Event) -> None:
        try:
            for message in running.hear(event):
                self._ears.message(running.job, message)
        except Exception:  # else no event would be told any more
            log.exception("an event of job %s could not be told", running.job.id)

    # -- small things --------------------------------------------------------------------------

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.wrap_future(self.journal.write(work))

    def _after(self, name: str, seconds: float, call: Callable[[str], None]) -> None:
        before = self._timers.pop(name, None)
        if before is not None:
            before.cancel()
        self._timers[name] = self._loop.call_later(max(0.0, seconds), call, name)

    def _forget_timers(self, id: str) -> None:
        for name in (id, f"stop {id}", f"watch {id}"):
            timer = self._timers.pop(name, None)
            if timer is not None:
                timer.cancel()

    def _spawn(self, work: Awaitable[None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except Exception:
                log.exception("ending a job failed")

        task = asyncio.ensure_future(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _idle(job: Job) -> Running:
    """For the messages of a job that ends without running: numbered as its next attempt's."""
    return Running(job.with_(attempts=job.attempts + 1))


def _accept(
    connection: sqlite3.Connection, job: Job, number: float | None, front: bool, *, room: bool
) -> tuple[Job, bool]:
    """The job as the journal has it, and whether that is new. QueueFull without room for it."""
    known = store.get(connection, job.id)
    if known is not None:
        return known, False
    if not room:
        raise QueueFull(
            "as many jobs wait as the setting max_queue allows: submit again when some have run"
        )
    return store.add(connection, job.with_(number=_place(connection, number, front))), True


def _place(connection: sqlite3.Connection, number: float | None, front: bool) -> float:
    if front:
        query = "SELECT min(number) FROM jobs WHERE status = 'pending'"
        (lowest,) = connection.execute(query).fetchone()
        return min(0.0, lowest or 0.0, *([] if number is None else [-abs(number)])) - 1
    if number is not None:
        return number
    (seq,) = connection.execute("SELECT coalesce(max(seq), 0) FROM jobs").fetchone()
    return float(seq)
