"""What a plugin's code is, as one hash: of all files in its folder, by content.

It is part of the key of every step of the plugin's nodes, so that a change of the code, of the
manifest, or of a table beside them leaves no old result in use.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from nodegraph.errors import PluginError

LARGE = 64 << 20  # bytes: beyond that a file counts by its size and time, or starting would be slow


def code_hash(folder: Path) -> str:
    """The hash of a plugin's files; hidden ones and Python's own caches do not count.

    Raises PluginError where one cannot be read.
    """
    digest = hashlib.blake2b(digest_size=20)
    try:
        for path in _files(folder):
            name = path.relative_to(folder).as_posix().encode()
            content = _content(path)
            digest.update(b"%d %d " % (len(name), len(content)) + name + content)
    except OSError as error:
        raise PluginError(f"{error.filename or folder} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if _counts(name))
        yield from (Path(place, name) for name in sorted(names) if _counts(name))


def _counts(name: str) -> bool:
    return not name.startswith(".") and name != "__pycache__" and not name.endswith(".pyc")


def _content(path: Path) -> bytes:
    status = path.stat()
    if status.st_size > LARGE:
        return b"%d %d" % (status.st_size, status.st_mtime_ns)
    return path.read_bytes() if path.is_file() else b""
