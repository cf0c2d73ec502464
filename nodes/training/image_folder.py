"""A folder of pictures with captions beside, as Hugging Face's `imagefolder` lays it out.

    cat.png  cat.txt                 a caption beside the picture
    cat_mask.png                     a hint beside it: mask, edges, segmentation, depth ...
    metadata.jsonl (or .csv)         a row a picture: file_name, text, and further columns
    tabby/cat.png                    the folder's name is its class

Where a folder has metadata, the pictures in it and below are those that are named there. Columns:
`text` or `caption`; `label` or `class`; a column that names a picture is a hint, called as the
column without `_file_name` or `_image` ("conditioning_image" is the hint "conditioning").
https://huggingface.co/docs/datasets/image_dataset
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from nodes.training.dataset import Entry, Listing, Problem

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif")
METADATA = ("metadata.jsonl", "metadata.csv")
TEXT, LABEL = ("text", "caption"), ("label", "class")
BESIDE = (
    "mask",
    "silhouette",
    "edges",
    "segmentation",
    "depth",
    "normals",
    "scribble",
    "pose",
    "conditioning",
)
SPLITS = ("train", "training", "validation", "valid", "val", "test")  # folders that are no class
LOOKED_FOR = (
    f"pictures ({', '.join(PICTURES)}) with captions in .txt files of the same name, "
    f"or in {' or '.join(METADATA)}"
)


def read_image_folder(folder: Path) -> Listing:
    """What the folder and those below hold. Hidden names are passed over."""
    found = _Found(folder)
    for path, names in _walk(folder):
        found.take(path, names)
    return Listing(found.entries, found.problems, LOOKED_FOR)


@dataclass
class _Found:
    """What was found so far; `covered` are folders that have metadata."""

    root: Path
    entries: list[Entry] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    covered: set[Path] = field(default_factory=set)
    named: set[str] = field(default_factory=set)

    def take(self, folder: Path, names: list[str]) -> None:
        metadata = [name for name in METADATA if name in names]
        if metadata:
            self.covered.add(folder)
            self._read_metadata(folder / metadata[0])
        pictures = {name for name in names if name.lower().endswith(PICTURES)}
        if any(parent in self.covered for parent in (folder, *folder.parents)):
            self._unnamed(folder, pictures)
        else:
            self._read_pictures(folder, pictures)

    def problem(self, path: Path, reason: str) -> None:
        self.problems.append(Problem(self._name(path), reason))

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    # -- captions beside ---------------------------------------------------------------------------

    def _read_pictures(self, folder: Path, pictures: set[str]) -> None:
        beside = _beside(pictures)
        hints = {hint for several in beside.values() for hint in several.values()}
        in_class = folder != self.root and folder.name.lower() not in SPLITS
        for name in sorted(pictures - hints):
            path = folder / name
            self.entries.append(
                Entry(
                    name=self._name(path),
                    image=path,
                    caption=self._caption(path.with_suffix(".txt")),
                    label=folder.name if in_class else None,
                    hints={kind: folder / other for kind, other in beside.get(name, {}).items()},
                )
            )

    def _caption(self, path: Path) -> str:
        try:
            return " ".join(path.read_text(encoding="utf-8-sig").split())
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            self.problem(path, f"the caption cannot be read: {error}")
            return ""

    # -- metadata ----------------------------------------------------------------------------------

    def _read_metadata(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            self.problem(path, f"it cannot be read: {error}")
            return
        for line, row in _rows(path, text):
            reason = row if isinstance(row, str) else self._read_row(path.parent, row)
            if reason:
                self.problem(path, f"line {line}: {reason}")

    def _read_row(self, folder: Path, row: Mapping[str, Any]) -> str:
        """Takes in a row; gives what is wrong with it, or nothing."""
        name = row.get("file_name")
        if not isinstance(name, str) or not name:
            return "it has no file_name"
        path, reason = self._inside(folder, name)
        if path is None:
            return reason
        if self._name(path) in self.named:
            return f"{name!r} was named before"
        hints, lost = self._hints(folder, row)
        self.named.add(self._name(path))
        self.named.update(self._name(hint) for hint in hints.values())
        self.entries.append(
            Entry(self._name(path), path, _text(row, TEXT), _text(row, LABEL) or None, hints)
        )
        return "; ".join(lost)

    def _hints(self, folder: Path, row: Mapping[str, Any]) -> tuple[dict[str, Path], list[str]]:
        """The row's further pictures by name, and what is wrong with those left out."""
        hints: dict[str, Path] = {}
        lost: list[str] = []
        for column, value in sorted(row.items()):
            named = isinstance(value, str) and value.lower().endswith(PICTURES)
            if not named or column == "file_name" or column in (*TEXT, *LABEL):
                continue
            path, reason = self._inside(folder, value)
            if path is None:
                lost.append(f"{column}: {reason}")
            else:
                hints[column.removesuffix("_file_name").removesuffix("_image")] = path
        return hints, lost

    def _inside(self, folder: Path, name: str) -> tuple[Path | None, str]:
        """The file a row names, or what is wrong with it: no row leads out of the data set."""
        relative = PurePosixPath(name.replace("\\", "/"))
        path = folder / relative
        if relative.is_absolute() or ".." in relative.parts or "\0" in name:
            return None, f"{name!r} leads out of the folder"
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.root)):
            return None, f"{name!r} leads out of the folder"
        if not path.is_file():
            return None, f"there is no file {name!r}"
        return path, ""

    def _unnamed(self, folder: Path, pictures: set[str]) -> None:
        for name in sorted(pictures):
            if self._name(folder / name) not in self.named:
                self.problem(folder / name, "the metadata does not name it")


def _walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Folders, those above first, and the names of their files, sorted; hidden ones left out."""
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield Path(folder), sorted(name for name in names if not name.startswith("."))


def _beside(pictures: set[str]) -> dict[str, dict[str, str]]:
    """For each picture the hints beside it: {"cat.jpg": {"mask": "cat_mask.png"}}."""
    by_stem = {os.path.splitext(name)[0]: name for name in sorted(pictures, reverse=True)}
    found: dict[str, dict[str, str]] = {}
    for name in sorted(pictures):
        stem, _, kind = os.path.splitext(name)[0].rpartition("_")
        if kind in BESIDE and stem in by_stem:
            found.setdefault(by_stem[stem], {})[kind] = name
    return found


def _rows(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    """(line, row), or (line, what is wrong with it)."""
    if path.suffix == ".csv":
        yield from enumerate(csv.DictReader(io.StringIO(text)), start=2)
        return
    for line, said in enumerate(text.split("\n"), start=1):
        if not said.strip():
            continue
        try:
            row = json.loads(said)
        except ValueError as error:
            yield line, f"it is no JSON: {error}"
            continue
        yield line, row if isinstance(row, dict) else "it is no JSON object"


def _text(row: Mapping[str, Any], columns: tuple[str, ...]) -> str:
    """The first of the columns that says something, in one line."""
    for column in columns:
        value = row.get(column)
        if value is not None and not isinstance(value, (dict, list)):
            return " ".join(str(value).split())
    return ""
