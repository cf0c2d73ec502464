"""The difference of two networks as a LoRA: the best of a given rank, or all of it.

The best up @ down of rank r for a difference D, in the sum of squares, is its singular value
decomposition cut after r values (Eckart and Young 1936): U_r S_r V_r. The root of S_r goes into
each factor, so that both are of one size and fit half precision.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

STORED = torch.float16  # of the factors; whole differences stay float32


def factors(D: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """up (out, r, 1, ...) and down (r, in, ...), float32, for D (out, in, ...); r <= rank."""
    U, S, V = torch.linalg.svd(D.float().flatten(1), full_matrices=False)
    r = min(rank, len(S))
    root = S[:r].sqrt()
    up, down = U[:, :r] * root, root[:, None] * V[:r]
    ones = (1,) * (D.ndim - 2)
    return up.reshape(len(D), r, *ones), down.reshape(r, *D.shape[1:])


def standard(name: str, D: Tensor, rank: int, *, vectors: bool) -> Iterator[tuple[str, Tensor]]:
    """The tensors that say a weight's difference D in the format kohya introduced.

    vectors: also those of one dimension (biases, norms), which are stored whole.
    """
    module = name.rpartition(".")[0]
    if D.ndim < 2:
        if vectors:
            yield whole_name(name), D
        return
    up, down = factors(D, rank)
    yield f"{module}.lora_up.weight", up.to(STORED)
    yield f"{module}.lora_down.weight", down.to(STORED)
    yield f"{module}.alpha", torch.tensor(float(down.shape[0]))


def whole_name(name: str) -> str:
    """What the whole difference of a weight or bias is called."""
    module, _, leaf = name.rpartition(".")
    return f"{module}.{'diff_b' if leaf == 'bias' else 'diff'}"
