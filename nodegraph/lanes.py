"""Lanes: the worker threads that run nodes, shared by all runs of an executor.

One lane for each device, with one thread, so that a device does one thing at a time; one for
input and output, with a few threads, so that decoding and saving overlap with computing; and an
event loop for async nodes. A lane's queue holds turns: a run that has work for the lane puts one
in, does one node when its turn comes, and lines up again, so that runs take turns.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine
from typing import Any

Turn = Callable[[], None]


class Lane:
    """Threads that take turns from one queue."""

    def __init__(self, name: str, threads: int = 1) -> None:
        self.name = name
        self._turns: queue.SimpleQueue[Turn | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"nodegraph-{name}-{i}", daemon=True)
            for i in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, turn: Turn) -> None:
        self._turns.put(turn)

    @property
    def idle(self) -> bool:
        """Whether nobody else waits for the lane (so that a run may go on without lining up)."""
        return self._turns.empty()

    def close(self) -> None:
        """Let the threads end after the turns that are queued."""
        for _ in self._threads:
            self._turns.put(None)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def _work(self) -> None:
        while (turn := self._turns.get()) is not None:
            turn()


class AsyncLane:
    """An event loop in a thread of its own, started when first used."""

    name = "async"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def submit(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._running())

    def close(self) -> None:
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="nodegraph-async", daemon=True
                )
                self._thread.start()
            return self._loop
