"""Files from outside put on disk: whole or not at all, and never in the place of another by chance.

Everything here writes: call it in a thread.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path, PurePosixPath
from typing import IO

from .answers import Refused, bad_request

DEEPEST = 16  # folders in each other that a stranger may make: who walks through them recurses
WRONG_NAME = (
    errno.ENAMETOOLONG,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ENOTEMPTY,
    errno.EINVAL,
)


def store(content: IO[bytes] | bytes, folder: Path, name: str, *, overwrite: bool) -> str:
    """Put a file into a folder, which is made; the name that it got.

    Where the name is taken, the file there is replaced (overwrite), or used if it holds the same
    bytes, or else the new one is called `name (1).png`, `name (2).png` ... However many do this
    at once, each gets a file with its own bytes.

    Refused: 400 for a name that the disk does not take, 507 where it takes nothing.
    """
    with refusing(name), beside(folder, content) as hidden:
        if overwrite:
            os.replace(hidden, folder / name)
            return name
        for candidate in candidates(name):
            if _publish(hidden, folder / candidate) or _same(hidden, folder / candidate):
                return candidate
    raise AssertionError("there is always another number")


@contextmanager
def beside(folder: Path, content: IO[bytes] | bytes) -> Iterator[Path]:
    """The content under a hidden name in a folder, safely on disk, until it is given another."""
    folder.mkdir(parents=True, exist_ok=True)
    hidden = folder / f".{uuid.uuid4().hex}.part"
    try:
        with hidden.open("xb") as file:
            if isinstance(content, bytes):
                content = io.BytesIO(content)
            content.seek(0)
            shutil.copyfileobj(content, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
        yield hidden
    finally:
        hidden.unlink(missing_ok=True)


@contextmanager
def refusing(name: str) -> Iterator[None]:
    """Errors of the disk as Refused: 400 where another name would do, 507 where none would."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        if error.errno in WRONG_NAME:
            raise bad_request("The file cannot be called so", f"{name}: {reason}") from error
        details = f"{name}: {reason}; free space, or look at the folder's permissions"
        raise Refused(507, "storage", "The file cannot be written", details) from error


def candidates(name: str) -> Iterator[str]:
    """`a.png`, `a (1).png`, `a (2).png` ..."""
    path = PurePosixPath(name)
    yield name
    for number in count(1):
        yield f"{path.stem} ({number}){path.suffix}"


def _publish(hidden: Path, path: Path) -> bool:
    """Give a file its name as well, unless another has it."""
    try:
        os.link(hidden, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        try:
            path.open("xb").close()
        except FileExistsError:
            return False
        os.replace(hidden, path)
    return True


def _same(one: Path, other: Path) -> bool:
    """Whether the other is a plain file with the same bytes."""
    found = other.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_size != one.stat().st_size:
        return False
    return _digest(one) == _digest(other)


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
