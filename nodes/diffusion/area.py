"""Areas: an entry of conditioning that is asked about a part of the latent alone.

A latent is h x w cells. Where an area ends inside the picture its weight fades, so that no seam is
left where it meets its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

FADE = 8  # cells; a quarter of the side where that is less


@dataclass(frozen=True)
class Area:
    """A rectangle of a latent in cells: its size, and its distance from the top and the left.

    Raises ValueError for a size below 1 or a distance below 0.
    """

    height: int
    width: int
    top: int = 0
    left: int = 0

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1 or min(self.top, self.left) < 0:
            raise ValueError(f"area: expected sizes from 1 up and places from 0 up, got {self}")

    @property
    def cells(self) -> int:
        return self.height * self.width

    @property
    def bottom(self) -> int:
        return self.top + self.height

    @property
    def right(self) -> int:
        return self.left + self.width

    def contains(self, other: Area) -> bool:
        """Whether no cell of the other lies outside this one."""
        rows = self.top <= other.top and other.bottom <= self.bottom
        return rows and self.left <= other.left and other.right <= self.right

    def of(self, x: Tensor) -> Tensor:
        """(..., h, w) -> (..., height, width), a view. ValueError where the area reaches out."""
        if self.bottom > x.shape[-2] or self.right > x.shape[-1]:
            raise ValueError(f"area: {self} reaches out of a latent of {tuple(x.shape[-2:])} cells")
        return x[..., self.top : self.bottom, self.left : self.right]

    def placed(self, part: Tensor, whole: Tensor) -> Tensor:
        """`part` (..., height, width) at its place in zeros (..., h, w), as large as `whole`."""
        canvas = part.new_zeros(*part.shape[:-2], *whole.shape[-2:])
        canvas[..., self.top : self.bottom, self.left : self.right] = part
        return canvas

    def faded(self, whole: Tensor) -> Tensor:
        """(height, width), float32: 1, falling in n equal steps to 1/n at the sides inside `whole`.

        n is 8, or a quarter of the side if that is less; a side at the border does not fade.
        """
        rows = _faded(self.height, self.top > 0, self.bottom < whole.shape[-2])
        columns = _faded(self.width, self.left > 0, self.right < whole.shape[-1])
        return (rows[:, None] * columns).to(whole.device)


def _faded(side: int, before: bool, after: bool) -> Tensor:
    n = min(FADE, side // 4)
    ramp = torch.arange(1, n + 1) / max(n, 1)
    weights = torch.ones(side)
    if before:
        weights[:n] *= ramp
    if after:
        weights[side - n :] *= ramp.flip(0)
    return weights
