"""The model manager's records: a device with its budget, a model and where it is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .devices import HOST, Device
from .ledger import Ledger
from .source import ModelSource
from .streaming import Streamer

if TYPE_CHECKING:
    from torch import nn


@dataclass(eq=False)
class Pool:
    """A device, the bytes that weights may take there, and those they take."""

    device: Device
    budget: int
    ledger: Ledger = field(default_factory=Ledger)


@dataclass(eq=False)
class Entry:
    """A model the manager knows.

    device:    where it is to run; None while it is nowhere.
    streamer:  set while it is streamed there.
    host_copy: bytes on the host that it is streamed from; 0: it is streamed from the source.
    reserved:  bytes on the host that are promised to its loading.
    moving:    on its way; only the thread that moves models may touch it.
    leases:    how often each thread holds it.
    waiting:   threads that are about to move it; `failures` and `error` are for them.
    """

    source: ModelSource
    nbytes: int
    module: nn.Module | None = None
    device: str | None = None
    streamer: Streamer | None = None
    host_copy: int = 0
    reserved: int = 0
    moving: bool = False
    used: int = 0
    leases: Counter[int] = field(default_factory=Counter)
    waiting: int = 0
    failures: int = 0
    error: BaseException | None = None

    @property
    def key(self) -> str:
        return self.source.key

    @property
    def lent(self) -> int:
        return self.leases.total()

    def takes(self, name: str, *, least: bool = False) -> int:
        """Bytes of a device's budget; with `least`, those that cannot be taken from it now."""
        reserved = self.reserved if name == HOST else 0
        if self.module is None or (least and not self.lent):
            return reserved
        streamer = self.streamer
        if streamer is None:
            return reserved + (self.nbytes if self.device == name else 0)
        visiting = streamer.floor if least else streamer.limit
        copy = self.host_copy if name == HOST else 0
        return reserved + copy + (visiting if self.device == name else 0)
