"""Guidance and what keeps it in range; everything acts on x̂_0, shape (B, C, h, w).

Guided x̂_0 = u + w (c − u): c conditional, u unconditional, w the scale (arXiv:2207.12598). This
is linear, so guiding x̂_0, ε or v is the same thing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Threshold = Callable[[Tensor], Tensor]


def needs_uncond(scale: float) -> bool:
    """Whether guidance looks at the unconditional half at all: not at scale 1."""
    return not math.isclose(scale, 1.0)


def guide(cond: Tensor, uncond: Tensor | None, scale: float) -> Tensor:
    """u + (c − u) w; c itself where there is no u."""
    return cond if uncond is None else uncond + (cond - uncond) * scale


def rescaled(
    cond: Tensor, uncond: Tensor, scale: float, share: float, x: Tensor, sigma: Tensor
) -> Tensor:
    """Guidance whose result has, by a `share`, the deviation of c (arXiv:2305.08891, §3.4).

    v_cfg = v_u + w (v_c − v_u), and v = φ v_cfg std(v_c)/std(v_cfg) + (1 − φ) v_cfg for each
    image, φ the share. All of it in terms of v, whatever the network predicts:
    x̂_0 = x/(σ² + 1) − v σ/√(σ² + 1).
    """
    v_c, v_u = (_velocity(x_0, x, sigma) for x_0 in (cond, uncond))
    v = guide(v_c, v_u, scale)
    v = share * (v * _deviation(v_c) / _deviation(v)) + (1 - share) * v
    return x / (sigma**2 + 1) - v * sigma / (sigma**2 + 1) ** 0.5


def _deviation(v: Tensor) -> Tensor:
    """The standard deviation of each image; never 0, where all values are equal."""
    deviation = v.std(dim=tuple(range(1, v.ndim)), keepdim=True)
    return deviation.clamp_min(torch.finfo(v.dtype).tiny)


def _velocity(x_0: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
    return (x / (sigma**2 + 1) - x_0) * (sigma**2 + 1) ** 0.5 / sigma


@dataclass(frozen=True)
class Clip:
    """Clamps x̂_0 to [−limit, limit]; for pixel models, whose data lie in [−1, 1]."""

    limit: float = 1.0

    def __post_init__(self) -> None:
        if not self.limit > 0:
            raise ValueError(f"limit: expected a value above 0, got {self.limit}")

    def __call__(self, x_0: Tensor) -> Tensor:
        return x_0.clamp(-self.limit, self.limit)


@dataclass(frozen=True)
class DynamicThreshold:
    """Clamps each image to [−s, s] and divides by s (Imagen, arXiv:2205.11487, §2.3).

    s is the `percentile` (in (0, 1]) of the image's |x̂_0|, at least 1 and at most `maximum`.
    """

    percentile: float = 0.995
    maximum: float = math.inf

    def __post_init__(self) -> None:
        if not 0 < self.percentile <= 1:
            raise ValueError(f"percentile: expected a share in (0, 1], got {self.percentile}")
        if not self.maximum >= 1:
            raise ValueError(f"maximum: expected at least 1, got {self.maximum}")

    def __call__(self, x_0: Tensor) -> Tensor:
        # image by image, in at least float32: torch.quantile knows no half and has a size limit
        images = (image.abs().flatten().to(_at_least_float32(image)) for image in x_0)
        s = torch.stack([torch.quantile(image, self.percentile) for image in images])
        s = s.clamp(1, self.maximum).view(-1, *[1] * (x_0.ndim - 1))
        return (x_0.clamp(-s, s) / s).to(x_0.dtype)


def _at_least_float32(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
