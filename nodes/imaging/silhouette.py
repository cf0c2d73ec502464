"""What stands before a plain background."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

NEAR = 10 / 255  # what differs less from the background belongs to it


def silhouette(image: Tensor, tolerance: float = NEAR) -> Tensor:
    """1 on what stands before the background, (B, H, W): all that the border does not reach.

    image: (B, H, W, 3) in [0, 1]. The background's colour is the median of the border's pixels, of
    each picture; it is what differs by at most `tolerance` from that colour in every channel.
    """
    border = torch.cat(
        [image[:, 0], image[:, -1], image[:, :, 0], image[:, :, -1]], dim=1
    )  # (B, 2 H + 2 W, 3)
    background = border.median(dim=1).values[:, None, None]
    near = ((image - background).abs().amax(dim=-1) <= tolerance).float()
    return 1 - _reached(near)


def _reached(open_: Tensor) -> Tensor:
    """The part of the cells (B, H, W) that are 1 which the border reaches, by their sides."""
    reached = open_.clone()
    reached[:, 1:-1, 1:-1] = 0
    while True:
        tall = max_pool2d(reached, (3, 1), stride=1, padding=(1, 0))
        wide = max_pool2d(reached, (1, 3), stride=1, padding=(0, 1))
        grown = torch.maximum(tall, wide) * open_
        if torch.equal(grown, reached):
            return reached
        reached = grown
