"""What is kept for clients that are away: their jobs' messages, and pictures sent as results.

A client may connect after it has submitted, or lose its connection and come back. Memory is
bounded: of messages about the same progress the newest is kept; pictures, the oldest ones first,
and clients that stay away are forgotten.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from nodegraph.jobs import Message

MAX_CLIENTS = 1000
MAX_KEPT = 2000  # messages and pictures of each client
MAX_BYTES = 64 << 20  # of the pictures of all of them
KEPT_SECONDS = 600.0  # since the last message

Kept = Message | bytes  # bytes: a whole binary frame


@dataclass
class _Mailbox:
    kept: OrderedDict[Hashable, Kept] = field(default_factory=OrderedDict)
    since: float = 0.0


class Away:
    """What is kept for clients without a socket, by client. clock: seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._boxes: OrderedDict[str, _Mailbox] = OrderedDict()  # the longest silent one first
        self._bytes = 0

    def keep(self, client: str, kept: Kept, key: Hashable = None) -> None:
        """Keep something for a client. key: it takes the place of what has the same key."""
        box = self._boxes.setdefault(client, _Mailbox())
        self._boxes.move_to_end(client)
        key = object() if key is None else key
        self._remove(box, key)
        box.kept[key] = kept
        box.since = self._clock()
        self._bytes += _size(kept)
        while len(box.kept) > MAX_KEPT:
            self._remove(box, next(iter(box.kept)))
        self._forget()

    def take(self, client: str) -> list[Kept] | None:
        """What was kept for a client, in order, and is no longer; None if nothing was."""
        self._forget()
        box = self._boxes.pop(client, None)
        if box is None:
            return None
        found = list(box.kept.values())
        self._bytes -= sum(map(_size, found))
        return found

    def _forget(self) -> None:
        now = self._clock()
        while self._boxes:
            client, oldest = next(iter(self._boxes.items()))
            if len(self._boxes) <= MAX_CLIENTS and oldest.since >= now - KEPT_SECONDS:
                break
            self._bytes -= sum(map(_size, self._boxes.pop(client).kept.values()))
        if self._bytes > MAX_BYTES:
            self._forget_pictures()

    def _forget_pictures(self) -> None:
        for box in self._boxes.values():
            for key in [key for key, kept in box.kept.items() if isinstance(kept, bytes)]:
                self._remove(box, key)
                if self._bytes <= MAX_BYTES:
                    return

    def _remove(self, box: _Mailbox, key: Hashable) -> None:
        if key in box.kept:
            self._bytes -= _size(box.kept.pop(key))


def _size(kept: Kept) -> int:
    return len(kept) if isinstance(kept, bytes) else 0
