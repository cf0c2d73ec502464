"""What is learned from: pictures with captions, and what goes with them.

A reader (see `image_folder`) says what a folder holds, as entries; `read_dataset` opens every
picture once and makes a Dataset of those that can be decoded. What cannot is listed, and the rest
is used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from nodes.training.chance import Chance
from nodes.training.looking import Looker, Seen, Source

__all__ = [
    "Dataset",
    "DatasetError",
    "Entry",
    "Example",
    "Listing",
    "Problem",
    "Reader",
    "Source",
    "digest",
    "of_listing",
    "read_dataset",
]

SHOWN = 5  # problems that a message names


class DatasetError(Exception):
    """A data set cannot be read, is empty, or lacks what is asked of it."""


@dataclass(frozen=True)
class Entry:
    """A picture and what its folder says about it; nothing was opened yet.

    name: its path in the folder, with `/`. hints: pictures beside, by what they are ("mask").
    """

    name: str
    image: Source
    caption: str = ""
    label: str | None = None
    hints: Mapping[str, Source] = field(default_factory=dict)


@dataclass(frozen=True)
class Problem:
    """What is wrong with a file of a data set; the file is left out."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


@dataclass(frozen=True)
class Listing:
    """What a reader found; `looked_for` says it in words, for whoever finds nothing."""

    entries: Sequence[Entry]
    problems: Sequence[Problem] = ()
    looked_for: str = "pictures"


Reader = Callable[[Path], Listing]
"""Reads one layout of a folder. Its entries are used in the order of their names."""


@dataclass(frozen=True)
class Example:
    """A picture that can be decoded.

    size:    (width, height) in pixels, the way up it is seen.
    picture: hash of the image's file. key: of all of it: image, caption, label, hints.
    """

    name: str
    image: Source
    caption: str
    size: tuple[int, int]
    picture: str
    label: str | None = None
    hints: Mapping[str, Source] = field(default_factory=dict)
    key: str = ""

    def hint(self, name: str) -> Source:
        """The source of a hint. Raises DatasetError where there is none."""
        if name not in self.hints:
            has = ", ".join(self.hints) or "none"
            raise DatasetError(f"{self.name} has no hint {name!r}; it has {has}")
        return self.hints[name]


@dataclass(frozen=True)
class Dataset:
    """Examples in a fixed order, and what was wrong with the files that are left out."""

    examples: tuple[Example, ...]
    name: str = ""
    problems: tuple[Problem, ...] = ()

    def __len__(self) -> int:
        return len(self.examples)

    @cached_property
    def identity(self) -> str:
        """A hash of everything that is learned from: equal data, equal identity, anywhere."""
        return digest([example.key for example in self.examples])

    @cached_property
    def pictures(self) -> str:
        """A hash of the images alone."""
        return digest([example.picture for example in self.examples])

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The classes, sorted; a label's number is its place here."""
        return tuple(sorted({e.label for e in self.examples if e.label is not None}))

    @cached_property
    def label_numbers(self) -> tuple[int, ...]:
        """The number of each example's label. Raises DatasetError where one has none."""
        place = {label: number for number, label in enumerate(self.labels)}
        for example in self.examples:
            if example.label is None:
                raise DatasetError(
                    f"{example.name} has no class: put pictures into a folder for each class, or "
                    "name classes in the column label of metadata.jsonl"
                )
        return tuple(place[e.label] for e in self.examples if e.label is not None)

    @cached_property
    def captions(self) -> tuple[str, ...]:
        """The distinct captions, in the order they come."""
        return tuple(dict.fromkeys(example.caption for example in self.examples))

    @cached_property
    def hints(self) -> tuple[str, ...]:
        """The hints that every example has."""
        if not self.examples:
            return ()
        first, *others = self.examples
        return tuple(name for name in first.hints if all(name in e.hints for e in others))

    def take(self, rows: Iterable[int], name: str = "") -> Dataset:
        """Some of the examples, in the order given."""
        chosen = tuple(self.examples[row] for row in rows)
        return Dataset(chosen, name or self.name, self.problems)

    def split(self, share: float, seed: int) -> tuple[Dataset, Dataset]:
        """(training, validation): a seeded choice of `share` of the examples is kept aside.

        At least one example each, where share is neither 0 nor 1. Both keep the order there was.
        """
        count = len(self)
        aside = round(count * share)
        if 0 < share < 1 and count > 1:
            aside = min(max(aside, 1), count - 1)
        chosen = set(_shuffled(count, seed)[:aside])
        kept = [row for row in range(count) if row not in chosen]
        return (
            self.take(kept, f"{self.name} (training)"),
            self.take(sorted(chosen), f"{self.name} (validation)"),
        )

    def sample(self, count: int, seed: int) -> Dataset:
        """A seeded choice of `count` examples, or all of them, in the order there was."""
        return self if count >= len(self) else self.take(sorted(_shuffled(len(self), seed)[:count]))

    def with_hint(self, name: str, sources: Sequence[Source], keys: Sequence[str]) -> Dataset:
        """A further hint for each example; `keys` are hashes of what the pictures hold."""
        made = [
            replace(
                example,
                hints={**example.hints, name: source},
                key=digest([example.key, name, key]),
            )
            for example, source, key in zip(self.examples, sources, keys, strict=True)
        ]
        return replace(self, examples=tuple(made))


