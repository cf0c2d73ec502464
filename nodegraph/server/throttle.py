"""A limit to failed attempts, by client address: some at once, then one now and then."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

BURST = 10  # failures at once
REFILL = 6.0  # seconds for each after that
ADDRESSES = 4096  # that are remembered


class Throttle:
    """Counts failures. An address may try again when its oldest failures are forgotten.

    clock: seconds. addresses: of so many the failures are remembered, the latest ones.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        burst: int = BURST,
        refill: float = REFILL,
        addresses: int = ADDRESSES,
    ) -> None:
        self._clock = clock
        self._burst = burst
        self._refill = refill
        self._addresses = addresses
        self._failures: dict[str, tuple[float, float]] = {}  # how many, when that was so

    def __len__(self) -> int:
        return len(self._failures)

    def wait(self, address: str) -> float:
        """Seconds until this address may try again; 0: it may now."""
        excess = self._count(_network(address)) - (self._burst - 1)
        return max(0.0, excess * self._refill)

    def failed(self, address: str) -> None:
        """Count one failure."""
        network = _network(address)
        count = self._count(network) + 1
        self._failures.pop(network, None)  # so that the dict is ordered by the last failure
        self._failures[network] = (min(count, float(self._burst)), self._clock())
        if len(self._failures) > self._addresses:
            del self._failures[next(iter(self._failures))]

    def _count(self, network: str) -> float:
        now = self._clock()
        count, then = self._failures.get(network, (0.0, now))
        if then > now:  # the clock was set back
            self._failures[network] = (count, now)
        return max(0.0, count - max(0.0, now - then) / self._refill)


def _network(address: str) -> str:
    """What counts as one client: an IPv4 address, or an IPv6 network, of which each has many."""
    try:
        known = ip_address(address)
    except ValueError:
        return address
    if not isinstance(known, IPv6Address):
        return address
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return str(ip_network((int(known), 64), strict=False))
