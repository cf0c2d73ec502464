"""Depth maps: one number a pixel, larger is nearer (as MiDaS and the networks after it say it)."""

from __future__ import annotations

from torch import Tensor

RGB = 3


def as_depth(pictures: Tensor) -> Tensor:
    """Images (B, H, W, C) by their mean colour, masks (B, H, W) or (H, W) -> (B, 1, H, W)."""
    if pictures.ndim < 4:
        return pictures.reshape(-1, 1, *pictures.shape[-2:]).clone()
    return pictures[..., :RGB].mean(dim=-1)[:, None]


def normalised(depth: Tensor) -> Tensor:
    """(B, 1, H, W) to [-1, 1], each map by its own least and greatest; 0 for a map of one value."""
    least = depth.amin(dim=(1, 2, 3), keepdim=True)
    span = depth.amax(dim=(1, 2, 3), keepdim=True) - least
    flat = span == 0
    spread = 2 * (depth - least) / span.masked_fill(flat, 1) - 1
    return spread.masked_fill(flat, 0)
