"""Which picture of a set one is most like: by small colours and by the directions of edges.

Pictures are (B, 3, H, W) in [0, 1]. The features are computed and not learned, so that no model is
judged by what it was trained with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

THUMBNAIL = 16  # pixels, side of the colours that are compared
HOG_SIDE, CELL, BINS = 64, 8, 9  # pixels, pixels, directions in half a turn
WHITE_D65 = (0.95047, 1.0, 1.08883)  # X, Y, Z
TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)  # of linear sRGB (IEC 61966-2-1)
LUMA = (0.299, 0.587, 0.114)


def lab(pictures: Tensor) -> Tensor:
    """sRGB -> CIE L*a*b* under D65, (B, 3, H, W): L* in 0..100."""
    linear = torch.where(
        pictures <= 0.04045, pictures / 12.92, ((pictures + 0.055) / 1.055).clamp_min(0) ** 2.4
    )
    xyz = torch.einsum("ij,bjhw->bihw", pictures.new_tensor(TO_XYZ), linear)
    ratio = xyz / pictures.new_tensor(WHITE_D65).view(1, 3, 1, 1)
    edge = 6 / 29
    f = torch.where(
        ratio > edge**3, ratio.clamp_min(edge**3) ** (1 / 3), ratio / (3 * edge**2) + 4 / 29
    )
    x, y, z = f.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def thumbnails(pictures: Tensor) -> Tensor:
    """(B, 3 · 16²): the colours of a small version, in L*a*b*."""
    small = interpolate(pictures, size=(THUMBNAIL, THUMBNAIL), mode="area")
    return lab(small).flatten(1)


def hog(pictures: Tensor) -> Tensor:
    """(B, 7² · 4 · 9): histograms of oriented gradients (Dalal and Triggs 2005) at 64 x 64 pixels.

    Cells of 8 x 8 pixels, 9 directions in half a turn, each gradient shared by the two nearest;
    blocks of 2 x 2 cells brought to length 1.
    """
    side = (HOG_SIDE, HOG_SIDE)
    resized = interpolate(
        pictures, size=side, mode="area" if pictures.shape[-1] > 64 else "bilinear"
    )
    grey = torch.einsum("c,bchw->bhw", pictures.new_tensor(LUMA), resized)
    dy, dx = torch.zeros_like(grey), torch.zeros_like(grey)
    dx[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    dy[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    strength = (dx**2 + dy**2).sqrt()
    turn = torch.atan2(dy, dx).remainder(math.pi) * BINS / math.pi  # in 0..BINS
    low = turn.floor()
    share = turn - low
    cells = torch.stack(
        [
            torch.where(low % BINS == k, strength * (1 - share), 0)
            + torch.where((low + 1) % BINS == k, strength * share, 0)
            for k in range(BINS)
        ],
        dim=1,
    )
    cells = avg_pool2d(cells, CELL)  # (B, 9, 8, 8)
    corners = [cells[:, :, y : y + 7, x : x + 7] for y in (0, 1) for x in (0, 1)]
    blocks = torch.cat(corners, dim=1)  # (B, 36, 7, 7)
    return (blocks / (blocks.square().sum(1, keepdim=True) + 1e-6).sqrt()).flatten(1)


@dataclass(frozen=True, eq=False)
class Gallery:
    """A set of pictures with captions, to look for the nearest one in.

    Features are thumbnails and gradients, each centred on the set's mean and divided by the set's
    root mean square distance from it, so that both count alike; the distance is Euclid's.
    """

    captions: tuple[str, ...]
    features: Tensor
    centres: tuple[Tensor, Tensor]
    spreads: tuple[float, float]

    @classmethod
    def of(cls, pictures: Tensor, captions: Sequence[str]) -> Gallery:
        if len(pictures) != len(captions):
            raise ValueError(f"expected {len(pictures)} captions, got {len(captions)}")
        kinds = (thumbnails(pictures), hog(pictures))
        first, second = (kind.mean(0) for kind in kinds)
        one, two = (
            float((kind - kind.mean(0)).square().sum(1).mean().sqrt()) or 1.0 for kind in kinds
        )
        made = cls(tuple(captions), pictures.new_zeros(0), (first, second), (one, two))
        return cls(made.captions, made.describe(pictures), made.centres, made.spreads)

    def describe(self, pictures: Tensor) -> Tensor:
        """(B, F)."""
        kinds = zip((thumbnails(pictures), hog(pictures)), self.centres, self.spreads, strict=True)
        return torch.cat([(kind - centre) / spread for kind, centre, spread in kinds], dim=1)

    def nearest(self, pictures: Tensor, count: int) -> list[tuple[str, ...]]:
        """For each picture the captions of the `count` nearest, the nearest first."""
        distance = torch.cdist(self.describe(pictures), self.features)
        order = distance.topk(min(count, len(self.captions)), largest=False).indices
        return [tuple(self.captions[i] for i in row) for row in order.tolist()]

    def recall(self, pictures: Tensor, captions: Sequence[str], count: int = 1) -> float:
        """The share of pictures that have their caption among those of the `count` nearest."""
        found = self.nearest(pictures, count)
        hits = [caption in row for caption, row in zip(captions, found, strict=True)]
        return sum(hits) / len(hits)
