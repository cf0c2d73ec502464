"""How pictures are framed: to what size, what is cut off, whether mirrored; and where by chance.

A picture is scaled until it just covers its size, and what stands out on one side is cut off. A
view says where: 0 keeps the beginning, 1 the end, 1/2 the middle.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from nodes.training.buckets import Size, bucket_sizes
from nodes.training.chance import Chance

Crop = Literal["center", "random"]
WHITE = (1.0, 1.0, 1.0)
MIDDLE = 0.5


@dataclass(frozen=True)
class Framing:
    """How pictures are brought to the sizes of batches.

    resolution: side of a square, in pixels; other sizes have about as many pixels.
    step:       sides are multiples of it. widest: the longer side over the shorter, at most.
    square:     all pictures become squares; otherwise each the size of nearest aspect.
    crop:       what is kept of what stands out. flip: the share of pictures that is mirrored.
    background: (r, g, b) in [0, 1], what transparent pictures are laid on.
    """

    resolution: int = 128
    step: int = 64
    square: bool = True
    crop: Crop = "center"
    flip: float = 0.0
    background: tuple[float, float, float] = WHITE
    widest: float = 2.0

    def __post_init__(self) -> None:
        if self.crop not in get_args(Crop):
            raise ValueError(f"crop: expected {' or '.join(get_args(Crop))}, got {self.crop!r}")
        if not 0 <= self.flip <= 1:
            raise ValueError(f"flip: expected a share in [0, 1], got {self.flip}")
        if len(self.background) != len(WHITE) or not all(0 <= c <= 1 for c in self.background):
            raise ValueError(f"background: expected three values in [0, 1], got {self.background}")
        bucket_sizes(self.resolution, self.step, self.widest)

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The sizes there are."""
        if self.square:
            return ((self.resolution, self.resolution),)
        return bucket_sizes(self.resolution, self.step, self.widest)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Views:
    """Which part of each of B pictures is seen: x, y (B,) in [0, 1], mirrored (B,) bool."""

    x: Tensor
    y: Tensor
    mirrored: Tensor

    @classmethod
    def middle(cls, count: int, mirrored: bool = False) -> Views:
        """Of `count` pictures the middle."""
        half = torch.full((count,), MIDDLE)
        return cls(half, half, torch.full((count,), mirrored))

    @classmethod
    def drawn(cls, framing: Framing, count: int, chance: Chance) -> Views:
        """A random view of each of `count` pictures; equal chance, equal views."""
        generator = chance.generator("view")
        x, y, mirror = torch.rand(3, count, generator=generator, device=chance.device).cpu()
        mirrored = mirror < framing.flip
        if framing.crop == "center":
            x, y = torch.full_like(x, MIDDLE), torch.full_like(y, MIDDLE)
        return cls(x, y, mirrored)
