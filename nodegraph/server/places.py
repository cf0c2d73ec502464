"""Files in the folders input, output and temp, as requests name them."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from nodegraph.folders import Folders
from nodegraph.names import UnsafeName, inside, readable

from .answers import Refused, bad_request, not_found

PLACES = ("input", "output", "temp")


def place_of(name: str, default: str) -> str:
    """input, output or temp; the default for "". Refused (400)."""
    place = name or default
    if place not in PLACES:
        raise bad_request("The type is wrong", f"expected one of {', '.join(PLACES)}, not {name!r}")
    return place


def find(folders: Folders, filename: str, place: str, subfolder: str = "") -> Path:
    """Where a file is, all links followed. Reads the disk.

    filename:  may say where it is itself, `x.png [temp]`, and have folders in it.
    subfolder: under the folder called `place`.

    Refused: 400 for a bad name or place, 403 for what leads out of the folder, 404 for a file that
    is not there, as which hidden ones count.
    """
    filename, place = annotated(filename, place)
    if not filename:
        raise bad_request("The filename is missing", "say which file is meant")
    root = folders.folder(place_of(place, "output"))
    relative = _subfolder(subfolder) / _relative(filename, 400, "filename")
    path = root / relative
    if not inside(path, root):
        raise _outside(403, f"{relative} is not inside the {place} folder")
    if not os.path.isfile(path):
        raise not_found("There is no such file", f"{relative} is not in the {place} folder")
    return Path(os.path.realpath(path))


def annotated(filename: str, place: str) -> tuple[str, str]:
    """The name and the place of `x.png [place]`; both as they are where nothing is said."""
    match = re.fullmatch(rf"(.*\S)\s*\[({'|'.join(PLACES)})\]", filename, re.DOTALL)
    return (match[1], match[2]) if match else (filename, place)


def trimmed(folder: str) -> str:
    """A folder's name without slashes at its end; "" for the folder that it starts from."""
    return "" if folder == "." else re.sub(r"(?<=[^/\\])[/\\]+$", "", folder)


def _subfolder(name: str) -> PurePosixPath:
    name = trimmed(name)
    return _relative(name, 403, "subfolder") if name else PurePosixPath()


def _relative(name: str, status: int, field: str) -> PurePosixPath:
    try:
        return readable(name)
    except UnsafeName as error:
        parts = re.split(r"[/\\]", name)
        if ".." not in parts and any(part[:1] == "." and part != "." for part in parts):
            raise not_found("There is no such file", f"{field}: {error}") from None
        raise _outside(status, f"{field}: {error}") from None


def _outside(status: int, details: str) -> Refused:
    return Refused(status, "unsafe_name", "The file cannot be asked for", details)
