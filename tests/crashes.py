"""Crashes at every point of what writes files, without a process that dies.

A `Fuse` counts the steps (file operations, and what a book is told). At the step where it blows,
the folder is remembered as it is, and `Crash` is raised; whatever the dying code still does to
clean up is undone afterwards, as a dead process would not have done it.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nodegraph.saving import Given


class Crash(BaseException):
    """The process is gone."""


@dataclass
class Pages:
    """What books have on their disk: (request, place, SHA-256s) of each name of each call."""

    rows: dict[str, tuple[str, str, int, tuple[str, ...]]] = field(default_factory=dict)


class PagesBook:
    """A book without a database. `step` is told before and after everything."""

    def __init__(
        self, pages: Pages, call: str = "job", step: Callable[[str], None] = lambda _: None
    ) -> None:
        self.pages = pages
        self.call = call
        self.step = step
        self.requests: Counter[str] = Counter()

    def request(self, what: str) -> str:
        self.requests[what] += 1
        return f"{what} {self.requests[what]}"

    def given(self, request: str) -> Sequence[Given]:
        rows = self.pages.rows.items()
        found = [(row[2], name, row[3]) for name, row in rows if row[:2] == (self.call, request)]
        return [Given(name, sha256s) for _, name, sha256s in sorted(found)]

    def give(self, request: str, names: Sequence[str]) -> None:
        self.step("before give")
        known = {each.name: each.sha256s for each in self.given(request)}
        kept = {n: row for n, row in self.pages.rows.items() if row[:2] != (self.call, request)}
        for place, name in enumerate(names):
            kept[name] = (self.call, request, place, known.get(name, ()))
        self.pages.rows = kept
        self.step("after give")

    def writing(self, name: str, sha256: str) -> None:
        self.step("before writing")
        call, request, place, sha256s = self.pages.rows[name]
        assert call == self.call
        self.pages.rows[name] = (call, request, place, (*sha256s, sha256))
        self.step("after writing")

    def give_up(self, name: str) -> None:
        self.step("before giving up")
        if self.pages.rows.get(name, ("",))[0] == self.call:
            del self.pages.rows[name]
        self.step("after giving up")


@dataclass
class Fuse:
    """Blows at the step number `at`, if there are so many. `steps`: those that were made."""

    root: Path
    pages: Pages
    at: int = -1
    steps: list[str] = field(default_factory=list)
    left: tuple[Any, Pages] | None = None

    def __call__(self, step: str) -> None:
        if self.left is not None:
            return
        if len(self.steps) == self.at:
            self.left = (remembered(self.root), deepcopy(self.pages))
            raise Crash(step)
        self.steps.append(step)

    @contextmanager
    def burning(self) -> Iterator[None]:
        """Runs a block to its end, or to the crash. The folder is then as the crash left it."""
        with pytest.MonkeyPatch.context() as patch:
            for module, name in (
                (os, "open"),
                (os, "link"),
                (os, "replace"),
                (os, "fsync"),
                (Path, "open"),
                (Path, "unlink"),
            ):
                patch.setattr(module, name, self._around(getattr(module, name), name))
            try:
                yield
            except Crash:
                assert self.left is not None
        if self.left is not None:
            files, pages = self.left
            restore(self.root, files)
            self.pages.rows = pages.rows

    def _around(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        def stepping(*args: Any, **kwargs: Any) -> Any:
            self(f"before {name}")
            result = call(*args, **kwargs)
            if hasattr(result, "close"):
                try:
                    self(f"after {name}")
                except Crash:
                    result.close()
                    raise
            else:
                self(f"after {name}")
            return result

        return stepping


def remembered(root: Path) -> list[tuple[Path, int, bytes]]:
    """All files, with their inodes: two names of one file stay that."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    found = []
    for path in files:
        with open(path, "rb") as file:
            found.append((path, path.stat().st_ino, file.read()))
    return found


def restore(root: Path, files: list[tuple[Path, int, bytes]]) -> None:
    """A folder as it was."""
    for entry in list(root.iterdir()):
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    first: dict[int, Path] = {}
    for path, inode, content in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        if inode in first:
            os.link(first[inode], path)
        else:
            path.write_bytes(content)
            first[inode] = path


def visible(root: Path) -> dict[str, bytes]:
    """The files that are not hidden, by name."""
    paths = (path for path in root.rglob("*") if path.is_file() and path.name[0] != ".")
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(paths)}
