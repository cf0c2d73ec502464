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
from concurrent.futures import Future
from typing import Any

Turn = Callable[[], None]


class Lane:
    """Threads that take turns from one queue. A turn must not raise."""

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

    def owns(self, thread: threading.Thread) -> bool:
        return thread in self._threads

    def close(self) -> None:
        """Let the threads end after the turns that are queued."""
        for _ in self._threads:
            self._turns.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (turn := self._turns.get()) is not None:
            turn()
            del turn  # while waiting, hold nothing


class AsyncLane:
    """An event loop in a thread of its own, started when first used."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def submit(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        """The future's `cancel` cancels the coroutine."""
        return asyncio.run_coroutine_threadsafe(work, self._running())

    def owns(self, thread: threading.Thread) -> bool:
        return thread is self._thread

    def close(self) -> None:
        """End the loop; tasks that nodes left behind are cancelled."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_serve, args=(self._loop,), name="nodegraph-async", daemon=True
                )
                self._thread.start()
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
