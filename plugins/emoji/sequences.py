"""Which emoji there are, and what each is called: from the package `emoji`, after Unicode's CLDR.

A sequence is the characters of one emoji: 🐱, or 👩‍🚀, which is a woman, a joiner and a rocket.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nodes.imaging.optional import optional

JOINER, AS_PICTURE = "\u200d", "\ufe0f"
SKIN_TONES = frozenset(map(chr, range(0x1F3FB, 0x1F400)))
FLAG_LETTERS = frozenset(map(chr, (*range(0x1F1E6, 0x1F200), *range(0xE0020, 0xE0080))))
STYLE = "noto emoji of "


@dataclass(frozen=True)
class Emoji:
    """A sequence and its name, in small letters without punctuation ("red apple")."""

    sequence: str
    name: str

    @property
    def file(self) -> str:
        """A file's name without suffix: the code points."""
        return "-".join(f"{ord(c):x}" for c in self.sequence)


@dataclass(frozen=True)
class Wanted:
    """What is taken: one of each emoji, unless skin tones are; flags of countries or none."""

    skin_tones: bool = False
    flags: bool = False

    def __call__(self, sequence: str) -> bool:
        characters = set(sequence)
        return not (
            (not self.skin_tones and characters & SKIN_TONES)
            or (not self.flags and characters & FLAG_LETTERS)
        )


def known_emoji(wanted: Wanted) -> tuple[Emoji, ...]:
    """The emoji that the package knows, short sequences first. Raises LibraryMissing."""
    package = optional("emoji")
    return chosen(package.EMOJI_DATA, package.STATUS["fully_qualified"], wanted)


def names_version() -> str:
    """Of the package that the names are from. Raises LibraryMissing."""
    return str(optional("emoji").__version__)


def chosen(data: Mapping[str, Mapping[str, Any]], whole: int, wanted: Wanted) -> tuple[Emoji, ...]:
    """The wanted ones of the package's table; `whole` marks those that are written in full."""
    found = [
        Emoji(sequence, plain_name(about["en"]))
        for sequence, about in data.items()
        if about["status"] == whole and wanted(sequence)
    ]
    # Of emoji that look alike the first is kept: "person running" before "man running".
    return tuple(sorted(found, key=lambda emoji: (len(emoji.sequence), emoji.sequence)))


def plain_name(name: str) -> str:
    """ ":Mrs._Claus:" -> "mrs claus". Parentheses would be weights in a prompt."""
    words = name.strip(":").replace("_", " ").replace("’", "'").replace("&", "and")
    return " ".join(re.sub(r"[()“”!.,:]", "", words).lower().split())


def caption(emoji: Emoji, styled: bool) -> str:
    return STYLE + emoji.name if styled else emoji.name


def one_character(emoji: Iterable[Emoji]) -> tuple[Emoji, ...]:
    """Those that are one character, whatever variation selector follows."""
    return tuple(e for e in emoji if len(e.sequence.replace(AS_PICTURE, "")) == 1)
