"""Integrals of Lagrange polynomials, which Adams-Bashforth steps are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

NODES = 64  # exact for polynomials up to degree 127


@cache
def _gauss_legendre(n: int) -> tuple[Tensor, Tensor]:
    """Nodes in [−1, 1] and weights of sum 2, float64 (Golub & Welsch 1969)."""
    k = torch.arange(1, n, dtype=torch.float64)
    beta = k / (4 * k**2 - 1).sqrt()
    nodes, vectors = torch.linalg.eigh(torch.diag(beta, 1) + torch.diag(beta, -1))
    return nodes, 2 * vectors[0] ** 2


def _itself(sigma: Tensor) -> Tensor:
    return sigma


def lagrange_integrals(
    points: Sequence[float],
    start: float,
    end: float,
    place: Callable[[Tensor], Tensor] = _itself,
) -> list[float]:
    """∫ L_j(place(σ)) dσ from `start` to `end` for each j, L_j(t) = Π_{k≠j} (t − t_k)/(t_j − t_k).

    t_k = place(σ_k) for the levels σ_k in `points`, which differ from each other.
    """
    nodes, weights = _gauss_legendre(NODES)
    middle, half = (end + start) / 2, (end - start) / 2
    t = place(middle + half * nodes)
    t_k = place(torch.tensor(points, dtype=torch.float64)).tolist()
    integrals = []
    for j, own in enumerate(t_k):
        values = torch.ones_like(t)
        for other in (*t_k[:j], *t_k[j + 1 :]):
            values = values * (t - other) / (own - other)
        integrals.append(half * (weights @ values).item())
    return integrals
