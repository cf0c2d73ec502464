"""The moving average of weights that samples are drawn with."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


class Ema:
    """θ̄ ← d θ̄ + (1 − d) θ, with d = min(decay, (1 + k)/(10 + k)) at update k.

    So early weights are forgotten early (TensorFlow's ExponentialMovingAverage, num_updates).
    The average is float32, on the parameters' device.
    """

    def __init__(self, parameters: Iterable[Tensor], decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"ema decay: expected a value in [0, 1), got {decay}")
        self.decay = decay
        self.averages = [p.detach().float().clone() for p in parameters]

    def at(self, update: int) -> float:
        """d at update k, from 0."""
        return min(self.decay, (1 + update) / (10 + update))

    @torch.no_grad()
    def update(self, parameters: Iterable[Tensor], update: int) -> None:
        """Take in the weights after optimiser step `update` (from 0)."""
        fresh = [p.detach().float() for p in parameters]
        torch._foreach_lerp_(self.averages, fresh, 1 - self.at(update))
