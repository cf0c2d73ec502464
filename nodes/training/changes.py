"""Changes of a weight while they learn: LoRA, LoHa, LoKr and OFT, each of them nothing at first.

W (out, in, ...) is frozen, r the rank, a kernel flattened to a matrix. What nodes.models.adapters
reads, as a parametrisation of W; one factor starts at zero, so that W' = W, bit for bit:

    LoRA   W' = W + (α/r) B A                 B = 0               (arXiv:2106.09685, §4.1)
    LoHa   W' = W + (α/r) (B_1 A_1) ∘ (B_2 A_2)        B_2 = 0    (arXiv:2108.06098, eq. 3)
    LoKr   W' = W + (α/r) C ⊗ (B A), or C ⊗ D          B, D = 0   (arXiv:2309.14859, §3.2)
    OFT    W' = (R_1 ⊕ ... ⊕ R_k)ᵀ W          R = I               (arXiv:2306.07280, eq. 4)

Parameters have the names that files give them (nodes.models.lora_file); random ones are drawn from
the generator, in the order of their names here.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from nodes.models.adapters import cayley, turned

Algorithm = Literal["LoRA", "LoHa", "LoKr", "OFT"]


class Change(nn.Module, ABC):
    """A parametrisation of a weight.

    rank: what it came to. alpha: the scale's numerator; OFT's limit for each row.
    """

    def __init__(self, weight: Tensor, rank: int, alpha: float, generator: torch.Generator) -> None:
        del weight, generator  # for those below
        super().__init__()
        self.rank, self.alpha = rank, alpha

    @abstractmethod
    def forward(self, weight: Tensor) -> Tensor:
        """W' of W, shaped like it."""

    @property
    def scale(self) -> float:
        return self.alpha / self.rank


class LowRank(Change):
    """W plus (α/r) B A: up is B (out, r, 1, ...), down is A (r, in, ...)."""

    def __init__(self, weight: Tensor, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__(weight, rank, alpha, generator)
        self.rank = min(rank, weight.shape[0], weight[0].numel())
        self.down = nn.Parameter(kaiming((self.rank, *weight.shape[1:]), generator))
        self.up = nn.Parameter(torch.zeros(len(weight), self.rank, *[1] * (weight.ndim - 2)))

    def forward(self, weight: Tensor) -> Tensor:
        return added(weight, self.up.flatten(1) @ self.down.flatten(1), self.scale)


class Hadamard(Change):
    """W plus (α/r) (B_1 A_1) ∘ (B_2 A_2): B_i (out, r), A_i (r, in ...)."""

    def __init__(self, weight: Tensor, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__(weight, rank, alpha, generator)
        out, width = len(weight), weight[0].numel()
        self.hada_w1_a = nn.Parameter(0.1 * torch.randn(out, rank, generator=generator))
        self.hada_w1_b = nn.Parameter(torch.randn(rank, width, generator=generator))
        self.hada_w2_a = nn.Parameter(torch.zeros(out, rank))
        self.hada_w2_b = nn.Parameter(torch.randn(rank, width, generator=generator))

    def forward(self, weight: Tensor) -> Tensor:
        first = self.hada_w1_a @ self.hada_w1_b
        return added(weight, first * (self.hada_w2_a @ self.hada_w2_b), self.scale)


class Kronecker(Change):
    """W plus a Kronecker product; sides are factored as evenly as they can be.

    C (o, i) with the lesser factors of out and in; the other (out/o, in/i, ...) is B A where that
    is less than a whole D, whose scale is 1.
    """

    def __init__(self, weight: Tensor, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__(weight, rank, alpha, generator)
        (o, rows), (i, columns) = evenly(len(weight)), evenly(weight.shape[1])
        kernel = weight.shape[2:]
        width = columns * math.prod(kernel)
        self.whole = 2 * rank >= max(rows, columns)
        self.lokr_w1 = nn.Parameter(kaiming((o, i), generator))
        if self.whole:
            self.lokr_w2 = nn.Parameter(torch.zeros(rows, columns, *kernel))
        else:
            self.lokr_w2_a = nn.Parameter(torch.zeros(rows, rank))
            self.lokr_w2_b = nn.Parameter(kaiming((rank, width), generator))

    def forward(self, weight: Tensor) -> Tensor:
        second = self.lokr_w2.flatten(1) if self.whole else self.lokr_w2_a @ self.lokr_w2_b
        delta = torch.kron(self.lokr_w1, second.to(self.lokr_w1.dtype))  # kernels flattened
        return added(weight, delta, 1.0 if self.whole else self.scale)


class Orthogonal(Change):
    """Blocks of rows turned: `oft_blocks` (k, b, b), b the largest divisor of out up to the rank.

    alpha x out limits how far all of them are turned together; 0: no limit.
    """

    def __init__(self, weight: Tensor, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__(weight, rank, alpha, generator)
        self.rank = turning(len(weight), rank)
        k = len(weight) // self.rank
        self.limit = alpha * len(weight)
        self.oft_blocks = nn.Parameter(torch.zeros(k, self.rank, self.rank))

    def forward(self, weight: Tensor) -> Tensor:
        return turned(weight, cayley(self.oft_blocks.float(), self.limit))


CHANGES: Mapping[Algorithm, type[Change]] = {
    "LoRA": LowRank,
    "LoHa": Hadamard,
    "LoKr": Kronecker,
    "OFT": Orthogonal,
}


def added(weight: Tensor, delta: Tensor, scale: float) -> Tensor:
    return weight + scale * delta.view_as(weight).to(weight.dtype)


def kaiming(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Uniform within ±1/√fan_in: the bound nn.Linear has (a = √5), as LoRA's own code takes it."""
    made = torch.empty(shape)
    bound = 1 / math.sqrt(made[0].numel())
    return made.uniform_(-bound, bound, generator=generator)


def evenly(size: int) -> tuple[int, int]:
    """(a, b): a b = size, a the largest divisor up to √size."""
    a = max(n for n in range(1, math.isqrt(size) + 1) if size % n == 0)
    return a, size // a


def turning(rows: int, rank: int) -> int:
    """The largest divisor of `rows` from 2 up to `rank`; the smallest where there is none.

    Raises ValueError for a single row, which cannot be turned.
    """
    divisors = [n for n in range(2, rows + 1) if rows % n == 0]
    if not divisors:
        raise ValueError("a weight of one row cannot be turned by OFT: choose LoRA")
    return max((n for n in divisors if n <= rank), default=divisors[0])
