"""The files and settings of the one user there is, in a folder of the server's.

Everything here reads or writes the disk: call it in a thread.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from nodegraph.names import UnsafeName, inside, portable
from nodegraph.settings import Settings

from .answers import Refused, bad_request, not_found
from .bodies import MAX_DEPTH, deeper_than, parse_json, too_large
from .places import trimmed
from .storing import DEEPEST, beside, candidates, refusing
from .versions import Version, Versions

MAX_FILES = 100_000
SETTINGS = "settings.json"
VERSIONED = "workflows"  # the folder whose files keep what they held before
ANY = "*"  # among etags: whatever there is
TICK = 1_000  # nanoseconds that two contents of a file are apart at least
HIDDEN = re.compile(r"(^|[/\\])\.(?=[^./\\])")  # the dot of a name like `.index.json`

Match: TypeAlias = Collection[str] | None

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UserFile:
    """A file or folder. path: from the folder that was listed, with `/`; times in seconds.

    etag: another one for each content that the file has had, as HTTP has it, without the quotes.
    """

    path: str
    size: int
    modified: float
    created: float
    folder: bool = False
    etag: str = ""

    @classmethod
    def of(cls, path: Path, start: Path) -> UserFile:
        """Raises OSError."""
        found, folder = path.lstat(), path.is_dir()
        size = 0 if folder else found.st_size
        name = path.relative_to(start).as_posix()
        etag = f"{found.st_mtime_ns:x}-{found.st_size:x}"  # as aiohttp makes it
        return cls(name, size, found.st_mtime, found.st_ctime, folder, etag)

    def as_json(self) -> dict[str, Any]:
        """The row of GET /userdata with full_info."""
        times = {"modified": self.modified, "created": self.created}
        return {"path": self.path, "size": self.size, **times, "etag": self.etag}


class UserFiles:
    """The user's files. Safe with threads; there is one for a folder.

    root:      their folder, made when something is written.
    max_bytes: of a file. max_files: how many files and folders there may be.

    What asks for a file raises Refused: 400 for a name that is none on every system, 403 for one
    that leads out of the folder over a link, 404 for a file that is not there; what writes, 507
    where the disk refuses or there are too many, and 412 where the file has none of the etags in
    `match` (None: it may have any, or not be there; ANY: it must be there).

    What a file in the folder `workflows` held before it was written anew or deleted is kept.
    """

    def __init__(self, root: Path, max_bytes: int, max_files: int = MAX_FILES) -> None:
        self.root = root
        self.max_bytes = max_bytes
        self.max_files = max_files
        self.versions = Versions(root.with_name(f"{root.name}.versions"))
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

    def write(
        self, name: str, content: bytes, *, overwrite: bool = True, match: Match = None
    ) -> UserFile:
        """Write a file, whole or not at all. Refused (409) if it is there and may not be."""
        path = self._path(name)
        with self._changing(name):
            self._check(path, name, match)
            self._make_room(path, name, overwrite=overwrite)
            with beside(path.parent, content) as hidden:
                self._keep(path, unless=content)
                _date_after(hidden, path)
                os.replace(hidden, path)
            return UserFile.of(path, self.root)

    def delete(self, name: str, *, match: Match = None) -> None:
        """Remove a file."""
        with self._changing(name):
            path = self.find(name)
            self._check(path, name, match)
            self._keep(path)
            path.unlink()
            self._count = self._counted() - 1
            self.versions.forget([file.path for file in self.deleted("")])

    def move(self, name: str, to: str, *, overwrite: bool = True, match: Match = None) -> UserFile:
        """Give a file another name. Refused (409) if one is there and may not be replaced.

        What it held before goes with it.
        """
        with self._changing(to):
            source, path = self.find(name), self._path(to)
            self._check(source, name, match)
            if source != path:
                self._make_room(path, to, overwrite=overwrite)
                path.parent.mkdir(parents=True, exist_ok=True)
                self._keep(path)
                os.replace(source, path)
                self._count = self._counted() - 1
                if self._versioned(source) and self._versioned(path):
                    self.versions.move(self._named(source), self._named(path))
            return UserFile.of(path, self.root)

    # -- versions -----------------------------------------------------------------------------

    def history(self, name: str) -> Sequence[Version]:
        """What a file held before, the newest first; also of one that was deleted."""
        path = self._path(name)
        with self._lock:
            found = self.versions.of(self._named(path)) if self._versioned(path) else []
        if not found:
            self.find(name)
        return found

    def version(self, name: str, id: str) -> Path:
        """Where an earlier content is."""
        path = self._path(name)
        found = self.versions.find(self._named(path), id) if self._versioned(path) else None
        if found is None:
            raise not_found("There is no such version", f"{name}: {id}")
        return found

    def restore(self, name: str, id: str, *, match: Match = None) -> UserFile:
        """Write an earlier content once more; what the file holds now becomes a version."""
        with self._changing(name):
            return self.write(name, self.version(name, id).read_bytes(), match=match)

    def deleted(self, folder: str) -> Sequence[UserFile]:
        """The files that are gone and can be restored, as they were last, under a folder."""
        start = trimmed(folder)
        within = self._named(self._path(start)) + "/" if start else ""
        found = [
            UserFile(name, last.size, last.modified, last.modified, etag=last.id)
            for name in self.versions.names()
            if name.startswith(within) and not os.path.lexists(self.root / name)
            for last in self.versions.of(name)[:1]
        ]
        return sorted(found, key=lambda file: file.modified, reverse=True)

    def _keep(self, path: Path, unless: bytes | None = None) -> None:
        """Make what a file holds now a version, unless it holds just this."""
        if not self._versioned(path) or not path.is_file():
            return
        if unless is None or path.stat().st_size != len(unless) or path.read_bytes() != unless:
            self.versions.keep(self._named(path), path)

    def _named(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _versioned(self, path: Path) -> bool:
        parts = path.relative_to(self.root).parts
        hidden = any(part.startswith(".") for part in parts)
        return len(parts) > 1 and parts[0] == VERSIONED and not hidden

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

    def _check(self, path: Path, name: str, match: Match) -> None:
        """Refused (412) unless the file has one of these etags."""
        if match is None:
            return
        if not os.path.isfile(path):
            raise Refused(412, "changed", "The file is no longer there", name)
        file = UserFile.of(path, self.root)
        if ANY not in match and file.etag not in match:
            message = "Somebody else has written the file meanwhile"
            raise Refused(412, "changed", message, name, extra=file.as_json())

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


def _date_after(path: Path, other: Path) -> None:
    """Make sure that a file is newer than another, so that their etags differ."""
    with suppress(OSError):
        earliest = other.stat().st_mtime_ns + TICK
        now = max(time.time_ns(), earliest)
        os.utime(path, ns=(now, now))


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
