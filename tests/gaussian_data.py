"""Data whose score is known: N(2, 0.5²), and a walk of a sampler with the exact model.

For it the best guess at x_0 from x = x_0 + σ ε is known.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nodes.diffusion.prediction import Prediction, to_eps
from nodes.diffusion.samplers import Sampler
from nodes.diffusion.schedule import NoiseSchedule, linear
from nodes.diffusion.times import spaced_times

MEAN, STD = 2.0, 0.5
SCHEDULE = NoiseSchedule(linear())
Predict = Callable[[Tensor, float], Prediction]


def exact(x: Tensor, sigma: float, log_variance: Tensor | None = None) -> Prediction:
    """E[x_0 | x] for the data above."""
    denoised = (x * STD**2 + MEAN * sigma**2) / (STD**2 + sigma**2)
    eps = to_eps(denoised, x, torch.tensor(sigma, dtype=x.dtype))
    return Prediction(denoised, eps, uncond=denoised, log_variance=log_variance)


def run(sampler: Sampler, predict: Predict = exact) -> Tensor:
    try:
        x, sigma = next(sampler)
        while True:
            x, sigma = sampler.send(predict(x, sigma))
    except StopIteration as finished:
        return finished.value


def levels(steps: int, spacing: str = "trailing") -> Tensor:
    return SCHEDULE.sigmas_at(spaced_times(spacing, steps), dtype=torch.float64)


def start(sigmas: Tensor, *shape: int, seed: int = 0) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    z = torch.randn(shape or (20_000,), generator=source, dtype=torch.float64)
    return z * (1 + sigmas[0] ** 2).sqrt()
