"""Which calls, or which runs, of an executor overlap in time.

A node that was the only one at work while a value changed is the one that changed it.
"""

from __future__ import annotations

import threading


class Activity:
    """Counts what begins. A ticket is its number, 0 if something else was running then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = 0
        self._running = 0

    def begin(self) -> int:
        """The ticket of something that begins."""
        with self._lock:
            self._begun += 1
            self._running += 1
            return self._begun if self._running == 1 else 0

    def end(self) -> None:
        """It is over."""
        with self._lock:
            self._running -= 1

    def alone(self, ticket: int) -> bool:
        """Whether nothing else has run since what has this ticket began."""
        with self._lock:
            return ticket == self._begun

    @property
    def idle(self) -> bool:
        with self._lock:
            return self._running == 0
