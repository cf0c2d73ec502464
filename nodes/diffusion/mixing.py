"""Latents between latents. a, b: (B, C, h, w); |a| is the length over the channels of a cell."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import normalize


def blend(a: Tensor, b: Tensor, share: float) -> Tensor:
    """share a + (1 - share) b"""
    return a * share + b * (1 - share)


def interpolate(a: Tensor, b: Tensor, share: float) -> Tensor:
    """Direction and length apart, d(v) = v / |v|, and 0 where v is 0:

    d(share d(a) + (1 - share) d(b)) (share |a| + (1 - share) |b|)

    A blend of unlike vectors is shorter than both, which reads as less contrast; this one is not.
    """
    direction = normalize(blend(normalize(a, dim=1), normalize(b, dim=1), share), dim=1)
    return direction * blend(a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True), share)
