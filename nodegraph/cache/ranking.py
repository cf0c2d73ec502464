"""Which of many results to let go first.

GreedyDual-Size-Frequency (Cherkasova, HP Labs 1998): a result's priority is

    H = L + F C / S

with C what it costs to compute again (seconds), S its size (bytes), F how often it was used, and
L a clock: the priority of the last one let go. What is cheap and big goes first; what is not used
falls behind as the clock rises, however dear it was.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

# Computing anything at all takes this long, in seconds; so even what took no measurable time is
# ranked by its size.
LEAST_SECONDS = 1e-4


@dataclass(slots=True, eq=False)
class _Ranked:
    key: str
    value: float  # C / S
    uses: int
    priority: float
    gone: bool = False


class Ranking:
    """Keys in the order of GreedyDual-Size-Frequency. O(log n); not thread-safe."""

    def __init__(self) -> None:
        self.clock = 0.0
        self._ranked: dict[str, _Ranked] = {}
        # Priorities only rise, so a use need not touch the heap: an item whose priority is out of
        # date is put back when it comes to the top.
        self._heap: list[tuple[float, int, _Ranked]] = []
        self._added = 0

    def __len__(self) -> int:
        return len(self._ranked)

    def __contains__(self, key: str) -> bool:
        return key in self._ranked

    def add(self, key: str, *, seconds: float, size: int) -> None:
        """Rank `key`, used once now. Replaces what was known of it."""
        self.remove(key)
        value = max(seconds, LEAST_SECONDS) / max(size, 1)
        item = _Ranked(key, value, uses=1, priority=self.clock + value)
        self._ranked[key] = item
        self._push(item)

    def use(self, key: str) -> None:
        """`key` was used once more."""
        item = self._ranked[key]
        item.uses += 1
        item.priority = self.clock + item.uses * item.value

    def remove(self, key: str) -> None:
        """Forget `key`, if it is there."""
        item = self._ranked.pop(key, None)
        if item is None:
            return
        item.gone = True
        if len(self._heap) > 2 * len(self._ranked) + 64:
            self._heap = [entry for entry in self._heap if not entry[2].gone]
            heapq.heapify(self._heap)

    def pop(self) -> str | None:
        """Take out the key to let go first, and set the clock to its priority."""
        while self._heap:
            priority, _, item = heapq.heappop(self._heap)
            if item.gone:
                continue
            if priority < item.priority:
                self._push(item)
                continue
            del self._ranked[item.key]
            self.clock = item.priority
            return item.key
        return None

    def order(self) -> list[str]:
        """All keys, the one to let go first coming first. O(n log n)."""
        return sorted(self._ranked, key=lambda key: self._ranked[key].priority)

    def _push(self, item: _Ranked) -> None:
        self._added += 1
        heapq.heappush(self._heap, (item.priority, self._added, item))
