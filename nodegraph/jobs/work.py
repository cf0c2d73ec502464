"""Jobs at work: each in a thread of its own, watched, and stopped if need be.

Whatever a job does, `run` ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from nodegraph.errors import Cancelled
from nodegraph.events import Event, Preview

from . import store
from .inbox import Inbox
from .journal import JournalError
from .register import Register
from .running import Cause, Limits, Runner, Running, was_stopped

if TYPE_CHECKING:
    from nodegraph.engine import Engine
    from nodegraph.tasks import RunResult

LEFT = 2.0  # seconds an abandoned run has to end, before its thread is left to itself

log = logging.getLogger(__name__)


class Work:
    """Made on the event loop that it is used on."""

    def __init__(self, register: Register, runner: Runner, limits: Limits) -> None:
        self._register = register
        self._runner = runner
        self._limits = limits
        self._inbox = Inbox(self._tell)
        self._loop = asyncio.get_running_loop()

    async def run(self, engine: Engine, running: Running) -> None:
        """Run a job to its end, and see to that end; or put it back, if the server ends before."""
        try:
            await self._run(engine, running)
        except Exception as error:
            log.exception("job %s could not be run", running.job.id)
            await self._end_somehow(running, error)

    def stop(self, running: Running, cause: Cause, grace: float | None = None) -> None:
        """Ask a job to stop; if a node does not, within `grace` seconds, it is left behind."""
        running.cause = running.cause or cause
        running.token.cancel()
        wait = self._limits.stop_grace if grace is None else grace
        name = f"stop {running.job.id}"
        self._register.timers.within(name, wait, partial(self._abandon, running))

    def _abandon(self, running: Running) -> None:
        running.token.abandon()
        self._register.timers.after(f"stop {running.job.id}", LEFT, running.leave)

    async def _run(self, engine: Engine, running: Running) -> None:
        id = running.job.id
        self._watch(running)
        try:
            result = await self._in_thread(engine, running)
        except Exception as error:
            result = error
        await self._inbox.empty()
        running.over = True
        self._register.forget_timers(id)
        if running.cause == "shutdown" and was_stopped(running, result):
            return await self._put_back(running)
        status, last = self._runner.outcome(running, result, self._limits)
        return await self._register.end(running.job, status, running, last)

    async def _in_thread(self, engine: Engine, running: Running) -> RunResult | BaseException:
        """What running a job gives; Cancelled if it was abandoned, and does not end at all."""
        ended: asyncio.Future[RunResult | BaseException] = self._loop.create_future()

        def end(result: RunResult | BaseException) -> None:
            if not ended.done():
                ended.set_result(result)

        def work() -> None:
            try:
                result = self._runner.run(engine, running, partial(self._inbox.post, running))
            except BaseException as error:
                result = error
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(end, result)

        running.leave = lambda: end(Cancelled("the job did not stop, and was left behind"))
        threading.Thread(target=work, name="nodegraph-job", daemon=True).start()
        return await ended

    async def _put_back(self, running: Running) -> None:
        id = running.job.id
        self._register.leave(id)
        with contextlib.suppress(JournalError):  # else the journal takes it for a crash
            await self._register.write(lambda c: store.put_back(c, id))

    async def _end_somehow(self, running: Running, error: Exception) -> None:
        running.over = True
        try:
            await self._register.end_without_result(running, error)
        except Exception:
            log.exception("job %s could not be ended", running.job.id)
            self._register.leave(running.job.id)

    def _watch(self, running: Running) -> None:
        """See whether its nodes give signs of life; look again when one could be overdue."""
        limit = self._limits.node_timeout
        if limit is None or running.cause is not None:
            return
        silent, who = running.silent(time.monotonic())
        if who is not None and silent >= limit:
            running.stuck = who
            self.stop(running, "hung")
        else:
            name = f"watch {running.job.id}"
            again = partial(self._watch, running)
            self._register.timers.after(name, limit - silent + 0.01, again)

    def _tell(self, running: Running, event: Event) -> None:
        if running.over:
            return
        ears, job = self._register.ears, running.job
        if isinstance(event, Preview):
            ears.sent(job, event.value)
        try:
            messages = running.hear(event)
        except Exception:  # else no event would be told any more
            log.exception("an event of job %s could not be told", job.id)
            return
        for message in messages:
            ears.message(job, message)
