"""What is to be done later on the event loop, by name: of two with one name, the newer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Timers:
    """Made on the event loop that they run on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._handles: dict[str, asyncio.TimerHandle] = {}

    def after(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        """Call something after so many seconds, instead of what the name stood for."""
        self.forget(name)
        self._handles[name] = self._loop.call_later(max(0.0, seconds), self._due, name, call)

    def within(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        """The same, unless what the name stands for comes before."""
        known = self._handles.get(name)
        if known is None or known.when() > self._loop.time() + seconds:
            self.after(name, seconds, call)

    def forget(self, *names: str) -> None:
        for name in names:
            handle = self._handles.pop(name, None)
            if handle is not None:
                handle.cancel()

    def close(self) -> None:
        self.forget(*list(self._handles))

    def _due(self, name: str, call: Callable[[], None]) -> None:
        del self._handles[name]
        call()
