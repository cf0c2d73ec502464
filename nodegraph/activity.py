"""Which calls overlap in time, over all runs of an executor.

A node that was the only one at work while a value changed is the one that changed it.
"""

from __future__ import annotations

import threading


class Activity:
    """Counts calls. A ticket is the number of a call, 0 if others were running when it began."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = 0
        self._running = 0

    def begin(self) -> int:
        """The ticket of a call that begins."""
        with self._lock:
            self._begun += 1
            self._running += 1
            return self._begun if self._running == 1 else 0

    def end(self) -> None:
        """A call is over."""
        with self._lock:
            self._running -= 1

    def alone(self, ticket: int) -> bool:
        """Whether no other call has run since the one with this ticket began."""
        with self._lock:
            return ticket == self._begun
