"""The thread that writes results, and the results that wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .files import Slots


@dataclass(eq=False)
class Job:
    """A result to write. `cancelled`: it was dropped meanwhile."""

    key: str
    outputs: tuple[Any, ...]
    codecs: Slots
    seconds: float
    fingerprint: int
    nbytes: int
    cancelled: threading.Event = field(default_factory=threading.Event)


class Writer:
    """Calls `write` for one job at a time, in order, on a thread of its own.

    The thread starts with the first job. `write` must not raise. What waits, and the one being
    written, stay in memory: at most `limit_bytes`, or a single larger one.
    """

    def __init__(self, write: Callable[[Job], None], *, limit_bytes: int) -> None:
        self._write = write
        self._limit = limit_bytes
        self._jobs: dict[str, Job] = {}  # by key, oldest first; the first is being written
        self._bytes = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._busy = False

    @property
    def waiting(self) -> tuple[int, int]:
        """How many jobs, and how many bytes, are not written yet."""
        with self._changed:
            return len(self._jobs), self._bytes

    def offer(self, job: Job, *, urgent: bool) -> bool:
        """Queue a job; False if that many bytes wait already, or the writer is closed.

        It never waits: a run is not slowed down to the speed of the disk. An urgent job is taken
        however many wait. A job of the same key that waits is replaced.
        """
        with self._changed:
            if self._closed:
                return False
            if self._jobs and not urgent and self._bytes + job.nbytes > self._limit:
                return False
            self._forget(job.key)
            self._jobs[job.key] = job
            self._bytes += job.nbytes
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cache-writer", daemon=True)
                self._thread.start()
            self._changed.notify_all()
            return True

    def find(self, key: str) -> Job | None:
        """The job of this key, if it is not written yet."""
        with self._changed:
            return self._jobs.get(key)

    def cancel(self, key: str) -> None:
        """Do not write the job of this key, if it is not written yet."""
        with self._changed:
            self._forget(key)
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until everything that was queued is written."""
        with self._changed:
            self._changed.wait_for(lambda: not self._jobs and not self._busy)

    def close(self) -> None:
        """Write what waits, then stop; what is offered later is refused."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _forget(self, key: str) -> None:
        job = self._jobs.pop(key, None)
        if job is not None:
            job.cancelled.set()
            self._bytes -= job.nbytes

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                if not self._jobs:
                    return
                job = next(iter(self._jobs.values()))
                self._busy = True
            self._write(job)
            with self._changed:
                self._busy = False
                if self._jobs.get(job.key) is job:
                    del self._jobs[job.key]
                    self._bytes -= job.nbytes
                self._changed.notify_all()
            del job  # while waiting, hold nothing
