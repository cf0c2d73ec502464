"""The content of files, told apart by SHA-256; a file that did not change is read once.

A hash is remembered with the file's size, times of change and inode, in memory and, for large
files, in a JSON file. The device number is left out: on network and container file systems it
changes from one start to the next.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

from .errors import FileMissing, NodeGraphError
from .listing import files_under

KEPT = 1 << 20  # bytes from which on a hash is worth keeping on disk
SETTLED = 2_000_000_000  # nanoseconds; the coarsest file times (FAT) are that far apart
ATTEMPTS = 3
FORMAT = 1

log = logging.getLogger(__name__)


class Stamp(NamedTuple):
    """What changes with a file's content. Times in nanoseconds."""

    size: int
    modified: int
    changed: int
    inode: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Stamp:
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


class FileHashes:
    """Hashes of files, remembered. Safe to use from many threads.

    path:  the JSON file to remember them in; None: only in memory. That it cannot be read or
           written is no error: the hashes are computed again.
    clock: the time, in nanoseconds since 1970.
    """

    def __init__(self, path: Path | None, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        self._known = {} if path is None else _load(path)
        self._running: dict[str, Future[str]] = {}

    def sha256(self, path: Path) -> str:
        """Of a file, its content; of a folder, the names and contents of all files in it.

        64 hexadecimal digits. Raises FileMissing, or NodeGraphError if it cannot be read.
        """
        if path.is_dir():
            return self._of_folder(path)
        real = os.path.realpath(path)
        with self._lock:
            future = self._running.get(real)
            mine = future is None
            if future is None:
                future = self._running[real] = Future()
        if mine:
            self._settle(future, real, path.name)
        return future.result()

    def _of_folder(self, folder: Path) -> str:
        digest = hashlib.sha256()
        for name in files_under(folder):
            digest.update(f"{len(name)} {name} {self.sha256(folder / name)}\n".encode())
        return digest.hexdigest()

    def _settle(self, future: Future[str], real: str, name: str) -> None:
        try:
            future.set_result(self._of_file(real, name))
        except BaseException as error:
            future.set_exception(error)
        finally:
            with self._lock:
                del self._running[real]

    def _of_file(self, real: str, name: str) -> str:
        try:
            with open(real, "rb", buffering=0) as file:
                for _ in range(ATTEMPTS):
                    stamp = Stamp.of(os.fstat(file.fileno()))
                    known = self._known.get(real)
                    if known is not None and known[0] == stamp:
                        return known[1]
                    file.seek(0)
                    value = hashlib.file_digest(file, "sha256").hexdigest()
                    if Stamp.of(os.fstat(file.fileno())) == stamp:
                        self._remember(real, stamp, value)
                        return value
        except FileNotFoundError:
            raise FileMissing(f"{name} is not there") from None
        except OSError as error:
            raise NodeGraphError(f"{name} cannot be read: {error.strerror}") from error
        raise NodeGraphError(f"{name} keeps changing while it is read: wait until it is complete")

    def _remember(self, real: str, stamp: Stamp, value: str) -> None:
        age = self._clock() - max(stamp.modified, stamp.changed)
        if age < SETTLED:  # another write of as many bytes might leave the same times
            return
        with self._lock:
            self._known[real] = (stamp, value)
        if stamp.size >= KEPT and self._path is not None:
            self._save(self._path)

    def _save(self, path: Path) -> None:
        with self._saving:
            with self._lock:
                own = {real: hash for real, hash in self._known.items() if hash[0].size >= KEPT}
            # Another process may have saved since we read the file: keep what it found.
            kept = {**_load(path), **own}
            files = {real: [*stamp, value] for real, (stamp, value) in kept.items()}
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                _write(path, json.dumps({"format": FORMAT, "files": files}))
            except OSError as error:
                log.warning("hashes of files are not kept: %s: %s", path, error.strerror)


def _load(path: Path) -> dict[str, tuple[Stamp, str]]:
    """What a file remembers of files that are still there; nothing if it is damaged."""
    try:
        data: Any = json.loads(path.read_bytes())
        if data["format"] != FORMAT:
            return {}
        return {
            real: (Stamp(*map(int, numbers)), str(value))
            for real, (*numbers, value) in data["files"].items()
            if os.path.exists(real)
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _write(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
