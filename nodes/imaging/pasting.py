"""One picture (or latent) on top of another.

H x W are the cells of what lies below, h x w those of what is put on it with its corner at row
`top` and column `left`. What reaches beyond the lower one is cut off.
"""

from __future__ import annotations

import torch
from torch import Tensor


def paste(below: Tensor, above: Tensor, left: int, top: int, mask: Tensor | None = None) -> Tensor:
    """below + m (above - below) where `above` lies, a new tensor (B, C, H, W).

    `above` (B or 1, C, h, w); `mask` m broadcasts against it: 1 shows it, 0 what is below. None
    is 1 everywhere. `left` and `top` are at least 0.
    """
    result = below.clone()
    place = result[..., top : top + above.shape[-2], left : left + above.shape[-1]]
    seen = (..., slice(place.shape[-2]), slice(place.shape[-1]))
    if mask is None:
        place.copy_(above[seen])
    else:
        m = mask[seen]
        place.copy_(above[seen] * m + place * (1 - m))
    return result


def fade(below: Tensor, above: Tensor, left: int, top: int, cells: int) -> Tensor:
    """The mask (h, w) with which the sides of `above` fade in over `cells` cells: 1/n, 2/n .. 1.

    Only the part that lies on `below` counts, and its sides at the border of `below` do not fade.
    """
    rows = _ramp(below.shape[-2], above.shape[-2], top, cells)
    columns = _ramp(below.shape[-1], above.shape[-1], left, cells)
    mask = torch.ones(above.shape[-2:])
    mask[: len(rows), : len(columns)] = rows[:, None] * columns
    return mask.to(above)


def _ramp(there: int, length: int, start: int, cells: int) -> Tensor:
    """The weights along one side, as many as there is room for."""
    length = max(0, min(length, there - start))
    weights = torch.ones(length)
    rising = ((torch.arange(length) + 1) / cells).clamp(max=1) if cells else weights
    if start > 0:
        weights = weights * rising
    if start + length < there:
        weights = weights * rising.flip(0)
    return weights
