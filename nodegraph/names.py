"""Names of files that come from outside, kept inside the folder they are for.

safe_relative   what may be read: a path that stays in its folder
readable        what a stranger may ask for: also no hidden file, device or control character
portable        what a stranger may write: usable on every platform as well
clean           any file name made portable
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path, PurePosixPath

from .errors import FileMissing

MAX_NAME = 255  # bytes of one part in UTF-8, which no common file system takes more of
MAX_PATH = 2000  # bytes of a whole path
MAX_CLEAN = 200  # bytes; leaves room for a counter and for a hidden name beside it
MAX_SUFFIX = 32  # bytes; what is longer is no suffix

FORBIDDEN = '<>:"|?*'  # in names on Windows
# Control characters, marks that turn the reading direction and can make x.gpj.exe look like
# x.exe.jpg, ends of lines, and halves of characters, which UTF-8 cannot write.
INVISIBLE = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
# Devices of Windows, whatever suffix follows. NFKC has turned the superscript digits into 1 2 3.
DEVICES = re.compile(r"CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9]|CONIN\$|CONOUT\$")


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


def portable(name: str) -> PurePosixPath:
    """A name, with `/` or `\\`, as a relative path whose parts are usable on every platform.

    UnsafeName if it leads out of its folder, or if a part of it is empty, hidden, too long, a
    device of Windows, ends in a dot or space, or has a character that some platform refuses.
    """
    return _strict(name, FORBIDDEN)


def readable(name: str, *, windows: bool = os.name == "nt") -> PurePosixPath:
    """The same for a file that may be there already: where files may have `<>:"|?*` in their
    names, it may be asked for.
    """
    return _strict(name, FORBIDDEN if windows else "")


def clean(name: str) -> str:
    """Any text as the name of a file that is portable and has at most 200 bytes.

    What is not portable becomes `_`; dots and spaces at the end go. The suffix is kept.
    """
    name = re.sub(f"[{INVISIBLE}{FORBIDDEN}/\\\\]", "_", name).rstrip(". ")
    # Cut short, it may have become a device: there was a space where the cut is.
    return _plain(_shortened(_plain(name)))


def _plain(name: str) -> str:
    """The name with `_` before it if it is empty, hidden or a device."""
    return f"_{name}" if not name or name.startswith(".") or _device(name) else name


def _shortened(name: str) -> str:
    if len(name.encode()) <= MAX_CLEAN:
        return name
    stem, dot, suffix = name.rpartition(".")
    ending = dot + suffix
    if not stem or len(ending.encode()) > MAX_SUFFIX:
        stem, ending = name, ""
    head = stem.encode()[: MAX_CLEAN - len(ending.encode())].decode(errors="ignore")
    return head.rstrip(" ") + ending if ending else head.rstrip(". ")


def _strict(name: str, forbidden: str) -> PurePosixPath:
    slashed = name.replace("\\", "/")
    if slashed.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise UnsafeName(f"{_shown(name)} is no relative path: give a name inside the folder")
    if len(name.encode(errors="replace")) > MAX_PATH:
        raise UnsafeName(f"{_shown(name)} is too long: a path may have {MAX_PATH} bytes")
    for part in slashed.split("/"):
        fault = _fault(part, forbidden)
        if fault:
            raise UnsafeName(f"{_shown(name)} cannot be the name of a file: {fault}")
    return PurePosixPath(slashed)


def _fault(part: str, forbidden: str) -> str:
    """What is wrong with one part of a path; "" if nothing is."""
    if not part:
        return "it is empty, or a part of it is"
    if part == "..":
        return "it leads out of its folder with .."
    if part.startswith("."):
        return "a part of it begins with a dot"
    if part.endswith((".", " ")):
        return "a part of it ends with a dot or a space"
    if found := re.search(f"[{INVISIBLE}{forbidden}]", part):
        return f"it has {found[0]!a} in it"
    if len(part.encode()) > MAX_NAME:
        return f"a part of it is longer than {MAX_NAME} bytes"
    if _device(part):
        return f"{_shown(part)} is a device on Windows"
    return ""


def _device(part: str) -> bool:
    stem = unicodedata.normalize("NFKC", part.partition(".")[0])
    return DEVICES.fullmatch(stem.rstrip().upper()) is not None


def _shown(name: str) -> str:
    return ascii(name if len(name) <= 80 else f"{name[:80]}...")
