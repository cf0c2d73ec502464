"""What every sampler is, and the levels it walks. Notation as in the package's docstring."""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import pairwise

import torch
from torch import Tensor

from nodes.diffusion.prediction import Prediction

Sampler = Generator[tuple[Tensor, float], Prediction, Tensor]
SamplerFactory = Callable[..., Sampler]  # (x, sigmas, noise, **options)


def steps_of(sigmas: Tensor, x: Tensor, *, may_ascend: bool = False) -> list[tuple[Tensor, Tensor]]:
    """[(σ, s), ...]: each level with the next, on x's device and in at least its precision.

    A step from a level to itself leads nowhere and is left out.
    Raises ValueError for levels a sampler cannot walk; a step with noise cannot go up.
    """
    if sigmas.ndim != 1 or not bool(torch.isfinite(sigmas).all()):
        raise ValueError("sigmas: expected a vector of finite levels")
    if bool((sigmas[:-1] <= 0).any()) or bool((sigmas < 0).any()):
        raise ValueError(f"sigmas: expected levels above 0 (the last may be 0): {sigmas.tolist()}")
    if not may_ascend and bool((sigmas[1:] > sigmas[:-1]).any()):
        raise ValueError(
            f"sigmas: this sampler adds noise and needs levels that descend: {sigmas.tolist()}; "
            "euler, or ddim with eta 0, walks up"
        )
    levels = sigmas.to(x.device, torch.promote_types(sigmas.dtype, x.dtype)).unbind()
    return [(sigma, s) for sigma, s in pairwise(levels) if sigma != s]


def ancestral_levels(sigma: Tensor, s: Tensor, eta: float) -> tuple[Tensor, Tensor]:
    """(down, up) with down² + up² = s²: go down to `down`, then add noise of deviation `up`.

    up = η √(s² (σ² − s²) / σ²), at most s; with η = 1 this is the deviation √β̃ of DDPM's posterior
    (DDIM, eq. 16, in these variables).
    """
    if eta == 0:
        return s, torch.zeros_like(s)
    up = torch.minimum(s, eta * (s**2 * (sigma**2 - s**2) / sigma**2) ** 0.5)
    return (s**2 - up**2) ** 0.5, up
