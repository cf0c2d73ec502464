"""The files and settings of the one user there is, in a folder of the server's.

Everything here reads or writes the disk: call it in a thread.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodegraph.names import UnsafeName, inside, portable
from nodegraph.settings import Settings

from .answers import Refused, bad_request, not_found
from .bodies import MAX_DEPTH, deeper_than, parse_json, too_large
from .places import trimmed
from .storing import DEEPEST, beside, candidates, refusing

MAX_FILES = 100_000
SETTINGS = "settings.json"
HIDDEN = re.compile(r"(^|[/\\])\.(?=[^./\\])")  # the dot of a name like `.index.json`

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UserFile:
    """A file or folder. path: from the folder that was listed, with `/`; times in seconds."""

    path: str
    size: int
    modified: float
    created: float
    folder: bool = False

    @classmethod
    def of(cls, path: Path, start: Path) -> UserFile:
        """Raises OSError."""
        found, folder = path.lstat(), path.is_dir()
        size = 0 if folder else found.st_size
        name = path.relative_to(start).as_posix()
        return cls(name, size, found.st_mtime, found.st_ctime, folder)

    def as_json(self) -> dict[str, Any]:
        """The row of GET /userdata with full_info."""
        times = {"modified": self.modified, "created": self.created}
        return {"path": self.path, "size": self.size, **times}


class UserFiles:
    """The user's files. Safe with threads; there is one for a folder.

    root:      their folder, made when something is written.
    max_bytes: of a file. max_files: how many files and folders there may be.

    What asks for a file raises Refused: 400 for a name that is none on every system, 403 for one
    that leads out of the folder over a link, 404 for a file that is not there; what writes, 507
    where the disk refuses or there are too many.
    """

    def __init__(self, root: Path, max_bytes: int, max_files: int = MAX_FILES) -> None:
        self.root = root
        self.max_bytes = max_bytes
        self.max_files = max_files
        self._lock = threading.RLock()
        self._count: int | None = None  # files and folders; None: not counted yet

    @classmethod
    def of(cls, settings: Settings) -> UserFiles:
        return cls(settings.state / "user" / "default", settings.max_document_bytes)

    # -- looking ------------------------------------------------------------------------------

    def find(self, name: str) -> Path:
        """Where a file is."""
        path = self._path(name)
        if not os.path.isfile(path):
            raise not_found("There is no such file", name)
        return path

    def list(self, folder: str, *, recurse: bool = False) -> list[UserFile]:
        """What is in a folder, or with all that is in its folders; "" is the whole.

        Hidden files are left out, and links, wherever they lead.
        """
        path = self._path(folder) if trimmed(folder) else self.root
        if not os.path.isdir(path):
            if path == self.root:
                return []
            raise not_found("There is no such folder", folder)
        found: list[UserFile] = []
        for each in _inside(path, recurse, hidden=False):
            with suppress(OSError):  # it was deleted meanwhile
                found.append(UserFile.of(each, path))
        return sorted(found, key=lambda file: file.path)

    # -- writing ------------------------------------------------------------------------------

    def write(self, name: str, content: bytes, *, overwrite: bool = True) -> UserFile:
        """Write a file, whole or not at all. Refused (409) if it is there and may not be."""
        path = self._path(name)
        with self._changing(name):
            self._make_room(path, name, overwrite=overwrite)
            with beside(path.parent, content) as hidden:
                os.replace(hidden, path)
            return UserFile.of(path, self.root)

    def delete(self, name: str) -> None:
        """Remove a file."""
        with self._changing(name):
            self.find(name).unlink()
            self._count = self._counted() - 1

    def move(self, name: str, to: str, *, overwrite: bool = True) -> UserFile:
        """Give a file another name. Refused (409) if one is there and may not be replaced."""
        with self._changing(to):
            source, path = self.find(name), self._path(to)
            if source != path:
                self._make_room(path, to, overwrite=overwrite)
                path.parent.mkdir(parents=True, exist_ok=True)
                os.replace(source, path)
                self._count = self._counted() - 1
            return UserFile.of(path, self.root)

    # -- settings -----------------------------------------------------------------------------

    def settings(self) -> dict[str, Any]:
        """The settings; {} if there are none, or if the file does not hold any."""
        with self._lock:
            return self._settings() or {}

    def change_settings(self, changes: Mapping[str, Any]) -> None:
        """Set some settings. A file that holds no settings is kept under another name."""
        with self._lock:
            settings = self._settings()
            changed = {**(settings or {}), **changes}
            if deeper_than(changed, MAX_DEPTH):
                details = f"lists and objects may stand in each other {MAX_DEPTH} deep"
                raise bad_request("The setting is nested too deep", details)
            text = json.dumps(changed, indent=1).encode()
            if len(text) > self.max_bytes:
                raise too_large(self.max_bytes)
            if settings is None:
                self._put_aside()
            self.write(SETTINGS, text)

    def _settings(self) -> dict[str, Any] | None:
        """The settings, {} where there is no file, None if what it holds are none."""
        try:
            with self._path(SETTINGS).open("rb") as file:
                text = file.read(self.max_bytes + 1)
        except FileNotFoundError:
            return {}
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise Refused(507, "storage", "The settings cannot be read", reason) from error
        try:
            settings = parse_json(text)
        except Refused:
            return None
        return settings if isinstance(settings, dict) and len(text) <= self.max_bytes else None

    def _put_aside(self) -> None:
        names = candidates("settings.unreadable.json")
        name = next(name for name in names if not os.path.lexists(self.root / name))
        self.move(SETTINGS, name)
        log.warning("%s did not hold settings; it is kept as %s", SETTINGS, name)

    # -- names and numbers --------------------------------------------------------------------

    def _path(self, name: str) -> Path:
        if re.search("%[0-9A-Fa-f]{2}", name):
            details = f"{name!r} has an encoded character left in it: encode it once"
            raise bad_request("The name is encoded twice", details)
        name = trimmed(name)
        try:
            # Clients keep an index in a hidden file, which may be called as any other may.
            relative = portable(HIDDEN.sub(r"\1", name))
        except UnsafeName as error:
            raise bad_request("The name cannot be used", str(error)) from None
        if len(relative.parts) > DEEPEST:
            raise bad_request("The name is too deep", f"it may have {DEEPEST} parts")
        path = self.root / name.replace("\\", "/")
        if not inside(path, self.root):
            raise Refused(403, "outside", "The name leads out of the user's folder", name)
        return path

    def _make_room(self, path: Path, name: str, *, overwrite: bool) -> None:
        """Make sure that a file may be put there, and count it."""
        if os.path.lexists(path):
            if not overwrite:
                raise Refused(409, "exists", "There is such a file already", name)
            return
        folders = [parent for parent in path.parents if parent.is_relative_to(self.root)]
        new = 1 + sum(not os.path.exists(parent) for parent in folders)
        if self._counted() + new > self.max_files:
            details = f"there may be {self.max_files:,}: delete some"
            raise Refused(507, "storage", "There are too many files", details)
        self._count = self._counted() + new

    def _counted(self) -> int:
        if self._count is None:
            self._count = sum(1 for _ in _inside(self.root, recurse=True, hidden=True))
        return self._count

    @contextmanager
    def _changing(self, name: str) -> Iterator[None]:
        with refusing(name), self._lock:
            try:
                yield
            except OSError:  # who knows what is there now
                self._count = None
                raise


def _inside(folder: Path, recurse: bool, *, hidden: bool) -> Iterator[Path]:
    """The files and folders in a folder, without links. It does not recurse, however deep it is."""
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                found = [each for each in entries if hidden or not each.name.startswith(".")]
        except OSError:
            continue
        for entry in found:
            if entry.is_symlink():
                continue
            yield Path(entry.path)
            if recurse and entry.is_dir():
                waiting.append(Path(entry.path))
