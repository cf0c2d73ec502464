"""The model manager: lends models, within a budget of bytes for every device.

Two locks: the manager's `_state` guards the records and is held briefly, the mover's is held
through loads and transfers. A lease of a model that is in place needs the first alone, so it never
waits for another model's load.
"""

from __future__ import annotations

import gc
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .devices import HOST, Device, HostDevice, LeaseError, device_named
from .entry import Entry, Pool
from .exhaustion import out_of_memory
from .mover import Mover
from .source import ModelSource
from .stats import DeviceStats, Measurement, MemoryStats, ModelStats

if TYPE_CHECKING:
    from torch import nn


class ModelManager:
    """Lends models. Safe to use from many threads.

    budgets:     bytes that weights may take, by device name (`cuda`: every CUDA device without
                 one of its own). A device without one gets what is free when it is first used,
                 less a reserve for activations.
    host_budget: the same for the host; None: 70 % of the memory that is free now.
    devices:     devices beside those that `lease` knows by name.
    """

    def __init__(
        self,
        *,
        budgets: Mapping[str, int] | None = None,
        host_budget: int | None = None,
        devices: Iterable[Device] = (),
    ) -> None:
        self._state = threading.Condition()
        self._mover = Mover(self._state)
        self._budgets = dict(budgets or {})
        if host_budget is not None:
            self._budgets[HOST] = host_budget
        self._clock = 0
        self._measuring: list[tuple[Device, Measurement]] = []
        for device in (HostDevice(), *devices):
            self._open(device)

    @contextmanager
    def lease(self, source: ModelSource, device: str = HOST) -> Iterator[nn.Module]:
        """The source's model on `device`, in eval mode, for the time of the `with` block.

        It is read-only: everybody with the same key gets the same module. After the block it may
        be moved or emptied at any time. A model that is lent on another device is waited for;
        LeaseError if this thread itself holds it there, or if there is no such device.
        """
        name = self._pool(device).device.name
        thread = threading.get_ident()
        entry = self._acquire(source, name, thread)
        failure: BaseException | None = None
        try:
            assert entry.module is not None  # a lent model is not evicted
            yield entry.module
        except BaseException as error:
            failure = error
            raise
        finally:
            self._release(entry, thread, failure)
            failure = None  # else the error and this frame hold each other

    def stats(self) -> MemoryStats:
        """What is where, as of now."""
        mover = self._mover
        with self._state:
            devices = {name: self._device_stats(name, pool) for name, pool in mover.pools.items()}
            return MemoryStats(devices, mover.loads, mover.evictions, mover.streams)

    def free(self, device: str | None = None, nbytes: int | None = None) -> int:
        """Evict models that are not lent, the least recently used first. Returns bytes freed.

        device: only from there, to the host (from the host: to nothing); None: from everywhere,
                to nothing, and past lacks of memory are forgotten.
        nbytes: stop as soon as that many are free.
        """
        with self._mover.lock:
            if device is not None:
                return self._mover.free([self._pool(device).device.name], nbytes, keep=True)
            self._mover.strikes.clear()
            names = sorted(self._mover.pools, key=lambda name: name == HOST)
            return self._mover.free(names, nbytes, keep=False)

    def recover(self, error: BaseException) -> int | None:
        """Free what can be freed if `error` is a lack of memory; None for another error.

        Returns the bytes freed on what ran out. Call it when the leases of the failed work have
        ended, then try again: a model that was lent when memory ran out twice is streamed within
        half its size, a third time within a quarter, so a few tries are worth it.
        """
        where = out_of_memory(error)
        if where is None:
            return None
        # The frames of the failed work hold its activations for as long as the error lives.
        cause: BaseException | None = error
        while cause is not None:
            traceback.clear_frames(cause.__traceback__)
            cause = cause.__cause__
        gc.collect()
        with self._mover.lock:
            names = [name for name in self._mover.pools if (name == HOST) == (where == "host")]
            return sum(self._mover.relieve(name) for name in names)

    @contextmanager
    def measure(self, device: str = HOST) -> Iterator[Measurement]:
        """The most bytes in use on `device` at once during the block, activations included.

        Counts all of the device's tensors, so also those of work that runs at the same time.
        """
        target = self._pool(device).device
        measurement = Measurement()
        with self._state:
            self._note_peak(target)
            self._measuring.append((target, measurement))
            target.restart_peak()
        try:
            yield measurement
        finally:
            with self._state:
                self._note_peak(target)
                self._measuring = [pair for pair in self._measuring if pair[1] is not measurement]

    # Leases

    def _acquire(self, source: ModelSource, name: str, thread: int) -> Entry:
        while True:
            with self._state:
                entry = self._entry(source)
                if self._lent_elsewhere(entry, name, thread):
                    self._state.wait()
                    continue
                if self._in_place(entry, name):
                    return self._lend(entry, thread)
                entry.waiting += 1
                failures = entry.failures
            try:
                if self._bring_once(entry, name, thread, failures):
                    return entry
            finally:
                with self._state:
                    entry.waiting -= 1
                    if not entry.waiting:
                        entry.error = None
                    self._mover.forget(entry)

    def _entry(self, source: ModelSource) -> Entry:
        entry = self._mover.entries.get(source.key)
        if entry is None:
            entry = self._mover.entries[source.key] = Entry(source, source.nbytes)
        return entry

    def _lent_elsewhere(self, entry: Entry, name: str, thread: int) -> bool:
        if not entry.lent or entry.device == name:
            return False
        if entry.leases[thread]:
            raise LeaseError(
                f"the model {entry.key} is lent on {entry.device} to the same thread that asks "
                f"for it on {name}: end that lease first, a model is on one device at a time"
            )
        return True

    def _in_place(self, entry: Entry, name: str) -> bool:
        if entry.module is None or entry.moving or entry.device != name:
            return False
        # When nobody uses it: there may be room for all of it by now, or it is to become smaller.
        return bool(entry.lent) or not (entry.streamer or self._mover.tight(entry))

    def _lend(self, entry: Entry, thread: int) -> Entry:
        self._clock += 1
        entry.used = self._clock
        entry.leases[thread] += 1
        return entry

    def _bring_once(self, entry: Entry, name: str, thread: int, failures: int) -> bool:
        """False: meanwhile it was lent elsewhere. Raises what a load that was awaited raised."""
        with self._mover.lock:
            with self._state:
                if entry.lent and entry.device != name:
                    return False
                if self._in_place(entry, name):
                    self._lend(entry, thread)
                    return True
                if entry.failures > failures and entry.error is not None:
                    raise entry.error
                entry.moving = True
            try:
                self._mover.bring(entry, name)
            except BaseException as error:
                with self._state:
                    entry.moving = False
                    entry.failures += 1
                    entry.error = error
                    self._strike(entry, error)
                raise
            with self._state:
                entry.moving = False
                self._lend(entry, thread)
            return True

    def _release(self, entry: Entry, thread: int, failure: BaseException | None) -> None:
        with self._state:
            entry.leases[thread] -= 1
            if not entry.leases[thread]:
                del entry.leases[thread]
            if failure is not None:
                self._strike(entry, failure)
            elif not self._mover.tight(entry):
                del self._mover.strikes[entry.key]
            if entry.streamer is not None and not entry.lent:
                entry.streamer.rest()
            self._state.notify_all()

    def _strike(self, entry: Entry, error: BaseException) -> None:
        if out_of_memory(error):
            self._mover.strikes[entry.key] += 1

    # Devices

    def _pool(self, name: str) -> Pool:
        with self._state:
            return self._mover.pools.get(name) or self._open(device_named(name))

    def _open(self, device: Device) -> Pool:
        name = device.name
        pool = self._mover.pools.get(name)
        if pool is None:
            budget = self._budgets.get(name, self._budgets.get(name.partition(":")[0]))
            pool = Pool(device, device.capacity() if budget is None else budget)
            self._mover.pools[name] = pool
        return pool

    def _device_stats(self, name: str, pool: Pool) -> DeviceStats:
        models = [
            ModelStats(entry.key, entry.nbytes, entry.streamer is not None, entry.lent)
            for entry in self._mover.entries.values()
            if entry.module is not None and entry.device == name
        ]
        ledger = pool.ledger
        return DeviceStats(pool.budget, ledger.present, ledger.peak, tuple(models))

    def _note_peak(self, device: Device) -> None:
        """Tell all who measure, before the device's one count of its peak begins anew."""
        peak = device.peak()
        if peak is not None:
            for target, measurement in self._measuring:
                if target is device:
                    measurement.peak_bytes = max(measurement.peak_bytes or 0, peak)
