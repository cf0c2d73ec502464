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
