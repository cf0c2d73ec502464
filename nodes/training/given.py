"""Examples that are at hand: rows of a tensor, and tokens for each of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nodes.training.chance import Chance
from nodes.training.conditioning import Fixed


@dataclass(frozen=True, eq=False)
class Rows:
    """x_0 is a row of `rows` (N, C, h, w), as it is."""

    rows: Tensor

    def batch(self, examples: tuple[int, ...], chance: Chance) -> Tensor:
        del chance
        return self.rows[list(examples)]


def told(tokens: Sequence[Tensor], count: int, device: str) -> Fixed:
    """Each of `count` examples its own tokens (1, L_i, D), or all of them those of the only one.

    Tokens are repeated to one length: attention over every token k times is attention over every
    token once. Nothing is dropped: there are no tokens that stand for no condition.
    Raises ValueError for any other number of tokens.
    """
    if len(tokens) not in (1, count):
        raise ValueError(f"{len(tokens)} texts for {count} examples: expected as many, or one")
    length = math.lcm(*(c.shape[1] for c in tokens))
    table = torch.cat([c.repeat(1, length // c.shape[1], 1) for c in tokens]).to(device)
    rows = range(count) if len(tokens) == count else [0] * count
    return Fixed(lambda chosen: table[chosen], rows, 0, device)
