"""Which examples each batch holds: endless shuffled passes over a data set, as a function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeVar

import torch

from nodes.training.chance import Chance

T = TypeVar("T")


@dataclass(frozen=True)
class Order:
    """Batches of `batch` example numbers, each batch from one bucket (examples of one shape).

    buckets: the numbers of each bucket's examples. A pass visits every example once; what a bucket
    lacks for its last batch is taken from the beginning of its own shuffled row.
    """

    buckets: tuple[tuple[int, ...], ...]
    batch: int
    seed: int

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"batch: expected at least 1, got {self.batch}")
        if not any(self.buckets):
            raise ValueError("buckets: expected at least one example, got none")

    @classmethod
    def over(cls, count: int, batch: int, seed: int) -> Order:
        """Over `count` examples of one shape."""
        return cls((tuple(range(count)),), batch, seed)

    @cached_property
    def per_pass(self) -> int:
        """Batches in a pass."""
        return sum(-(-len(bucket) // self.batch) for bucket in self.buckets)

    def examples(self, number: int) -> tuple[int, ...]:
        """The examples of batch `number`, from 0 on without end."""
        turn, place = divmod(number, self.per_pass)
        return _pass(self, turn)[place]


@lru_cache(maxsize=4)
def _pass(order: Order, turn: int) -> tuple[tuple[int, ...], ...]:
    """The batches of one pass, in the order they come."""
    chance = Chance(order.seed, (turn,))
    generator = chance.generator("order")
    batches: list[tuple[int, ...]] = []
    for bucket in order.buckets:
        row = _shuffled(bucket, generator)
        batches += [_filled(row, i, order.batch) for i in range(0, len(row), order.batch)]
    return tuple(_shuffled(batches, generator))


def _filled(row: Sequence[int], start: int, size: int) -> tuple[int, ...]:
    return tuple(row[i % len(row)] for i in range(start, start + size))


def _shuffled(items: Sequence[T], generator: torch.Generator) -> list[T]:
    return [items[i] for i in torch.randperm(len(items), generator=generator).tolist()]
