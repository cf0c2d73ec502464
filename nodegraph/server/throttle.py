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
        self._refill = refill
        self._most = burst * refill
        self._addresses = addresses
        self._debts: dict[str, tuple[float, float]] = {}  # seconds to make good, when that was so

    def __len__(self) -> int:
        return len(self._debts)

    def wait(self, address: str) -> float:
        """Seconds until this address may try again; 0: it may now."""
        return max(0.0, self._debt(_network(address)) - (self._most - self._refill))

    def failed(self, address: str) -> None:
        """Count one failure."""
        network = _network(address)
        debt = min(self._debt(network) + self._refill, self._most)
        self._debts.pop(network, None)  # so that the dict is ordered by the last failure
        self._debts[network] = (debt, self._clock())
        if len(self._debts) > self._addresses:
            del self._debts[next(iter(self._debts))]

    def _debt(self, network: str) -> float:
        now = self._clock()
        debt, then = self._debts.get(network, (0.0, now))
        if then > now:  # the clock was set back
            self._debts[network] = (debt, now)
        return max(0.0, debt - max(0.0, now - then))


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
