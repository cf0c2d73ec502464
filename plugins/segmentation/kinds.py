"""SEGMENTS: pictures in parts, each with a number and a colour."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nodegraph import NodeGraphError, PortType, structural

from .clusters import lab

FARTHEST = 40.0  # in Lab; a colour that is meant is at most so far


@dataclass(frozen=True, eq=False)
class Segments:
    """B pictures in K parts.

    labels: (B, H, W), whole numbers 0..K-1, the part each pixel belongs to. colors: (K, 3), RGB in
    [0, 1], the mean of each part. Part 0 is the largest, and so on.
    """

    labels: Tensor
    colors: Tensor

    @classmethod
    def of(cls, labels: Tensor, image: Tensor) -> Segments:
        """Parts by labels, whatever their numbers, numbered by size and coloured by the picture."""
        _, inverse, counts = torch.unique(labels, return_inverse=True, return_counts=True)
        order = counts.argsort(descending=True, stable=True)
        rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order)))
        numbered = rank[inverse]
        sums = torch.zeros(len(order), 3, dtype=torch.float64)
        sums.index_add_(0, numbered.flatten(), image[..., :3].reshape(-1, 3).double())
        return cls(numbered, (sums / counts[order][:, None]).float())

    def __len__(self) -> int:
        return len(self.colors)

    @property
    def image(self) -> Tensor:
        """(B, H, W, 3), each part in its colour."""
        return self.colors[self.labels]

    @property
    def index(self) -> Tensor:
        """(B, H, W), number / 255."""
        return self.labels.float() / 255

    def mask(self, number: int) -> Tensor:
        """(B, H, W), 1 in this part."""
        return (self.labels == number).float()

    def describe(self, number: int) -> str:
        red, green, blue = (self.colors[number] * 255).round().int().tolist()
        share = float(self.mask(number).mean())
        return f"{number} (#{red:02x}{green:02x}{blue:02x}, {share:.1%})"

    def named(self, name: str) -> int:
        """The part that a number or a colour means. Raises NodeGraphError for one that is not."""
        number = int(name) if name.isdecimal() else self.nearest(name)
        if number is None or number >= len(self):
            listed = ", ".join(self.describe(number) for number in range(len(self)))
            raise NodeGraphError(
                f"there is no segment {name!r}: expected a number or a colour near that of one "
                f"(red, #ff0000); there are {listed}"
            )
        return number

    def nearest(self, name: str) -> int | None:
        """The part nearest in colour, if any is near; None also for what is no colour."""
        from PIL import ImageColor

        try:
            wanted = torch.tensor([ImageColor.getrgb(name)[:3]]) / 255
        except ValueError:
            return None
        away = (lab(self.colors) - lab(wanted)).norm(dim=1)
        return int(away.argmin()) if float(away.min()) <= FARTHEST else None


SEGMENTS = PortType("SEGMENTS", Segments, color="#c0ca33", codec=structural(Segments))
