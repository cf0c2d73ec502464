"""Which jobs run, and how they end: on disk first, then for those who listen."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from nodegraph.settings import Settings

from . import store
from .ears import Ears
from .job import Job, Status
from .journal import Journal, JournalError
from .messages import Failure, Message
from .running import Running, result_of
from .timers import Timers

REMEMBERED = 256  # finished jobs whose messages are in memory
AGAIN = 5.0  # seconds after which what the journal refused is tried once more

T = TypeVar("T")

log = logging.getLogger(__name__)


class Register:
    """Made on the event loop that it is used on.

    running: the jobs at work. timers: what is to happen to a job later, by its id.
    """

    def __init__(self, journal: Journal, settings: Settings, ears: Ears) -> None:
        self.journal = journal
        self.ears = ears.guarded()
        self.running: dict[str, Running] = {}
        self.timers = Timers()
        self._settings = settings
        self._recent: OrderedDict[str, list[Message]] = OrderedDict()  # jobs that have ended
        self._unwritten: dict[str, Job] = {}  # those whose end the journal refused
        self._pruning = False
        self._tasks: set[asyncio.Future[None]] = set()

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """See `Journal.write`."""
        return await asyncio.wrap_future(self.journal.write(work))

    async def find(self, id: str) -> Job | None:
        """A job that was begun, or is in the journal."""
        running = self.running.get(id)
        if running is not None:
            return running.job
        if id in self._unwritten:
            return self._unwritten[id]
        return await asyncio.to_thread(self.journal.read, lambda c: store.get(c, id))

    def messages(self, id: str) -> list[Message] | None:
        """Those of a job that runs, or has ended not long ago, without progress."""
        running = self.running.get(id)
        return self._recent.get(id) if running is None else running.log

    def forget(self, ids: list[str] | None) -> None:
        """Of the jobs that have ended, forget these; all of them for None."""
        for id in list(self._recent) if ids is None else ids:
            self._recent.pop(id, None)

    def leave(self, id: str) -> None:
        """A job does not run any more, nor wait."""
        self.running.pop(id, None)
        self.forget_timers(id)

    def forget_timers(self, id: str) -> None:
        self.timers.forget(id, f"stop {id}", f"watch {id}")

    async def fail(self, job: Job, failure: Failure) -> None:
        """A job that waited fails without having its turn."""
        idle = idle_of(job)
        await self.end(job, Status.ERROR, idle, idle.story.failed(failure, time.time()))

    async def drop(self, job: Job) -> None:
        """A job that waited is cancelled."""
        idle = idle_of(job)
        await self.end(job, Status.CANCELLED, idle, idle.story.interrupted(None, time.time()))

    async def end(self, job: Job, status: Status, running: Running, last: Message) -> None:
        """A job is over. last: the message that says how."""
        told = (last, running.story.message("executing", node=None))
        result = result_of(running, told)
        ended = job.with_(status=status, ended=time.time(), result=result)
        await self._write_down(ended)
        self._recent[job.id] = [*running.log, *told]
        while len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
        self.leave(job.id)
        for message in told:
            self.ears.message(ended, message)
        self.ears.ended(ended)
        self.ears.changed()

    async def end_without_result(self, running: Running, error: Exception) -> None:
        """A job is over, but what became of it cannot be told or written."""
        message = f"what became of the job cannot be told: {type(error).__name__}; see the log"
        last = running.story.failed(Failure("ResultLost", message), time.time())
        lost = replace(running, log=[], meta={}, outputs={})
        lost.story = running.story
        await self.end(running.job, Status.ERROR, lost, last)

    async def close(self) -> None:
        """Try once more to write what could not be written, and end."""
        for job in self._unwritten.values():
            self.spawn(self._write_down(job))
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.timers.close()

    def spawn(self, work: Awaitable[None]) -> None:
        """Do something that nobody waits for."""

        async def guarded() -> None:
            try:
                await work
            except Exception:
                log.exception("what was left to do in the queue failed")

        task = asyncio.ensure_future(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write_down(self, job: Job) -> None:
        """Have it in the journal that a job has ended; if that is refused, once more later."""
        try:
            await self.write(lambda c: store.end(c, job))
        except JournalError as error:
            log.error("job %s has ended, which could not be written down: %s", job.id, error)
            self._unwritten[job.id] = job
            self.timers.within("unwritten", AGAIN, self._write_again)
        else:
            self._unwritten.pop(job.id, None)
            if not self._pruning:
                self._pruning = True
                self.spawn(self._prune())

    def _write_again(self) -> None:
        for job in self._unwritten.values():
            self.spawn(self._write_down(job))

    async def _prune(self) -> None:
        """Forget what is too old or too much; once, for all that have ended meanwhile."""
        settings = self._settings
        prune = partial(
            store.prune,
            jobs=settings.history_jobs,
            days=settings.history_days,
            nbytes=settings.history_bytes,
            now=time.time(),
        )
        try:
            await self.write(prune)
        finally:
            self._pruning = False


def idle_of(job: Job) -> Running:
    """For the messages of a job that ends without running: numbered as its next attempt's."""
    return Running(job.with_(attempts=job.attempts + 1))
