"""Pictures opened and decoded once, to know that they can be, and what was seen remembered.

A file that kept its size and time of change is not opened again, also by the next process, where
the looker has a file for its notes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path

from nodes.imaging.errors import PictureError
from nodes.imaging.files import decode
from nodes.models.atomic import replacing

Source = Path | bytes
"""A picture's file, or the bytes of one."""

Stamp = tuple[str, int, int]  # a file's path, size, time of change
FORMAT = 1


@dataclass(frozen=True)
class Seen:
    """What a picture file is: its content's hash, its size in pixels, or why it is no picture."""

    hash: str
    width: int = 0
    height: int = 0
    fault: str = ""


class Looker:
    """Looks at pictures, each file once.

    notes: a JSON file to remember what was seen; None: only in memory. That it cannot be read or
           written is no error: the pictures are opened again.
    """

    def __init__(self, notes: Path | None = None) -> None:
        self._notes = notes
        self._known = {} if notes is None else _load(notes)
        self._opened: list[Stamp] = []

    @property
    def opened(self) -> int:
        """How many files it has opened so far."""
        return len(self._opened)

    def look(self, sources: Iterable[Source]) -> dict[Source, Seen]:
        """What each source is, by source."""
        wanted = list(dict.fromkeys(sources))
        with ThreadPoolExecutor() as pool:
            found = dict(zip(wanted, pool.map(self._look, wanted), strict=True))
        if self._opened and self._notes is not None:
            self._save(self._notes)
        return found

    def _look(self, source: Source) -> Seen:
        if isinstance(source, bytes):
            return _seen(source)
        try:
            stat = source.stat()
            stamp = (str(source.absolute()), stat.st_size, stat.st_mtime_ns)
            if stamp in self._known:
                return self._known[stamp]
            data = source.read_bytes()
        except OSError as error:
            return Seen("", fault=f"the file cannot be read: {error.strerror}")
        self._opened.append(stamp)
        self._known[stamp] = seen = _seen(data)
        return seen

    def _save(self, notes: Path) -> None:
        lines = [[*stamp, *astuple(seen)] for stamp, seen in self._known.items()]
        try:
            with replacing(notes) as file:
                file.write(json.dumps({"format": FORMAT, "seen": lines}).encode())
        except OSError:
            return


def _load(notes: Path) -> dict[Stamp, Seen]:
    try:
        said = json.loads(notes.read_bytes())
        if said["format"] != FORMAT:
            return {}
        return {
            (str(path), int(size), int(modified)): Seen(hash, width, height, fault)
            for path, size, modified, hash, width, height, fault in said["seen"]
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _seen(data: bytes) -> Seen:
    content = hashlib.blake2b(data, digest_size=20).hexdigest()
    try:
        image = decode(data).image
    except PictureError as error:
        return Seen(content, fault=str(error).removeprefix("the picture: "))
    return Seen(content, image.shape[2], image.shape[1])
