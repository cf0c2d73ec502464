"""Names of files that come from outside, kept inside the folder they are for."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from .errors import FileMissing


class UnsafeName(FileMissing):
    """A name that is empty, no name at all, or leads out of the folder it is for."""


def safe_relative(name: str) -> PurePosixPath:
    """A name, with `/` or `\\`, as a relative path.

    UnsafeName if it is absolute, has `..` in it, is empty, or cannot be a file's name.
    """
    slashed = checked(name)
    relative = PurePosixPath(slashed)
    if relative.is_absolute() or re.match(r"[A-Za-z]:", name) or ".." in relative.parts:
        raise UnsafeName(f"{name!r} leads out of its folder: give a name without .. or a first /")
    if not relative.parts:
        raise UnsafeName("the name of the file is empty")
    return relative


def checked(name: str) -> str:
    """The name with `/`; UnsafeName if no file could be called so."""
    try:
        possible = "\0" not in name and bool(os.fsencode(name) or True)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise UnsafeName(f"{name!r} cannot be the name of a file")
    return name.replace("\\", "/")


def inside(path: Path, folder: Path) -> bool:
    """Whether a path is under a folder when all links are followed."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
