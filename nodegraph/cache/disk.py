"""Results on disk: a folder with one file per key, bounded in bytes.

A file appears under its name only when it is whole and on the disk (temporary name, fsync, rename),
so a crash leaves at most a temporary file, and processes that share a folder see whole files only.
A file that is damaged all the same is removed and counts as not there. The least recently used
files go first; a file's modification time is when it was last used, for all processes alike.

Nothing here fails a run: what cannot be written or read is computed again, and `warnings` says why.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodegraph.errors import NodeGraphError
from nodegraph.values import fingerprint

from .files import Damaged, NoCodec, Read, Slots, Unstorable, has_shown, obstacle, pack, read, write
from .writer import Job, Writer

SUFFIX = ".safetensors"
TEMPORARY = ".tmp"
STALE_SECONDS = 3600.0  # a temporary file this old was left by a process that is gone
RESCAN_SECONDS = 300.0  # how long another process's files may go unnoticed
KEPT = 0.9  # fraction of the bound that stays when files have to go, so that it is not every time
AS_IT_IS = re.compile(r"[0-9a-z]{8,128}")


@dataclass(frozen=True)
class DiskStats:
    """Counts since the start. `files`, `bytes`: in the folder, as far as this process knows."""

    files: int
    bytes: int
    waiting: int
    waiting_bytes: int
    hits: int
    written: int
    refused: int  # offered while too much was waiting
    failed: int  # could not be written or encoded
    changed: int  # changed in place before they were written
    damaged: int


@dataclass(frozen=True)
class Offer:
    """What became of a result offered to the disk; `reason`: why not taken, if that is news."""

    queued: bool
    reason: str = ""


class DiskCache:
    """A bounded folder of results. Thread-safe; several processes may share the folder.

    max_bytes:     bound of the folder's files. With several processes it may be passed for a few
                   minutes, until one looks again.
    min_seconds:   what was computed faster is not written, unless it refers to files (Shown).
    pending_bytes: bound of what waits to be written; what does not fit is not written.
    on_warning:    called, from any thread, with each new kind of trouble.
    """

    def __init__(
        self,
        folder: Path,
        max_bytes: int,
        *,
        min_seconds: float = 0.05,
        pending_bytes: int = 1 << 30,
        on_warning: Callable[[str], None] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.max_bytes = max_bytes
        self.min_seconds = min_seconds
        self.warnings: deque[str] = deque(maxlen=100)
        self._on_warning = on_warning
        self._lock = threading.Lock()
        self._sizes: dict[str, int] | None = None  # by file name; None: not looked at yet
        self._total = 0
        self._scanned = 0.0
        self._counts = dict.fromkeys(
            ("hits", "written", "refused", "failed", "changed", "damaged"), 0
        )
        self._writer = Writer(self._write, limit_bytes=pending_bytes)

    def offer(
        self,
        key: str,
        outputs: tuple[Any, ...],
        *,
        codecs: Slots,
        seconds: float,
        fingerprint: int,
        nbytes: int,
    ) -> Offer:
        """Queue a result for writing; returns at once."""
        shown = has_shown(outputs)
        if seconds < self.min_seconds and not shown:
            return Offer(False)
        if reason := obstacle(outputs, codecs):
            return Offer(False, reason)
        job = Job(key, outputs, codecs, seconds, fingerprint, nbytes)
        if self._writer.offer(job, urgent=shown):
            return Offer(True)
        self._count("refused")
        return Offer(False, "the disk cache is closed, or behind with writing")

    def get(self, key: str, codecs: Slots) -> Read | None:
        """The result of `key`, if it is here, whole, and `codecs` can read it."""
        waiting = self._writer.find(key)
        if waiting is not None and fingerprint(waiting.outputs) == waiting.fingerprint:
            self._count("hits")
            return Read(waiting.outputs, waiting.seconds)
        path = self.path(key)
        try:
            found = read(path, key, codecs)
        except (FileNotFoundError, NoCodec):
            return None
        except Damaged:
            self._count("damaged")
            self._remove(path.name)
            return None
        except (OSError, MemoryError) as error:
            self._warn(f"the result cache cannot read from {self.folder}: {_why(error)}")
            return None
        _mark_used(path)
        self._count("hits")
        return found

    def drop(self, key: str) -> None:
        """Remove the result of `key`, also if it is yet to be written."""
        self._writer.cancel(key)
        self._remove(self.path(key).name)

    def flush(self) -> None:
        """Wait until everything that was queued is on the disk."""
        self._writer.flush()

    def close(self) -> None:
        """Flush, and write no more. Reading still works."""
        self._writer.close()

    def stats(self) -> DiskStats:
        waiting, waiting_bytes = self._writer.waiting
        with self._lock:
            files = len(self._sizes or ())
            return DiskStats(files, self._total, waiting, waiting_bytes, **self._counts)

    def path(self, key: str) -> Path:
        """The file of `key`. A key that is no fit file name stands as its SHA-256."""
        fit = AS_IT_IS.fullmatch(key)
        return self.folder / ((key if fit else hashlib.sha256(key.encode()).hexdigest()) + SUFFIX)

    # --- writing, on the writer's thread --------------------------------------------------------

    def _write(self, job: Job) -> None:
        try:
            self._write_file(job)
        except OSError as error:
            self._count("failed")
            self._warn(f"the result cache cannot write to {self.folder}: {_why(error)}")
        except Exception as error:  # of a codec or of safetensors: no reason to fail a run
            self._count("failed")
            self._warn(f"a result cannot be kept on disk: {_why(error)}")

    def _write_file(self, job: Job) -> None:
        if fingerprint(job.outputs) != job.fingerprint:
            self._count("changed")
            return
        packed = pack(job.outputs, job.codecs)
        if packed.nbytes > self.max_bytes:
            raise Unstorable(f"it is larger than the whole disk cache, {self.max_bytes} bytes")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._scan_if_due()
        path = self.path(job.key)
        temporary = self._temporary(path.stem)
        try:
            write(temporary, job.key, packed, job.seconds)
            _mark_used(temporary)
            _sync(temporary)
            if fingerprint(job.outputs) != job.fingerprint:
                self._count("changed")
                return
            size = temporary.stat().st_size
            with self._lock:  # or a drop might come between the two
                if job.cancelled.is_set():
                    return
                os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync(self.folder)
        self._written(path.name, size)

    def _temporary(self, stem: str) -> Path:
        handle, name = tempfile.mkstemp(TEMPORARY, f".{stem}-", self.folder)
        os.close(handle)
        return Path(name)

    def _written(self, name: str, size: int) -> None:
        with self._lock:
            assert self._sizes is not None
            self._total += size - self._sizes.pop(name, 0)
            self._sizes[name] = size
            self._counts["written"] += 1
            crowded = self._total > self.max_bytes
        if crowded:
            self._scan()  # what did other processes use, add and remove?
            self._evict()

    # --- the folder's files ---------------------------------------------------------------------

    def _scan_if_due(self) -> None:
        if self._sizes is None or time.monotonic() - self._scanned > RESCAN_SECONDS:
            self._scan()

    def _scan(self) -> None:
        """Learn what is in the folder; remove temporary files that nobody will finish."""
        found: list[tuple[int, str, int]] = []
        now = time.time()
        with os.scandir(self.folder) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # gone by now, or another user's
                    status = entry.stat(follow_symlinks=False)
                    if entry.name.endswith(SUFFIX):
                        found.append((status.st_mtime_ns, entry.name, status.st_size))
                    elif _is_temporary(entry.name) and now - status.st_mtime > STALE_SECONDS:
                        os.unlink(entry.path)
        with self._lock:
            self._sizes = {name: size for _, name, size in sorted(found)}
            self._total = sum(self._sizes.values())
            self._scanned = time.monotonic()

    def _evict(self) -> None:
        """Remove files until there is room, straight after a scan: that is in the order of use."""
        low = KEPT * self.max_bytes
        while True:
            with self._lock:
                # The newest alone may fill the folder up to its bound.
                bound = self.max_bytes if self._sizes and len(self._sizes) == 1 else low
                if not self._sizes or self._total <= bound:
                    return
                name = next(iter(self._sizes))
            self._remove(name)

    def _remove(self, name: str) -> None:
        try:
            with self._lock:
                if self._sizes is not None:
                    self._total -= self._sizes.pop(name, 0)
                (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            self._warn(f"the result cache cannot remove files in {self.folder}: {_why(error)}")

    def _count(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1

    def _warn(self, message: str) -> None:
        with self._lock:
            if message in self.warnings:
                return
            self.warnings.append(message)
        if self._on_warning is not None:
            with contextlib.suppress(Exception):  # the writer's thread has to go on
                self._on_warning(message)


def _mark_used(path: Path) -> None:
    now = time.time_ns()  # finer than the clock that file systems stamp with on their own
    with contextlib.suppress(OSError):  # a folder that may only be read still gives hits
        os.utime(path, ns=(now, now))


def _is_temporary(name: str) -> bool:
    return name.startswith(".") and name.endswith(TEMPORARY)


def _why(error: BaseException) -> str:
    if isinstance(error, NodeGraphError):
        return str(error)
    return getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"


def _sync(path: Path) -> None:
    """Make a file, or a folder's names, outlast a power failure."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open a folder, and needs no sync for its names
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
