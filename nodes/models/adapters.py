r"""Small changes to a weight, as files of LoRA and its kin describe them.

W (out, in, ...) is a weight of the base model, \delta W what is added to it at strength 1, r a
rank, s = alpha / r (1 where a file gives no alpha). A convolution's kernel is flattened to a
matrix (out, in h w). Everything is float32.

    LoRA   \delta W = s B A, B (out, r), A (r, in)                 (arXiv:2106.09685, eq. 3)
    LoCon  with a middle M (r, r, h, w): s sum_mn B_om M_mnhw A_ni
    LoHa   \delta W = s (B_1 A_1) * (B_2 A_2), element by element  (arXiv:2108.06098, eq. 3)
    LoKr   \delta W = s C_1 (x) C_2, Kronecker's product           (arXiv:2212.10650)
    OFT    \delta W = R^T W - W, R of k orthogonal blocks on its diagonal
                                                                   (arXiv:2306.07280, eq. 4)
    DoRA   \delta W = m V / ||V|| - W, V = W + \delta W of any of the above
                                                                   (arXiv:2402.09353, eq. 5)
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Protocol

import torch
from torch import Tensor


class Adapter(Protocol):
    """One way to write \\delta W in few numbers."""

    def product(self) -> Tensor:
        """\\delta W with as many elements and rows as W, without DoRA's magnitude."""


@dataclass(frozen=True)
class Scale:
    """s: alpha / r; alpha / sqrt(r) for the rank-stabilised kind (arXiv:2312.03732)."""

    alpha: float | None = None
    stabilised: bool = False

    def over(self, rank: int) -> float:
        if self.alpha is None:
            return 1.0
        return self.alpha / (sqrt(rank) if self.stabilised else rank)


PLAIN = Scale()


@dataclass(frozen=True, eq=False)
class Full:
    """The whole difference."""

    difference: Tensor

    def product(self) -> Tensor:
        return self.difference


@dataclass(frozen=True, eq=False)
class LowRank:
    """LoRA, and LoCon's convolutions: up (out, r, ...), down (r, in, ...), mid (r, r, h, w)."""

    up: Tensor
    down: Tensor
    mid: Tensor | None = None
    scale: Scale = PLAIN

    def product(self) -> Tensor:
        A = self.down.flatten(1)
        B = self.scale.over(len(A)) * self.up.flatten(1)  # the smaller of what s could scale
        return B @ A if self.mid is None else torch.einsum("om,mnhw,ni->oihw", B, self.mid, A)


@dataclass(frozen=True, eq=False)
class Hadamard:
    """LoHa: a_i (out, r), b_i (r, in); with cores t_i (r, r, h, w), a_i (r, out)."""

    a1: Tensor
    b1: Tensor
    a2: Tensor
    b2: Tensor
    t1: Tensor | None = None
    t2: Tensor | None = None
    scale: Scale = PLAIN

    def product(self) -> Tensor:
        s = self.scale.over(len(self.b1))
        return s * (_factors(self.a1, self.b1, self.t1) * _factors(self.a2, self.b2, self.t2))


@dataclass(frozen=True, eq=False)
class Kronecker:
    """LoKr: the two factors; `rank` of the one that was factored again, None if neither was."""

    c1: Tensor
    c2: Tensor
    rank: int | None = None
    scale: Scale = PLAIN

    def product(self) -> Tensor:
        s = 1.0 if self.rank is None else self.scale.over(self.rank)
        c1 = self.c1.reshape(*self.c1.shape, *(1,) * (self.c2.ndim - self.c1.ndim))
        return s * torch.kron(c1.contiguous(), self.c2.contiguous())


@dataclass(frozen=True, eq=False)
class Orthogonal:
    """OFT: k equal blocks of W's rows, each turned by its own R; then scaled row by row.

    generators: (k, b, b), the B_i of `cayley`; k b rows in all. limit: its longest Q; 0: any.
    rescale:    (k b, 1, ...), None for a change that keeps every angle and length.
    """

    generators: Tensor
    limit: float = 0.0
    rescale: Tensor | None = None

    def change(self, W: Tensor, block: int, blocks: int) -> Tensor:
        """\\delta W of the `block`-th of `blocks` equal parts of the rows; k is a multiple."""
        R = _part(cayley(self.generators, self.limit), block, blocks)
        made = turned(W, R)
        if self.rescale is not None:
            made = _part(self.rescale, block, blocks).reshape(-1, *(1,) * (W.ndim - 1)) * made
        return made - W


def cayley(generators: Tensor, limit: float = 0.0) -> Tensor:
    """R_i = (I + Q_i)(I - Q_i)^-1, orthogonal, of Q_i = B_i - B_i^T; (k, b, b) both.

    Where the norm of all Q together exceeds `limit`, they are brought down to it; 0: never.
    Zeros give the identity exactly.
    """
    Q = generators - generators.mT
    if limit > 0:
        Q = Q * (limit / torch.linalg.vector_norm(Q).clamp_min(limit))
    identity = torch.eye(Q.shape[-1], dtype=Q.dtype, device=Q.device).expand_as(Q)
    return torch.linalg.solve(identity - Q, identity + Q)  # the two commute


def turned(W: Tensor, R: Tensor) -> Tensor:
    """R_i^T on the i-th of equal blocks of W's rows; R (k, b, b)."""
    rows = W.reshape(len(R), R.shape[-1], -1)
    return (R.mT.to(W.dtype) @ rows).view_as(W)


def change(
    W: Tensor, adapter: Adapter | Orthogonal, magnitude: Tensor | None, block: int, blocks: int
) -> Tensor:
    """\\delta W, shaped like W, at strength 1.

    magnitude:     DoRA's m: (out, 1, ...) or, over columns, (1, in, ...); None without DoRA.
    block, blocks: W is the `block`-th of `blocks` equal parts of the rows the adapter is for.
    """
    if isinstance(adapter, Orthogonal):
        delta = adapter.change(W, block, blocks)
    else:
        delta = _part(adapter.product(), block, blocks).reshape(W.shape)
    if magnitude is None:
        return delta
    V = W + delta
    over_rows = magnitude.shape[0] != 1 or W.shape[0] == 1
    kept = 0 if over_rows else 1  # the dimension that has a length of its own
    across = [d for d in range(V.ndim) if d != kept]
    lengths = torch.linalg.vector_norm(V, dim=across, keepdim=True)
    m = _part(magnitude, block, blocks) if over_rows else magnitude
    # A row of zeros has no direction: it stays zero.
    return m.reshape(lengths.shape) * V / lengths.clamp_min(torch.finfo(V.dtype).eps) - W


def composed(a: Tensor, b: Tensor, core: Tensor | None = None) -> Tensor:
    """a b; with a core t (r, r, ...), sum_ij t_ij... a_i b_j, a (r, out), b (r, in)."""
    return _factors(a, b, core)


def _factors(a: Tensor, b: Tensor, core: Tensor | None) -> Tensor:
    if core is None:
        return a @ b
    return torch.einsum("mnhw,ni,mo->oihw", core, b, a)


def _part(whole: Tensor, block: int, blocks: int) -> Tensor:
    return whole.chunk(blocks)[block] if blocks > 1 else whole
