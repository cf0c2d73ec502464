"""Events on their way from the threads of nodes to the event loop, in order."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from nodegraph.events import Event

if TYPE_CHECKING:
    from .running import Running

AT_ONCE = 0.01  # seconds of telling before others have their turn on the loop


class Inbox:
    """Made on the event loop; `tell` is called there, and must not raise."""

    def __init__(self, tell: Callable[[Running, Event], None]) -> None:
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._events: deque[tuple[Running, Event]] = deque()
        self._posted = self._told = 0  # how many events, ever
        self._lock = threading.Lock()
        self._woken = False  # the loop, which will look in here

    def post(self, running: Running, event: Event) -> None:
        """Have an event told soon. From any thread."""
        with self._lock:
            self._events.append((running, event))
            self._posted += 1
            wake, self._woken = not self._woken, True
        if wake:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._some)

    async def empty(self) -> None:
        """Wait until all that is in here now has been told."""
        posted = self._posted
        while self._told < posted:
            await asyncio.sleep(0)

    def _some(self) -> None:
        end = time.monotonic() + AT_ONCE
        while time.monotonic() < end:
            with self._lock:
                if not self._events:
                    self._woken = False
                    return
                running, event = self._events.popleft()
            self._tell(running, event)
            self._told += 1
        self._loop.call_soon(self._some)
