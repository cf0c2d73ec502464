"""Walking through a folder of the user's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

Found = tuple[PurePosixPath, tuple[str, ...], tuple[str, ...]]


def walk(root: Path) -> Iterator[Found]:
    """(folder relative to the root, its folders, its files), sorted, links followed.

    Hidden names are left out, folders that cannot be read are passed over, and a link to a folder
    that is above it is not followed.
    """
    yield from _walk(root, PurePosixPath(), frozenset())


def files_under(root: Path) -> list[str]:
    """All files, as names relative to the root with `/`."""
    return [str(folder / name) for folder, _, files in walk(root) for name in files]


def _walk(folder: Path, name: PurePosixPath, above: frozenset[str]) -> Iterator[Found]:
    real = os.path.realpath(folder)
    if real in above:
        return
    folders, files = _entries(folder)
    yield name, folders, files
    for child in folders:
        yield from _walk(folder / child, name / child, above | {real})


def _entries(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    folders: list[str] = []
    files: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    folders.append(entry.name)
                elif entry.is_file():
                    files.append(entry.name)
    except OSError:
        return (), ()
    return tuple(sorted(folders)), tuple(sorted(files))