def read_dataset(
    folder: Path, reader: Reader, looker: Looker | None = None, name: str = ""
) -> Dataset:
    """The data set in a folder. Pictures that cannot be decoded are among its problems.

    Raises DatasetError where no picture is left; it says what was looked for.
    """
    if not folder.is_dir():
        raise DatasetError(f"there is no folder {folder.name!r}")
    return of_listing(reader(folder), name or folder.name, looker)


def of_listing(listing: Listing, name: str, looker: Looker | None = None) -> Dataset:
    """The data set of what a reader found. Raises DatasetError where no picture is left."""
    looker = looker or Looker()
    entries = sorted(listing.entries, key=lambda entry: entry.name)
    seen = looker.look([source for e in entries for source in (e.image, *e.hints.values())])
    problems = list(listing.problems)
    examples = [_example(entry, seen, problems) for entry in entries]
    found = tuple(example for example in examples if example is not None)
    if not found:
        raise DatasetError(_nothing_left(listing, name, problems))
    return Dataset(found, name, tuple(problems))


def digest(parts: Any) -> str:
    """A hash of plain data, 40 hexadecimal digits."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()


def _example(entry: Entry, seen: Mapping[Source, Seen], problems: list[Problem]) -> Example | None:
    """The example of an entry, without hints that are broken; None if its image is."""
    image = seen[entry.image]
    if image.fault:
        problems.append(Problem(entry.name, image.fault))
        return None
    hints = {name: source for name, source in entry.hints.items() if not seen[source].fault}
    problems += [
        Problem(entry.name, f"its hint {name!r}: {seen[source].fault}")
        for name, source in entry.hints.items()
        if seen[source].fault
    ]
    parts = [entry.caption, entry.label, image.hash, {n: seen[s].hash for n, s in hints.items()}]
    return Example(
        name=entry.name,
        image=entry.image,
        caption=entry.caption,
        size=(image.width, image.height),
        picture=image.hash,
        label=entry.label,
        hints=hints,
        key=digest(parts),
    )


def _nothing_left(listing: Listing, name: str, problems: Sequence[Problem]) -> str:
    if not problems:
        return f"the data set {name!r} is empty: looked for {listing.looked_for}"
    shown = "; ".join(map(str, problems[:SHOWN]))
    more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return (
        f"nothing in the data set {name!r} can be used ({shown}{more}): "
        f"looked for {listing.looked_for}"
    )


def _shuffled(count: int, seed: int) -> list[int]:
    generator = Chance(seed).generator("split")
    return list(torch.randperm(count, generator=generator).tolist())
