"""From pictures and maps as nodes hold them to what a patch encoder reads.

Pictures are float32 (B, H, W, C) in [0, 1], masks (B, H, W) in [0, 1]; encoders read (B, C, H, W),
pictures and depth in [-1, 1], segmentations one-hot.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .patches import PatchConfig

Resolution: TypeAlias = Literal["trained", "given"]


def as_picture(image: Tensor, config: PatchConfig, resolution: Resolution = "trained") -> Tensor:
    """(B, 3, H, W) in [-1, 1], of a picture (B, H, W, C) of three colours or more.

    resolution: "trained" resizes to `config.size`, "given" to the nearest whole patches.
    Raises ValueError for anything but a picture.
    """
    if image.ndim != 4 or image.shape[-1] < 3 or 0 in image.shape:
        raise ValueError(f"expected a picture (B, H, W, 3), got {tuple(image.shape)}")
    return smooth(image[..., :3].movedim(-1, 1), config, resolution) * 2 - 1


def as_depth(
    depth: Tensor,
    config: PatchConfig,
    resolution: Resolution = "trained",
    *,
    normalise: bool = True,
) -> Tensor:
    """(B, 1, H, W) in [-1, 1], of a mask (B, H, W) or the mean colour of a picture (B, H, W, C).

    normalise: of each map the nearest and the farthest are -1 and 1, d := (d - min) / (max - min);
    a flat map is -1. Raises ValueError for anything else.
    """
    if depth.ndim not in (3, 4) or 0 in depth.shape:
        raise ValueError(
            f"expected a depth map (B, H, W) or (B, H, W, C), got {tuple(depth.shape)}"
        )
    depth = depth if depth.ndim == 3 else depth[..., :3].mean(dim=-1)
    resized = smooth(depth[:, None], config, resolution)
    return (_stretched(resized) if normalise else resized) * 2 - 1


def smooth(maps: Tensor, config: PatchConfig, resolution: Resolution) -> Tensor:
    """(B, C, H, W) at the encoder's resolution, in [0, 1]: bilinear, averaged where it shrinks."""
    size = _size(maps, config, resolution)
    if tuple(maps.shape[-2:]) == size:
        return maps
    return interpolate(maps, size, mode="bilinear", antialias=True).clamp(0, 1)


def blocky(labels: Tensor, config: PatchConfig, resolution: Resolution) -> Tensor:
    """Class numbers (B, H, W) at the encoder's resolution, each cell's from the nearest pixel."""
    size = _size(labels, config, resolution)
    if tuple(labels.shape[-2:]) == size:
        return labels
    # float64 holds every class number exactly
    return interpolate(labels[:, None].double(), size, mode="nearest-exact")[:, 0].long()


def _size(maps: Tensor, config: PatchConfig, resolution: Resolution) -> tuple[int, int]:
    if resolution == "trained":
        return config.size
    height, width = (max(1, round(side / config.patch)) * config.patch for side in maps.shape[-2:])
    return height, width


def _stretched(maps: Tensor) -> Tensor:
    """Each map's least value to 0 and its greatest to 1; zeros where they are equal."""
    least, greatest = maps.amin((1, 2, 3), keepdim=True), maps.amax((1, 2, 3), keepdim=True)
    return (maps - least) / (greatest - least).clamp_min(torch.finfo(maps.dtype).tiny)
