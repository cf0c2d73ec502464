"""Depth maps (B, H, W) brought to [0, 1], where 1 is near and 0 far."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nodes.imaging.errors import PictureError
from nodes.imaging.files import MAX_PIXELS
from nodes.imaging.opening import open_picture, reading

DEEP = ("I;16", "I;16L", "I;16B", "I", "F")  # Pillow's modes of more than eight bits, all grey


def between(values: Tensor, near: float, far: float) -> Tensor:
    """(far − v) / (far − near): 1 at `near`, 0 at `far`, of which either may be the larger."""
    return ((far - values) / (far - near)).clamp(0, 1)


def stretched(closeness: Tensor, low: float, high: float, known: Tensor | None = None) -> Tensor:
    """Each map stretched so that its percentiles `low` and `high` come to 0 and 1.

    `known` (B, H, W), where there is anything known: the rest is not counted, and becomes 0, as
    does a map that is flat.
    """
    where = torch.ones_like(closeness, dtype=torch.bool) if known is None else known
    return torch.stack(
        [_stretched(c, k, low, high) for c, k in zip(closeness.double(), where, strict=True)]
    ).float()


def _stretched(closeness: Tensor, known: Tensor, low: float, high: float) -> Tensor:
    values = closeness[known]
    if values.numel() == 0:
        return torch.zeros_like(closeness)
    least, most = np.percentile(values.numpy(), (low, high)).tolist()
    if most == least:
        return torch.zeros_like(closeness)
    return torch.where(known, between(closeness, most, least), 0.0)


def read_values(path: Path) -> Tensor:
    """The numbers in a picture file as they are stored, (H, W) float64; of colours their grey.

    Eight bits give 0 .. 255, sixteen 0 .. 65535, floats whatever they are. Raises PictureError.
    """
    with reading(path) as stream, open_picture(stream) as image:
        if image.width * image.height > MAX_PIXELS:
            raise PictureError(f"{path.name}: it has more than {MAX_PIXELS} pixels")
        image.load()
        grey = image if image.mode in DEEP else image.convert("L")
        return torch.from_numpy(np.array(grey).astype(np.float64))
