"""Counting bytes: what lies on a device now, and the most that ever did."""

from __future__ import annotations

import threading
import weakref
from collections import deque


class Ledger:
    """Bytes present, in all threads. A tensor may be returned from a finaliser."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._present = 0
        self._peak = 0
        self._returned: deque[int] = deque()

    def add(self, nbytes: int) -> None:
        """`nbytes` more lie there."""
        with self._lock:
            self._settle()
            self._present += nbytes
            self._peak = max(self._peak, self._present)

    def give_back(self, nbytes: int) -> None:
        """`nbytes` are gone."""
        # The garbage collector may run a finaliser in a thread that holds the lock: appending to
        # a deque needs none, and the next reader settles the account.
        self._returned.append(nbytes)

    def watch(self, owner: object, nbytes: int) -> None:
        """Give `nbytes`, added before, back when `owner` dies."""
        weakref.finalize(owner, self.give_back, nbytes).atexit = False

    @property
    def present(self) -> int:
        """Bytes there now."""
        with self._lock:
            self._settle()
            return self._present

    @property
    def peak(self) -> int:
        """The most bytes that were there at once since the start or `restart_peak`."""
        with self._lock:
            return self._peak

    def restart_peak(self) -> None:
        """Let the peak begin anew at what is there now."""
        with self._lock:
            self._settle()
            self._peak = self._present

    def _settle(self) -> None:
        while self._returned:
            self._present -= self._returned.popleft()
