"""Earlier contents of files, so that what was overwritten or deleted can be had again.

Those of `a/b.json` are in the folder `a/b.json/.versions`, each called by the time at which it was
written, in nanoseconds since 1970. Everything here reads or writes the disk: call it in a thread,
and never twice at a time for one file.
"""

from __future__ import annotations

import filecmp
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .storing import beside

KEPT = 50  # versions of a file
FORGOTTEN = 1_000  # files that are gone and have versions
FOLDER = ".versions"
ID = re.compile("[0-9]{1,20}")


@dataclass(frozen=True)
class Version:
    """What a file once held. modified: when it was written, in seconds; size in bytes."""

    id: str
    size: int
    modified: float

    @classmethod
    def of(cls, path: Path) -> Version:
        """Raises OSError."""
        return cls(path.name, path.stat().st_size, int(path.name) / 1e9)

    def as_json(self) -> dict[str, Any]:
        return {"version": self.id, "size": self.size, "modified": self.modified}


class Versions:
    """The versions of the files of one folder, in a folder `root` of their own.

    kept: of each file. The newest stay; among the older ones those that are near to each other
    for their age go first, so that what is left reaches back to the first.
    """

    def __init__(self, root: Path, kept: int = KEPT) -> None:
        self.root = root
        self.kept = kept

    def keep(self, name: str, path: Path) -> None:
        """Keep what the file `path`, called `name`, holds now. Raises OSError."""
        folder = self._folder(name)
        kept = folder / str(path.stat().st_mtime_ns)
        times = self._times(folder)
        newest = folder / str(times[0]) if times else None
        if kept.exists() or (newest and filecmp.cmp(path, newest, shallow=False)):
            return
        with path.open("rb") as content, beside(folder, content) as hidden:
            os.replace(hidden, kept)
        times = self._times(folder)
        while len(times) > self.kept:
            (folder / str(times.pop(_nearest(times)))).unlink(missing_ok=True)

    def of(self, name: str) -> list[Version]:
        """The versions of a file, the newest first."""
        folder = self._folder(name)
        found: list[Version] = []
        for each in self._times(folder):
            with suppress(OSError):  # it went meanwhile
                found.append(Version.of(folder / str(each)))
        return found

    def find(self, name: str, version: str) -> Path | None:
        """Where a version is; None if there is none."""
        path = self._folder(name) / version
        return path if ID.fullmatch(version) and path.is_file() else None

    def move(self, name: str, to: str) -> None:
        """The file has another name now. Raises OSError."""
        source, target = self._folder(name), self._folder(to)
        for each in self._times(source):
            target.mkdir(parents=True, exist_ok=True)
            os.replace(source / str(each), target / str(each))
        self._tidy(source)

    def names(self) -> Iterator[str]:
        """The files that have versions, whether they are there or not."""
        for folder, folders, _ in os.walk(self.root):
            if FOLDER in folders:
                folders.remove(FOLDER)
                yield Path(folder).relative_to(self.root).as_posix()

    def forget(self, gone: Sequence[str], most: int = FORGOTTEN) -> None:
        """Of files that are gone keep so many, those that were written last."""
        if len(gone) <= most:
            return
        newest = {name: max(self._times(self._folder(name)), default=0) for name in gone}
        for name in sorted(gone, key=newest.__getitem__)[: len(gone) - most]:
            shutil.rmtree(self._folder(name), ignore_errors=True)
            self._tidy(self._folder(name))

    def _folder(self, name: str) -> Path:
        return self.root / name / FOLDER

    def _times(self, folder: Path) -> list[int]:
        """Names of versions, the newest first."""
        try:
            names = os.listdir(folder)
        except OSError:
            return []
        return sorted((int(name) for name in names if ID.fullmatch(name)), reverse=True)

    def _tidy(self, folder: Path) -> None:
        """Remove folders that are empty."""
        with suppress(OSError):
            while folder != self.root:
                folder.rmdir()
                folder = folder.parent


def _nearest(times: Sequence[int]) -> int:
    """Which one (not the newest, nor the oldest) is missed least. times: the newest first."""
    if len(times) < 3:
        return len(times) - 1

    def missed(index: int) -> float:
        return (times[index - 1] - times[index + 1]) / (times[0] - times[index])

    return min(range(1, len(times) - 1), key=missed)
