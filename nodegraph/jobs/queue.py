"""The queue: jobs wait in order, some run, all are in the journal first.

Lives on one event loop; jobs run in threads. Whatever a job does, the queue goes on.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import functools
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from nodegraph.errors import NodeGraphError
from nodegraph.settings import Settings

from . import store
from .ears import Ears
from .job import Job, Request
from .journal import Journal
from .messages import Failure, Message
from .register import AGAIN, Register
from .running import Limits, Runner, Running
from .work import Work

if TYPE_CHECKING:
    from nodegraph.engine import Engine

CRASHES = 3  # of the server while a job runs, before the job is taken for the reason
LONGEST = 10.0  # seconds that closing waits for jobs that were told to stop

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


def _unbroken(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Have a method run to its end, even if who called it gives up: a client may go away at any
    moment, and what is in the journal must be in the queue.
    """

    @functools.wraps(method)
    async def whole(*args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.shield(asyncio.ensure_future(method(*args, **kwargs)))

    return whole


class QueueFull(NodeGraphError):
    """No more jobs are taken for now."""


class Closing(NodeGraphError):
    """The server is ending; no jobs are taken any more."""


class OtherJob(NodeGraphError):
    """There is a job with this id already, which asks for something else."""


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
        self._register = register = Register(journal, settings, ears)
        self._work = Work(register, runner, Limits(settings.node_timeout, settings.stop_grace))
        self._engine = engine
        self._settings = settings
        self._pending: list[Job] = []
        self._accepting = 0
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._loaded: asyncio.Future[Engine] | None = None
        self._workers: list[asyncio.Task[None]] = []

    # -- what waits and runs -------------------------------------------------------------------

    @property
    def pending(self) -> list[Job]:
        """The jobs that wait, in the order in which they will run."""
        return list(self._pending)

    @property
    def running(self) -> dict[str, Running]:
        """The jobs at work, by their ids."""
        return self._register.running

    @property
    def remaining(self) -> int:
        """How many wait or run."""
        return len(self._pending) + len(self.running)

    async def start(self) -> None:
        """Take up what was left when the last server ended, and begin to work.

        Raises JournalError.
        """
        self.paused = self.journal.read(lambda c: store.fact(c, "paused")) == "yes"
        for job in await self._register.write(store.take_up):
            if job.crashes >= CRASHES:
                await self._give_up(job)
            else:
                self._wait(job.with_(started=None))
        self._loaded = asyncio.ensure_future(self._engine())
        self._workers = [
            asyncio.create_task(self._take_turns(), name=f"job-{index}")
            for index in range(self._settings.jobs)
        ]

    @_unbroken
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
        if self._closing.is_set():
            raise Closing("the server is ending: submit again when it is back")
        job = Job(id, request, created=time.time(), retry_of=retry_of)
        room = len(self._pending) + self._accepting < self._settings.max_queue
        self._accepting += 1
        try:
            taken, new = await self._register.write(
                lambda c: _accept(c, job, number, front, room=room)
            )
        finally:
            self._accepting -= 1
        if new:
            self._wait(taken)
            self._register.ears.changed()
        elif taken.request.digest != request.digest:
            raise OtherJob(f"there is a job {id!r} already, for another graph: give another id")
        return taken

    @_unbroken
    async def cancel(self, id: str) -> bool:
        """Stop a job, whether it waits or runs. False if it does neither."""
        if id in self.running:
            self._work.stop(self.running[id], "interrupted")
            return True
        job = self._take(id)
        if job is None:
            return False
        await self._register.drop(job)
        return True

    @_unbroken
    async def clear(self) -> None:
        """Cancel all that wait."""
        jobs, self._pending = self._pending, []
        await asyncio.gather(*(self._register.drop(job) for job in jobs))

    def interrupt(self, id: str | None = None) -> bool:
        """Stop the job with this id if it runs; without an id, all that run."""
        found = [running for running in self.running.values() if id in (None, running.job.id)]
        for running in found:
            self._work.stop(running, "interrupted")
        return bool(found)

    @_unbroken
    async def pause(self, paused: bool) -> None:
        """Begin no more jobs, until told otherwise; remembered across restarts."""
        await self._register.write(lambda c: store.set_fact(c, "paused", "yes" if paused else "no"))
        self.paused = paused
        self._wake.set()
        self._register.ears.changed()

    @_unbroken
    async def move(self, id: str, number: float | None) -> Job | None:
        """Give a waiting job another place: a number, or the first. None if it does not wait."""
        if all(job.id != id for job in self._pending):
            return None
        place = min([0.0, *(job.number for job in self._pending)]) - 1 if number is None else number
        await self._register.write(lambda c: store.move(c, id, place))
        job = self._take(id)
        if job is None:  # it began meanwhile
            return None
        moved = job.with_(number=place)
        self._wait(moved)
        self._register.ears.changed()
        return moved

    async def find(self, id: str) -> Job | None:
        """A job, wherever it is."""
        waiting = (job for job in self._pending if job.id == id)
        return next(waiting, None) or await self._register.find(id)

    async def messages(self, id: str, since: int = 0) -> list[Message] | None:
        """The messages of a job after number `since`, without progress. None for no such job."""
        kept = self._register.messages(id)
        if kept is None:
            job = await self.find(id)
            kept = self._register.messages(id)  # it may have begun, or ended, meanwhile
            if kept is None and job is not None:
                kept = [Message(type, data, n) for n, type, data in job.result.messages]
        return None if kept is None else [message for message in kept if message.n > since]

    @_unbroken
    async def forget(self, ids: list[str] | None) -> None:
        """Forget finished jobs; all of them for None."""
        await self._register.write(lambda c: store.forget(c, ids))
        self._register.forget(ids)

    async def close(self, grace: float) -> None:
        """Take no more; what does not end within `grace` seconds waits for the next start."""
        self._closing.set()
        self._wake.set()
        if self._loaded is not None:
            self._loaded.cancel()
        if self.running and grace > 0:
            await asyncio.wait(self._workers, timeout=grace)
        for running in list(self.running.values()):
            self._work.stop(running, "shutdown", grace=min(2.0, self._settings.stop_grace))
        if self._workers:
            await asyncio.wait(self._workers, timeout=LONGEST)
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        await self._register.close()

    # -- pending -------------------------------------------------------------------------------

    def _wait(self, job: Job) -> None:
        bisect.insort(self._pending, job, key=lambda each: each.turn)
        if job.request.deadline is not None:
            seconds = job.request.deadline - time.time()
            self._register.timers.after(job.id, seconds, partial(self._expire, job.id))
        self._wake.set()

    def _take(self, id: str) -> Job | None:
        for index, job in enumerate(self._pending):
            if job.id == id:
                return self._pending.pop(index)
        return None

    def _expire(self, id: str) -> None:
        if id in self.running:
            return self._work.stop(self.running[id], "deadline")
        job = self._take(id)
        if job is not None:
            message = "the job's deadline came before its turn: give it more time, or run it first"
            failure = Failure("DeadlineExceeded", message)
            self._register.spawn(self._register.fail(job, failure))
        return None

    async def _give_up(self, job: Job) -> None:
        message = (
            f"the server ended {job.crashes} times while this job ran, so it is not begun again; "
            "retry it if something else was the reason"
        )
        await self._register.fail(job, Failure("ServerEnded", message))

    # -- running -------------------------------------------------------------------------------

    async def _take_turns(self) -> None:
        """One of the workers: runs jobs, one after the other, and never ends before the queue.

        Without an engine there is nothing to do: what waits, waits for the next start.
        """
        assert self._loaded is not None
        try:
            engine = await asyncio.shield(self._loaded)
        except Exception as error:
            log.error("no job is run: %s", error)
            return
        while not self._closing.is_set():
            if self.paused or not self._pending:
                self._wake.clear()
                await self._wake.wait()
                continue
            job = self._pending.pop(0)
            running = await self._begin(job)
            if running is not None:
                await self._work.run(engine, running)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), AGAIN)

    async def _begin(self, job: Job) -> Running | None:
        """A job's turn has come. None, and it waits again, if the journal cannot be written."""
        running = Running(job.with_(attempts=job.attempts + 1))
        self.running[job.id] = running
        try:
            running.job = await self._register.write(lambda c: store.begin(c, job, time.time()))
        except Exception as error:
            log.error("job %s cannot be begun: %s", job.id, error)
            self._register.leave(job.id)
            if running.cause in (None, "shutdown"):
                self._wait(job)
            else:
                await self._register.drop(job)
            return None
        self._register.ears.changed()
        return running


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
