"""Moving models: on to a device, off it, and making room within the budgets.

    resident  all of a model's weights are on its device
    streamed  they are on the host, or only in the source, and visit the device in turns

A model is in one place at a time. What is not lent gives way, least recently used first: from a
device to the host, from the host to nothing. What is lent stays; where it leaves too little room
the next model is streamed, and streamed ones share what is left. A streamed model's dearest layer
may exceed a budget: there is no running a model with less.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from .devices import HOST, Device, LeaseError
from .entry import Entry, Pool
from .exhaustion import out_of_memory
from .source import ModelSource
from .streaming import Streamer
from .weights import Weight, discard, fill, frozen, move, size_of, weights_of

if TYPE_CHECKING:
    from torch import Tensor

TIGHT = 2  # lacks of memory in a row after which a model gets half, a quarter ... of its size


class Mover:
    """Moves entries. Every method but `tight` and `forget` needs `lock`, reentrant because a
    source may lease another model to make its own; `state` is taken briefly to look at leases."""

    def __init__(self, state: threading.Condition) -> None:
        self.lock = threading.RLock()
        self.pools: dict[str, Pool] = {}
        self.entries: dict[str, Entry] = {}
        self.strikes: Counter[str] = Counter()
        self.loads = self.evictions = self.streams = 0
        self._state = state

    def tight(self, entry: Entry) -> bool:
        """Memory ran out under this model again and again: it gets less than there is."""
        return self.strikes[entry.key] >= TIGHT

    def forget(self, entry: Entry) -> None:
        """Drop the record of a model that is nowhere and that nobody is about to use."""
        unused = entry.module is None and not (entry.lent or entry.waiting or entry.moving)
        if unused and self.entries.get(entry.key) is entry:
            del self.entries[entry.key]

    def bring(self, entry: Entry, name: str) -> None:
        """Make a model that is not lent ready on a device, resident if it fits, else streamed."""
        if entry.streamer is not None and entry.device == name:
            if not self._fits(entry, name):
                return self._widen(entry, name)
            self._stop_streaming(entry)
        if entry.device not in (None, HOST) or entry.streamer is not None:
            self._put_away(entry)
        if name == HOST and self.tight(entry):
            self._drop(entry)
        elif entry.module is None:
            self._load(entry)
        if name == HOST and entry.module is not None:
            return None
        if name != HOST and self._fits(entry, name) and self._claim(entry, name, entry.nbytes):
            return self._settle(entry, name)
        return self._stream(entry, name)

    def free(self, names: list[str], nbytes: int | None, *, keep: bool) -> int:
        """Evict what is not lent from these devices until `nbytes` are free there; None: all."""
        before = self._present(names)
        for name in names:
            while nbytes is None or before - self._present(names) < nbytes:
                victim = self._victim(name, None)
                if victim is None:
                    break
                self._evict(victim, name, keep=keep)
            self.pools[name].device.release_cached()
        return before - self._present(names)

    def relieve(self, name: str) -> int:
        """Free all that can be freed on a device, what streamed models keep there too."""
        device = self.pools[name].device
        available, present = device.available(), self._present([name])
        self.free([name], None, keep=True)
        with self._state:
            streamers = [e.streamer for e in self.entries.values() if e.device == name]
        for streamer in streamers:
            if streamer is not None:
                streamer.trim(streamer.floor)
        device.release_cached()
        freed, now = present - self._present([name]), device.available()
        return freed if available is None or now is None else max(freed, now - available)

    # Into place

    def _load(self, entry: Entry) -> None:
        """Load on to the host; leave it where the host has no room."""
        size = entry.nbytes = entry.source.nbytes
        if not self._claim(entry, HOST, size):
            return
        host = self.pools[HOST].ledger
        host.add(size)
        entry.reserved = size
        try:
            module = frozen(entry.source.load())
            entry.nbytes = size_of(module)
        except BaseException:
            host.give_back(size)
            raise
        finally:
            entry.reserved = 0
        host.add(entry.nbytes - size)
        entry.module, entry.device = module, HOST
        self.loads += 1

    def _settle(self, entry: Entry, name: str) -> None:
        """Make the model resident on a device, past the host if that has no room for it."""
        if entry.module is not None:
            return self._move(entry, name)
        ledger = self.pools[name].ledger
        module = frozen(entry.source.skeleton())
        read = self._from_source(entry.source, self.pools[name].device)
        placed = 0
        try:
            for weight in weights_of(module):
                ledger.add(weight.nbytes)
                placed += weight.nbytes
                fill(weight, read(weight, weight.tensor))
        except BaseException:
            ledger.give_back(placed)
            raise
        entry.module, entry.device, entry.nbytes = module, name, placed
        self.loads += 1
        return None

    def _stream(self, entry: Entry, name: str) -> None:
        pool = self.pools[name]
        module, copy = entry.module, 0
        if module is None:
            module = frozen(entry.source.skeleton())
            entry.nbytes = size_of(module)
            read = self._from_source(entry.source, pool.device)
        else:
            copy = entry.nbytes
            for weight in weights_of(module):
                move(weight, pool.device.stage)
            read = _from_host(pool.device)
        streamer = Streamer(module, pool.ledger, read, copies=pool.device.copies)
        entry.module, entry.device, entry.streamer = module, name, streamer
        entry.host_copy = copy
        self.streams += 1
        self._widen(entry, name)

    def _widen(self, entry: Entry, name: str) -> None:
        """Give a streamed model all the room there is, but no more than a tight one may have."""
        streamer = entry.streamer
        assert streamer is not None
        while victim := self._victim(name, entry):
            self._evict(victim, name)
        self._shrink(entry, name, streamer.floor)
        room = self._room(entry, name)
        if self.tight(entry):
            room = min(room, entry.nbytes >> (self.strikes[entry.key] - TIGHT + 1))
        streamer.trim(room)

    def _from_source(self, source: ModelSource, device: Device) -> Callable[..., Tensor]:
        host = self.pools[HOST].ledger

        def read(weight: Weight, wanted: Tensor) -> Tensor:
            if not device.copies:
                return _read(source, weight, wanted)
            host.add(weight.nbytes)
            try:
                return device.place(_read(source, weight, wanted))
            finally:
                host.give_back(weight.nbytes)

        return read

    # Out of the way

    def _move(self, entry: Entry, name: str) -> None:
        """Move all weights to another place, one by one. A move that fails drops the model."""
        assert entry.module is not None
        assert entry.device is not None
        here, there = self.pools[entry.device], self.pools[name]
        transfer = there.device.place if name != HOST else here.device.fetch
        left, arrived = entry.nbytes, 0
        try:
            for weight in weights_of(entry.module):
                there.ledger.add(weight.nbytes)
                arrived += weight.nbytes
                move(weight, transfer)
                here.ledger.give_back(weight.nbytes)
                left -= weight.nbytes
        except BaseException:
            here.ledger.give_back(left)
            there.ledger.give_back(arrived)
            discard(entry.module)
            entry.module = entry.device = None
            raise
        entry.device = name

    def _evict(self, victim: Entry, name: str, *, keep: bool = True) -> None:
        """Take a model off a device; to the host if it is to be kept and there is room."""
        try:
            if keep and name != HOST:
                self._put_away(victim)
            else:
                self._drop(victim)
        except Exception as error:
            if not out_of_memory(error):  # else the attempt dropped it, which is as good
                raise
        finally:
            with self._state:
                self.evictions += 1
                victim.moving = False
                self.forget(victim)

    def _put_away(self, entry: Entry) -> None:
        """From a device to the host, or to nothing where the host has no room."""
        if entry.streamer is not None:
            self._stop_streaming(entry)
        elif self._claim(entry, HOST, entry.nbytes):
            self._move(entry, HOST)
        else:
            self._drop(entry)

    def _stop_streaming(self, entry: Entry) -> None:
        """Back to the host if it was streamed from there, else to nothing."""
        assert entry.streamer is not None
        entry.streamer.close()
        entry.streamer = None
        if entry.host_copy:
            entry.device, entry.host_copy = HOST, 0
        else:
            entry.module = entry.device = None

    def _drop(self, entry: Entry) -> None:
        if entry.streamer is not None:
            self._stop_streaming(entry)
        if entry.module is not None and entry.device is not None:
            discard(entry.module)
            self.pools[entry.device].ledger.give_back(entry.nbytes)
        entry.module = entry.device = None

    # Room

    def _present(self, names: list[str]) -> int:
        return sum(self.pools[name].ledger.present for name in names)

    def _room(self, entry: Entry, name: str, *, least: bool = False) -> int:
        """Bytes of the budget that others do not take; with `least`, need not take."""
        with self._state:
            others = [other for other in self.entries.values() if other is not entry]
            return self.pools[name].budget - sum(o.takes(name, least=least) for o in others)

    def _fits(self, entry: Entry, name: str) -> bool:
        return not self.tight(entry) and entry.nbytes <= self._room(entry, name, least=True)

    def _claim(self, entry: Entry, name: str, nbytes: int) -> bool:
        """Make room. False, and nothing is evicted, where what is lent leaves too little."""
        if nbytes > self._room(entry, name, least=True):
            return False
        while self._room(entry, name) < nbytes:
            victim = self._victim(name, entry)
            if victim is None:
                break
            self._evict(victim, name)
        self._shrink(entry, name, nbytes)
        return self._room(entry, name) >= nbytes

    def _shrink(self, entry: Entry, name: str, nbytes: int) -> None:
        """Take from streamed models what they only keep, until there is room for `nbytes`."""
        with self._state:
            others = [o for o in self.entries.values() if o is not entry and o.device == name]
        for other in others:
            lack = nbytes - self._room(entry, name)
            if lack > 0 and other.streamer is not None:
                other.streamer.trim(other.streamer.limit - lack)

    def _victim(self, name: str, spared: Entry | None) -> Entry | None:
        """The least recently used model that may leave a device, marked as moving."""
        with self._state:
            taking = [
                entry
                for entry in self.entries.values()
                if entry is not spared and not entry.lent and not entry.moving and entry.takes(name)
            ]
            victim = min(taking, key=lambda entry: entry.used, default=None)
            if victim is not None:
                victim.moving = True
            return victim


def _from_host(device: Device) -> Callable[..., Tensor]:
    def read(_: Weight, original: Tensor) -> Tensor:
        return device.place(original)

    return read


def _read(source: ModelSource, weight: Weight, wanted: Tensor) -> Tensor:
    """One weight on the host: `wanted` itself if the skeleton had it, else from the source."""
    if not wanted.is_meta:
        return wanted
    for name in weight.names:
        try:
            tensor = source.tensor(name).detach()
        except KeyError:
            continue
        if tensor.shape == wanted.shape and tensor.dtype == wanted.dtype:
            return tensor
        raise LeaseError(
            f"the model {source.key} gives {name} as {tensor.dtype} {list(tensor.shape)}, "
            f"but its skeleton has {wanted.dtype} {list(wanted.shape)}"
        )
    raise LeaseError(f"the model {source.key} has no tensor {' or '.join(weight.names)}")
