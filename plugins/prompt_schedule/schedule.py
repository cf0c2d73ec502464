"""From the tree of a prompt to a table: which text at which step, however many steps there are.

A step's state is (shares passed, counts passed, turn): how many of the moments given as shares,
and as numbers of steps, lie behind it, and its number modulo the period of all alternations.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from nodegraph import NodeGraphError

from .grammar import Moment, Prompt, Switch, Turns, read

MOST_STATES = 10_000
MOST_TEXTS = 100  # each is encoded


@dataclass(frozen=True)
class Schedule:
    """Which of several variants a step shows.

    shares, counts: the moments, ascending. period: after so many steps alternations are where they
    began. table: the variant's number for each state, the turn running fastest.
    """

    shares: tuple[float, ...]
    counts: tuple[float, ...]
    period: int
    table: tuple[int, ...]

    def at(self, step: int, steps: int) -> int:
        """The number of the variant at step `step`, from 0, of `steps`."""
        shares = sum(Moment(number).passed(step, steps) for number in self.shares)
        counts = sum(Moment(number).passed(step, steps) for number in self.counts)
        return self.table[
            (shares * (len(self.counts) + 1) + counts) * self.period + step % self.period
        ]


def compiled(text: str) -> tuple[Schedule, tuple[str, ...]]:
    """A prompt's schedule and the texts it is about, each once, that of the beginning first.

    Raises NodeGraphError for a prompt that is wrong or comes to too many texts.
    """
    prompt = read(text)
    moments = {moment for moment in _moments(prompt) if moment.number > 0}
    shares = sorted(moment.number for moment in moments if moment.is_share)
    counts = sorted(moment.number for moment in moments if not moment.is_share)
    period = math.lcm(*_lengths(prompt))
    sizes = (len(shares) + 1, len(counts) + 1, period)
    if math.prod(sizes) > MOST_STATES:
        raise NodeGraphError(_too_many(f"{math.prod(sizes):,} combinations", MOST_STATES))
    numbers: dict[str, int] = {}
    table: list[int] = []
    for passed, counted, turn in itertools.product(*map(range, sizes)):
        shown = text_in(prompt, {0.0, *shares[:passed], *counts[:counted]}, turn)
        table.append(numbers.setdefault(shown, len(numbers)))
    if len(numbers) > MOST_TEXTS:
        raise NodeGraphError(_too_many(f"{len(numbers)} different texts", MOST_TEXTS))
    return Schedule(tuple(shares), tuple(counts), period, tuple(table)), tuple(numbers)


def text_in(prompt: Prompt, passed: Collection[float], turn: int) -> str:
    """The text a prompt stands for, given the moments that have passed and whose turn it is."""
    text = ""
    for piece in prompt:
        match piece:
            case Switch(before, after, when):
                text += text_in(after if when.number in passed else before, passed, turn)
            case Turns(choices):
                text += text_in(choices[turn % len(choices)], passed, turn)
            case _:
                text += piece
    return text


def _inside(prompt: Prompt) -> Iterator[Switch | Turns]:
    """All brackets, also those within others."""
    for piece in prompt:
        if not isinstance(piece, str):
            yield piece
            parts = piece.choices if isinstance(piece, Turns) else (piece.before, piece.after)
            for part in parts:
                yield from _inside(part)


def _moments(prompt: Prompt) -> Iterator[Moment]:
    return (piece.when for piece in _inside(prompt) if isinstance(piece, Switch))


def _lengths(prompt: Prompt) -> Iterator[int]:
    return (len(piece.choices) for piece in _inside(prompt) if isinstance(piece, Turns))


def _too_many(found: str, most: int) -> str:
    return (
        f"prompt schedule: it comes to {found}, and {most:,} are the most: use fewer moments, or "
        "alternations of equal length"
    )
