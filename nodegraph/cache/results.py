"""The cache of results: by content key, in memory, and behind that on disk.

Memory is bounded in bytes; when it is full, what is cheap to compute again for its size goes first
(see `ranking`). Tensors on an accelerator may fill a share of that bound; beyond it they move to
the host, and from there out.

A result in memory is the very object that nodes receive, so a node could change it in place. Every
hit therefore compares its content with the fingerprint it was stored with: a result that was
changed is forgotten and counts as not there, unless the disk still has it as it was.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from nodegraph.types import Codec
from nodegraph.values import device_bytes, to_host
from nodegraph.values import fingerprint as fingerprint_of

from .disk import DiskCache, DiskStats, Offer
from .ranking import Ranking


@dataclass(frozen=True)
class Entry:
    """A cached result.

    outputs:     one value per output slot; the last may be the Shown of an output node.
    fingerprint: of `outputs`.
    seconds:     what it took to compute.
    nbytes:      what it holds.
    saved:       it is on disk, or queued for it.
    """

    outputs: tuple[Any, ...]
    fingerprint: int
    seconds: float
    nbytes: int
    saved: bool = False


@dataclass(frozen=True)
class Stored:
    """What became of a result. `on_disk`: queued to be written; `reason`: why not, if that is news.

    A result that is not on disk because it is cheap, or because there is no disk cache, has no
    reason.
    """

    in_memory: bool
    on_disk: bool
    reason: str = ""


@dataclass(frozen=True)
class CacheStats:
    """Counts since the start; `entries`, `bytes`, `accelerator_bytes`: in memory now."""

    entries: int
    bytes: int
    accelerator_bytes: int
    hits: int
    disk_hits: int
    misses: int
    evicted: int
    moved: int  # to the host
    changed: int  # found changed in place
    disk: DiskStats | None


@dataclass(slots=True, eq=False)
class _Held:
    entry: Entry
    on_devices: dict[str, int]  # bytes by accelerator
    device_bytes: int  # all of those together

    def on(self, device: str | None) -> int:
        """Bytes on `device`; "cuda" means all of "cuda:0", "cuda:1" ..., None any accelerator."""
        named = self.on_devices.items()
        return sum(size for name, size in named if device in (name, name.partition(":")[0], None))


class Cache:
    """Results by content key. Thread-safe.

    memory_bytes: bound of what is held in memory, on the host and on accelerators together. Memory
                  that two results share counts for both.
    device_share: fraction of it that may be on accelerators.
    """

    def __init__(
        self, *, memory_bytes: int, disk: DiskCache | None = None, device_share: float = 0.25
    ) -> None:
        self.memory_bytes = memory_bytes
        self.device_limit = int(memory_bytes * device_share)
        self.disk = disk
        self._lock = threading.RLock()
        self._moving = threading.Lock()  # held while results move to the host: one at a time
        self._held: dict[str, _Held] = {}
        self._ranking = Ranking()
        self._on_devices = Ranking()  # those of them that hold memory of an accelerator
        self._bytes = 0
        self._device_bytes = 0
        names = ("hits", "disk_hits", "misses", "evicted", "moved", "changed")
        self._counts = dict.fromkeys(names, 0)

    def get(self, key: str, codecs: Sequence[Codec | None] = ()) -> Entry | None:
        """The result of `key`, unchanged since it was stored.

        codecs: of the output slots, to read them from disk; as given to `put`.
        """
        with self._lock:
            held = self._held.get(key)
        if held is not None:
            if fingerprint_of(held.entry.outputs) == held.entry.fingerprint:
                self._used(key, held)
                return held.entry
            self._forget_changed(key, held)
        found = None if self.disk is None else self.disk.get(key, codecs)
        if found is None:
            self._count("misses")
            return None
        self._count("disk_hits")
        sizes = device_bytes(found.outputs)
        own = fingerprint_of(found.outputs)
        entry = Entry(found.outputs, own, found.seconds, sum(sizes.values()), saved=True)
        self._keep(key, entry, sizes)
        return entry

    def put(
        self,
        key: str,
        outputs: tuple[Any, ...],
        *,
        seconds: float,
        codecs: Sequence[Codec | None] = (),
        fingerprint: int | None = None,
    ) -> Stored:
        """Keep a result that took `seconds`; replaces what `key` had.

        codecs:      one per output slot; None: the slot's type cannot go to disk (plain numbers,
                     texts, truth values and Shown can, without one).
        fingerprint: of `outputs`, if the caller computed it already.
        """
        own = fingerprint_of(outputs) if fingerprint is None else fingerprint
        sizes = device_bytes(outputs)
        nbytes = sum(sizes.values())
        offer = Offer(False)
        if self.disk is not None:
            offer = self.disk.offer(
                key, outputs, codecs=codecs, seconds=seconds, fingerprint=own, nbytes=nbytes
            )
        entry = Entry(outputs, own, seconds, nbytes, saved=offer.queued)
        return Stored(self._keep(key, entry, sizes), offer.queued, offer.reason)

    def drop(self, key: str, *, disk: bool = False) -> None:
        """Forget the result of `key` in memory, and on disk if asked to."""
        with self._lock:
            self._forget(key)
        if disk and self.disk is not None:
            self.disk.drop(key)

    def free(self, wanted: int | None = None, *, device: str | None = None) -> int:
        """Let go of at least `wanted` bytes (None: all), if that many are held; returns how many.

        device: "cuda", "cuda:0" ...: results there move to the host. "cpu": results are let go.
                None: the accelerators, or the CPU if none of them holds anything.

        The memory is free once nobody else holds the values.
        """
        wanted = sys.maxsize if wanted is None else wanted
        freed = 0 if device == "cpu" else self._free_accelerator(wanted, device)
        if freed or device not in (None, "cpu"):
            return freed
        with self._lock:
            before = self._bytes
            self._shrink(max(0, before - wanted))
            return before - self._bytes

    def flush(self) -> None:
        """Wait until the disk has everything that was queued for it."""
        if self.disk is not None:
            self.disk.flush()

    def close(self) -> None:
        """Flush, and write no more."""
        if self.disk is not None:
            self.disk.close()

    def stats(self) -> CacheStats:
        disk = None if self.disk is None else self.disk.stats()
        with self._lock:
            held = (len(self._held), self._bytes, self._device_bytes)
            return CacheStats(*held, **self._counts, disk=disk)

    # --- memory; "locked": the caller holds the lock ----------------------------------------------

    def _keep(self, key: str, entry: Entry, sizes: dict[str, int]) -> bool:
        """Put an entry in memory and make room; whether it stayed."""
        if entry.nbytes > self.memory_bytes:
            self.drop(key)
            return False
        held = _hold(entry, sizes)
        if held.device_bytes > self.device_limit:
            moved = self._moved(held)
            if moved is None:
                return False
            held = moved
        with self._lock:
            self._forget(key)
            self._add(key, held)
            self._shrink(self.memory_bytes)
        self._relieve()
        return key in self._held

    def _add(self, key: str, held: _Held) -> None:
        """Locked."""
        self._held[key] = held
        self._bytes += held.entry.nbytes
        self._device_bytes += held.device_bytes
        self._ranking.add(key, seconds=held.entry.seconds, size=held.entry.nbytes)
        if held.device_bytes:
            self._on_devices.add(key, seconds=held.entry.seconds, size=held.device_bytes)

    def _forget(self, key: str) -> None:
        """Locked."""
        held = self._held.pop(key, None)
        if held is not None:
            self._bytes -= held.entry.nbytes
            self._device_bytes -= held.device_bytes
            self._ranking.remove(key)
            self._on_devices.remove(key)

    def _shrink(self, limit: int) -> None:
        """Locked."""
        while self._bytes > limit and (key := self._ranking.pop()) is not None:
            self._forget(key)
            self._counts["evicted"] += 1

    def _used(self, key: str, held: _Held) -> None:
        with self._lock:
            self._counts["hits"] += 1
            if self._held.get(key) is held:
                self._ranking.use(key)
                if key in self._on_devices:  # not if it is on its way to the host
                    self._on_devices.use(key)

    def _forget_changed(self, key: str, held: _Held) -> None:
        with self._lock:
            self._counts["changed"] += 1
            if self._held.get(key) is held:
                self._forget(key)

    def _count(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1

    # --- accelerators -----------------------------------------------------------------------------

    def _relieve(self) -> None:
        """Move results to the host until the accelerators hold no more than their share."""
        if self._device_bytes <= self.device_limit:
            return
        with self._moving:
            while self._device_bytes > self.device_limit:
                with self._lock:
                    key = self._on_devices.pop()
                    held = None if key is None else self._held[key]
                if key is None or held is None:
                    return
                self._move(key, held)

    def _free_accelerator(self, wanted: int, device: str | None) -> int:
        freed = 0
        with self._moving:
            with self._lock:
                keys = self._on_devices.order()
            for key in keys:
                held = self._held.get(key)
                here = 0 if held is None else held.on(device)
                if freed < wanted and held is not None and here:
                    self._move(key, held)
                    freed += here
        return freed

    def _move(self, key: str, held: _Held) -> None:
        """Replace a result by its copy on the host, or forget it."""
        if fingerprint_of(held.entry.outputs) != held.entry.fingerprint:
            self._forget_changed(key, held)
            return
        moved = self._moved(held)
        with self._lock:
            if self._held.get(key) is not held:
                return
            if moved is None:
                self._forget(key)
                return
            self._held[key] = moved
            self._bytes += moved.entry.nbytes - held.entry.nbytes
            self._device_bytes -= held.device_bytes
            self._on_devices.remove(key)
            self._shrink(self.memory_bytes)

    def _moved(self, held: _Held) -> _Held | None:
        """A copy on the host; None if there is no memory for it."""
        old = held.entry
        try:
            outputs = to_host(old.outputs)
        except (MemoryError, RuntimeError):  # torch's own out-of-memory errors are RuntimeErrors
            return None
        self._count("moved")
        sizes = device_bytes(outputs)
        entry = replace(
            old, outputs=outputs, fingerprint=fingerprint_of(outputs), nbytes=sum(sizes.values())
        )
        return _hold(entry, sizes)


def _hold(entry: Entry, sizes: dict[str, int]) -> _Held:
    on_devices = {device: size for device, size in sizes.items() if device != "cpu"}
    return _Held(entry, on_devices, sum(on_devices.values()))
