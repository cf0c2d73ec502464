"""Tokens put together: (B, L, D) for cross-attention, and pooled vectors (B, D).

Batches of different size are repeated to the larger one.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from nodes.diffusion.inpaint import repeat_to


def joined(first: Tensor, second: Tensor) -> Tensor:
    """(B, L + L', D): all tokens of both. Raises ValueError for tokens of different widths."""
    _require_one_width(first, second)
    batch = max(len(first), len(second))
    return torch.cat([repeat_to(first, batch), repeat_to(second, batch)], dim=1)


def averaged(to: Tensor, source: Tensor, share: float) -> Tensor:
    """share · to + (1 − share) · source, token by token, in the shape of `to` but for the batch.

    `source` is cut to the tokens of `to`, or filled up with zeros. Raises ValueError for tokens of
    different widths.
    """
    _require_one_width(to, source)
    batch, length = max(len(to), len(source)), to.shape[1]
    short = max(length - source.shape[1], 0)
    fitted = functional.pad(source[:, :length], (0, 0, 0, short))
    return share * repeat_to(to, batch) + (1 - share) * repeat_to(fitted, batch)


def averaged_pooled(to: Tensor | None, source: Tensor | None, share: float) -> Tensor | None:
    """The same for pooled vectors; where one side has none, the other's as it is."""
    if to is None or source is None:
        return source if to is None else to
    return averaged(to[:, None], source[:, None], share)[:, 0]


def _require_one_width(first: Tensor, second: Tensor) -> None:
    if first.shape[-1] != second.shape[-1]:
        raise ValueError(f"tokens of width {first.shape[-1]} and of width {second.shape[-1]}")
