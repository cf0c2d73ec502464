r"""Prompts: weights, references to embeddings, and chunks of tokens.

`(x)` multiplies the weight by 1.1; `(x:w)` sets it to w; parentheses nest, each acting on what is
inside it: `((x))` weighs 1.21, `((x):2)` 2.2, `((x:2))` 2. `\(` and `\)` are literal. No prompt is
an error: a parenthesis without a partner is text, and so is a w that is no finite number.
`embedding:name`, at the start of a stretch of text or after a space or newline, refers to vectors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

EMPHASIS = 1.1
PARENTHESIS = re.compile(r"(?<!\\)[()]")  # escaped ones do not count
REFERENCE = re.compile(r"(?:^|(?<=[ \n]))embedding:")
LONG_GROUP = 8  # tokens from which a group may be broken across chunks


@dataclass(frozen=True)
class Segment:
    """A stretch of text of one weight, escapes resolved."""

    text: str
    weight: float


@dataclass(frozen=True)
class EmbeddingRef:
    """A textual-inversion embedding, by name, to be inserted as tokens of this weight."""

    name: str
    weight: float


class WeightedToken(NamedTuple):
    """A token's number, or a vector (D,) that stands for one; and its weight."""

    token: int | Tensor
    weight: float


Chunk = tuple[WeightedToken, ...]


class _Span(NamedTuple):
    begin: int
    end: int
    weight: float
    literal: bool


def parse(prompt: str) -> tuple[Segment | EmbeddingRef, ...]:
    """Split a prompt where the weight changes or an embedding is named. Never raises."""
    pieces: list[Segment | EmbeddingRef] = []
    for span in _literals(prompt):
        text = prompt[span.begin : span.end].replace("\\(", "(").replace("\\)", ")")
        pieces += _references(text, span.weight)
    return tuple(pieces)


def embedding_names(prompt: str) -> tuple[str, ...]:
    """The embeddings a prompt names, each once, in order."""
    refs = [piece.name for piece in parse(prompt) if isinstance(piece, EmbeddingRef)]
    return tuple(dict.fromkeys(refs))


def chunk(
    groups: Sequence[Sequence[WeightedToken]], *, start: int, end: int, pad: int, length: int = 77
) -> tuple[Chunk, ...]:
    """Lay groups out in chunks: start, up to `length` - 2 tokens, end, padding.

    A group of fewer than 8 tokens is not broken across chunks; a longer one is, and fills what is
    left of the chunk it starts in. No tokens at all give one chunk. `length` is at least 3.
    """
    room = length - 2
    rows: list[list[WeightedToken]] = [[]]
    for group in groups:
        rest = list(group)
        breakable = len(rest) >= min(LONG_GROUP, room + 1)
        while len(rows[-1]) + len(rest) > room:
            taken = room - len(rows[-1]) if breakable else 0
            rows[-1] += rest[:taken]
            rest = rest[taken:]
            rows.append([])
        rows[-1] += rest
    edge, stop, fill = (WeightedToken(token, 1.0) for token in (start, end, pad))
    return tuple((edge, *row, stop, *[fill] * (room - len(row))) for row in rows)


def _literals(prompt: str) -> Iterator[_Span]:
    """The stretches of text between parentheses. A stack, for prompts nested without end."""
    partners = _partners(prompt)
    todo = [_Span(0, len(prompt), 1.0, literal=False)]
    while todo:
        span = todo.pop()
        if span.literal:
            yield span
        else:
            todo += reversed(list(_children(prompt, span, partners)))


def _partners(prompt: str) -> dict[int, int]:
    """Where the parenthesis opened at each place closes."""
    partners: dict[int, int] = {}
    opened: list[int] = []
    for match in PARENTHESIS.finditer(prompt):
        if match[0] == "(":
            opened.append(match.start())
        elif opened:
            partners[opened.pop()] = match.start()
    return partners


def _children(prompt: str, span: _Span, partners: dict[int, int]) -> Iterator[_Span]:
    """The literals and groups directly inside `span`.

    As the ecosystem counts depth: a `)` without a partner takes the next `(` with it, and a `(`
    without one makes the rest literal, unless that rest ends in `)` and so looks like a group.
    """
    begin = place = span.begin
    debt = 0
    while mark := PARENTHESIS.search(prompt, place, span.end):
        here, place = mark.span()
        if mark[0] == ")":
            debt += 1
        elif debt:
            debt -= 1
        else:
            closing = partners.get(here, span.end)
            last = span.end - 1
            if closing > last > here and prompt[last] == ")" and PARENTHESIS.match(prompt, last):
                closing = last
            yield _Span(begin, here, span.weight, literal=True)
            begin = here
            if closing > last:
                break
            yield _group(prompt, place, closing, span.weight)
            begin = place = closing + 1
    yield _Span(begin, span.end, span.weight, literal=True)


def _group(prompt: str, begin: int, end: int, weight: float) -> _Span:
    """The inside of a pair of parentheses, without its `:w`."""
    colon = prompt.rfind(":", begin, end)
    if colon > begin:
        try:
            explicit = float(prompt[colon + 1 : end])
        except ValueError:
            explicit = math.nan
        if math.isfinite(explicit):
            return _Span(begin, colon, explicit, literal=False)
    return _Span(begin, end, weight * EMPHASIS, literal=False)


def _references(text: str, weight: float) -> Iterator[Segment | EmbeddingRef]:
    """Text with its `embedding:name` references taken out; commas that end a name stay text."""
    first, *rest = REFERENCE.split(text)
    if first:
        yield Segment(first, weight)
    for following in rest:
        word, *tail = following.split(maxsplit=1) or [""]
        name = word.rstrip(",")
        if name:
            yield EmbeddingRef(name, weight)
            text = " ".join([word[len(name) :], *tail])
        else:
            text = "embedding:" + following
        if text.strip():
            yield Segment(text, weight)
