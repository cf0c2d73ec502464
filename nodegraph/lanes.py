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
        self._lock = threading.Lock()
        self._abandoned: set[threading.Thread] = set()
        self._threads = [self._started(index) for index in range(threads)]

    def submit(self, turn: Turn) -> None:
        self._turns.put(turn)

    def owns(self, thread: threading.Thread) -> bool:
        return thread in self._threads or thread in self._abandoned

    def replace(self, thread: threading.Thread) -> None:
        """Have another thread in the place of one whose turn does not end."""
        with self._lock:
            if thread in self._threads:
                self._abandoned.add(thread)
                self._threads.remove(thread)
                self._threads.append(self._started(len(self._threads)))

    def close(self) -> None:
        """Let the threads end after the turns that are queued."""
        with self._lock:
            threads = list(self._threads)
        for _ in threads:
            self._turns.put(None)
        for thread in threads:
            thread.join()

    def _started(self, index: int) -> threading.Thread:
        name = f"nodegraph-{self.name}-{index}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        thread.start()
        return thread

    def _work(self) -> None:
        while (turn := self._turns.get()) is not None:
            turn()
            del turn  # while waiting, hold nothing
            if self._left():
                return

    def _left(self) -> bool:
        """Whether this thread was replaced, and is back at last."""
        if not self._abandoned:
            return False
        with self._lock:
            current = threading.current_thread()
            if current not in self._abandoned:
                return False
            self._abandoned.discard(current)
            return True


class AsyncLane:
    """An event loop in a thread of its own, started when first used."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._replaced: tuple[threading.Thread, ...] = ()

    def submit(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        """The future's `cancel` cancels the coroutine."""
        with self._lock:  # the loop must not be replaced before it has the work
            return asyncio.run_coroutine_threadsafe(work, self._running())

    def owns(self, thread: threading.Thread) -> bool:
        return thread is self._thread or thread in self._replaced

    def replace(self) -> None:
        """Have another loop for what comes: on this one is something that does not end.

        What else is on it goes on there. It ends when the last of that has.
        """
        with self._lock:
            loop, thread = self._loop, self._thread
            if loop is not None and thread is not None:
                alive = [each for each in self._replaced if each.is_alive()]
                self._replaced = (*alive, thread)
                self._loop = self._thread = None
                loop.call_soon_threadsafe(lambda: loop.create_task(_end_when_alone()))

    def close(self) -> None:
        """End the loop; tasks that nodes left behind are cancelled."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=_serve, args=(self._loop,), name="nodegraph-async", daemon=True
            )
            self._thread.start()
        return self._loop


async def _end_when_alone() -> None:
    """End the loop that this runs on when everything else on it has ended."""
    this = asyncio.current_task()
    while others := [task for task in asyncio.all_tasks() if task is not this]:
        await asyncio.wait(others)
    asyncio.get_running_loop().stop()


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
