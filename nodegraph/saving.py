"""Names for new files, taken before the files are written.

A name is taken by creating the hidden file `.{name}.reserved` beside it, which only one process or
thread can. The content goes into that file, which then becomes `name` in one step; so a file with
its name is always whole, and no two jobs write the same one. What a crash leaves behind is hidden,
blocks only its own number, and is removed a day later by the next who saves there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple, Protocol

from .errors import NodeGraphError
from .names import UnsafeName, checked, inside

RESERVED = ".reserved"
STALE = 24 * 3600.0  # seconds


class Given(NamedTuple):
    """A name in a book: `kind/subfolder/name`, and the SHA-256 of all that may stand there.

    More than one: a crash came when a file was about to be replaced, before or after that.
    """

    name: str
    sha256s: tuple[str, ...] = ()


class Book(Protocol):
    """Remembers the names that one call of a node was given, so that after a crash the same call
    is given them again and writes no second copy. What it is told is on disk when it returns.
    """

    def request(self, what: str) -> str:
        """A word for a request of the call, for `what`. After a crash the same call gets the same
        ones. Raises Cancelled if the call was abandoned: it is to write nothing any more.
        """

    def given(self, request: str) -> Sequence[Given]:
        """The names of a request, if it was made before."""

    def give(self, request: str, names: Sequence[str]) -> None:
        """The request was given these names; nobody else has them any more."""

    def writing(self, name: str, sha256: str) -> None:
        """A file with this content is about to appear under the name, or in the place of the
        one that is there. Raises Cancelled as `request` does.
        """

    def give_up(self, name: str) -> None:
        """Nothing was written under the name."""


@dataclass(frozen=True)
class Reserved:
    """A name that is ours: `path`, `subfolder` under the folder called `kind`.

    book: has the name as well.
    ours: SHA-256 of files from earlier tries of ours; one that is there already is replaced.
    """

    path: Path
    subfolder: str
    kind: str
    book: Book | None = field(default=None, compare=False, repr=False)
    ours: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def place(self) -> str:
        """The name in a book."""
        return "/".join(part for part in (self.kind, self.subfolder, self.name) if part)

    def write(self, content: bytes | Callable[[BinaryIO], object]) -> None:
        """Write the file, whole or not at all: its bytes, or what writes them to an open file.

        Gives the name up if that fails. Raises NodeGraphError if somebody else's program has put
        a file there meanwhile, or if the disk refuses.
        """
        hidden = _hidden(self.path)
        try:
            with hidden.open("wb") as file:
                if callable(content):
                    content(file)
                else:
                    file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if self.book is not None:
                self.book.writing(self.place, _sha256(hidden))
            if self.ours and self.path.is_file() and _sha256(self.path) in self.ours:
                os.replace(hidden, self.path)
            else:
                _publish(hidden, self.path)
        except BaseException as error:
            self.release()
            if not isinstance(error, OSError):
                raise
            reason = error.strerror or error
            raise NodeGraphError(f"{self.name} cannot be written: {reason}") from error

    def release(self) -> None:
        """Give the name up if nothing was written. May be called any number of times."""
        hidden = _hidden(self.path)
        try:
            # Of a file that is there already, from an earlier try, the book has to know.
            if self.book is not None and hidden.exists() and not self.path.exists():
                self.book.give_up(self.place)
        finally:
            hidden.unlink(missing_ok=True)


Reservations = list[Reserved]


def reserve(
    root: Path,
    kind: str,
    prefix: str,
    suffix: str,
    count: int = 1,
    *,
    width: int = 0,
    height: int = 0,
    book: Book | None = None,
) -> Reservations:
    """`count` names `{prefix}_{counter:05}_{suffix}`, numbered on from the highest that is there.

    prefix: may have subfolders, which are made, and these words, each between two `%`: width,
            height, year, month, day, hour, minute, second, batch_num (from 0), and
            `date:yyyy-MM-dd hh.mm.ss`. Other words stay as they are.
    width, height: pixels.
    book: remembers the names; those it has for this request are given again, even if the day has
          changed since.

    Safe with threads and processes. Write or release each. Raises UnsafeName for a prefix that
    leads out of the folder, NodeGraphError where the disk refuses.
    """
    now = datetime.now()
    text = checked(expand(prefix, now, width, height))
    stems = [_stem(root, kind, text, index) for index in range(count)]
    try:
        if book is None:
            return _new(root, kind, stems, suffix)
        request = book.request(f"{kind}/{prefix}{suffix}")
        return _booked(root, kind, stems, suffix, book, request)
    except OSError as error:
        reason = error.strerror or str(error)
        raise NodeGraphError(f"nothing can be written to {kind} as {text}: {reason}") from error


def _new(root: Path, kind: str, stems: list[_Stem], suffix: str) -> Reservations:
    for stem in stems:
        stem.folder.mkdir(parents=True, exist_ok=True)
    home = Path(os.path.realpath(root))
    return [Reserved(path, _subfolder(path, home), kind) for path in _take(stems, suffix)]


def _booked(
    root: Path, kind: str, stems: list[_Stem], suffix: str, book: Book, request: str
) -> Reservations:
    """The names that the book has for a request, each in its place, and new ones for the rest."""
    given = book.given(request)[: len(stems)]
    names = [_again(root, kind, each, book) for each in given]
    names += [None] * (len(stems) - len(names))
    missing = [stem for stem, name in zip(stems, names, strict=True) if name is None]
    if not missing:
        return [name for name in names if name is not None]
    new = [replace(each, book=book) for each in _new(root, kind, missing, suffix)]
    rest = iter(new)
    complete = [next(rest) if name is None else name for name in names]
    try:
        book.give(request, [name.place for name in complete])
    except BaseException:
        for each in new:
            _hidden(each.path).unlink(missing_ok=True)
        raise
    return complete


def _again(root: Path, kind: str, given: Given, book: Book) -> Reserved | None:
    """A name from the book, taken once more; None if somebody else has put a file there."""
    relative = PurePosixPath(given.name.removeprefix(f"{kind}/"))
    if not inside(root / relative.parent, root):
        return None
    path = Path(os.path.realpath(root / relative.parent)) / relative.name
    path.parent.mkdir(parents=True, exist_ok=True)
    there = os.path.lexists(path)
    ours = given.sha256s if there else ()
    if there:
        # It may be a second name of the file that is there: to write to it would change that.
        _hidden(path).unlink(missing_ok=True)
    if there and not (path.is_file() and _sha256(path) in ours):
        return None
    with contextlib.suppress(FileExistsError):  # it is there from the try that was cut short
        os.close(os.open(_hidden(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return Reserved(path, _subfolder(path, Path(os.path.realpath(root))), kind, book, ours)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def expand(prefix: str, now: datetime, width: int, height: int) -> str:
    """The prefix with its words replaced, except batch_num."""
    words = {
        "width": str(width),
        "height": str(height),
        "year": f"{now:%Y}",
        "month": f"{now:%m}",
        "day": f"{now:%d}",
        "hour": f"{now:%H}",
        "minute": f"{now:%M}",
        "second": f"{now:%S}",
    }

    def word(match: re.Match[str]) -> str:
        if match[1] is not None:
            return _date(match[1], now)
        return words[match[2]]

    return re.sub(rf"%date:([^%]+)%|%({'|'.join(words)})%", word, prefix)


def _date(pattern: str, now: datetime) -> str:
    """`yyyy` or `yy`, and `M`, `d`, `h`, `m`, `s`, doubled for two digits."""
    fields = {"M": now.month, "d": now.day, "h": now.hour, "m": now.minute, "s": now.second}

    def part(match: re.Match[str]) -> str:
        letters = match[0]
        if letters[0] == "y":
            return f"{now:%Y}"[-len(letters) :]
        return f"{fields[letters[0]]:0{len(letters)}}"

    return re.sub(r"yyyy|yy|MM?|dd?|hh?|mm?|ss?", part, pattern)


class _Stem(NamedTuple):
    """Where names begin: the folder, links followed, and the prefix, which may be empty."""

    folder: Path
    prefix: str


def _stem(root: Path, kind: str, text: str, index: int) -> _Stem:
    text = text.replace("%batch_num%", str(index))
    folder, _, name = text.rpartition("/")
    parent = root / PurePosixPath(folder)
    absolute = text.startswith("/") or re.match(r"[A-Za-z]:/", text)
    if absolute or name in (".", "..") or not inside(parent, root):
        raise UnsafeName(f"the prefix {text!r} leads out of the {kind} folder: give it without ..")
    return _Stem(Path(os.path.realpath(parent)), name)


def _take(stems: list[_Stem], suffix: str) -> list[Path]:
    """Take names with consecutive counters; all of them, or try again further on."""
    first = 1 + max((_highest(stem) for stem in dict.fromkeys(stems)), default=0)
    while True:
        paths = [
            stem.folder / f"{stem.prefix}_{number:05}_{suffix}"
            for number, stem in enumerate(stems, first)
        ]
        if _create_all(paths):
            return paths
        first += 1


def _create_all(paths: list[Path]) -> bool:
    with contextlib.ExitStack() as undo:
        for path in paths:
            if not _create(path):
                return False
            undo.callback(_hidden(path).unlink, missing_ok=True)
        undo.pop_all()
        return True


def _create(path: Path) -> bool:
    hidden = _hidden(path)
    try:
        os.close(os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        return False
    # Somebody may have written the file and given the name up since the folder was read.
    if path.exists():
        hidden.unlink(missing_ok=True)
        return False
    return True


def _highest(stem: _Stem) -> int:
    """The highest counter in use with this prefix, whatever the suffix."""
    pattern = re.compile(rf"\.?{re.escape(stem.prefix)}_(\d+)_.*", re.IGNORECASE | re.DOTALL)
    highest = 0
    with os.scandir(stem.folder) as entries:
        for entry in entries:
            match = pattern.fullmatch(entry.name)
            if match is None:
                continue
            if entry.name.endswith(RESERVED) and _stale(entry):
                Path(entry.path).unlink(missing_ok=True)
                continue
            highest = max(highest, int(match[1]))
    return highest


def _stale(entry: os.DirEntry[str]) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return time.time() - entry.stat().st_mtime > STALE
    return False


def _publish(hidden: Path, path: Path) -> None:
    try:
        os.link(hidden, path)  # unlike a rename, it never replaces a file
    except FileExistsError:
        raise NodeGraphError(f"{path.name} was made by another program meanwhile") from None
    except OSError:  # a file system without links
        os.replace(hidden, path)
    else:
        hidden.unlink(missing_ok=True)  # once: somebody else may try the name from now on


def _hidden(path: Path) -> Path:
    return path.with_name(f".{path.name}{RESERVED}")


def _subfolder(path: Path, home: Path) -> str:
    folder = path.parent.relative_to(home).as_posix()
    return "" if folder == "." else folder
