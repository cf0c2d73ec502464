"""Examples chosen by their captions."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from nodes.training.dataset import Dataset, DatasetError

SHOWN = 3


def rows_of(dataset: Dataset, patterns: Sequence[str]) -> tuple[list[int], list[str]]:
    """(the rows whose caption in lower case fits one of the patterns, the patterns none fits).

    patterns: in lower case, with `*` for any characters and `?` for one.
    Raises DatasetError where there are no patterns, or nothing fits any.
    """
    if not patterns:
        raise DatasetError("none are given: write one a line, or * for all")
    captions = [example.caption.lower() for example in dataset.examples]
    exact = {pattern for pattern in patterns if not set("*?[") & set(pattern)}
    loose = [pattern for pattern in dict.fromkeys(patterns) if pattern not in exact]
    fits = [[fnmatchcase(caption, pattern) for pattern in loose] for caption in captions]
    rows = [row for row, caption in enumerate(captions) if caption in exact or any(fits[row])]
    if not rows:
        raise DatasetError(
            f"no example of {dataset.name or 'the data set'} has {listed(patterns)}; its captions "
            f"are like {listed(dataset.captions)}"
        )
    used = set(captions) | {p for row in fits for p, fit in zip(loose, row, strict=True) if fit}
    return rows, [pattern for pattern in dict.fromkeys(patterns) if pattern not in used]


def listed(texts: Sequence[str]) -> str:
    """The first few in quotes, and how many more there are."""
    named = ", ".join(repr(text) for text in texts[:SHOWN])
    more = len(texts) - SHOWN
    return f"{named} and {more} more" if more > 0 else named
