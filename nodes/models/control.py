"""What a control network adds to a UNet (ControlNet, Zhang et al. 2023, arXiv:2302.05543)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Control:
    """Features for the way through a UNet.

    `skips` holds one tensor for each entry of input_blocks, first to last, shaped like its output;
    the way up reads them last to first. `middle` is added to the middle block's output.
    """

    skips: tuple[Tensor, ...]
    middle: Tensor | None = None

    def each(self, change: Callable[[Tensor], Tensor]) -> Control:
        """The same with every tensor changed."""
        middle = None if self.middle is None else change(self.middle)
        return Control(tuple(change(skip) for skip in self.skips), middle)

    def weighted(self, weights: Tensor) -> Control:
        """Row by row and place by place: weights (B, len(skips) + 1), the middle's last."""
        columns = weights.T
        skips = tuple(_times(s, w) for s, w in zip(self.skips, columns[:-1], strict=True))
        return Control(skips, None if self.middle is None else _times(self.middle, columns[-1]))

    def __add__(self, other: Control) -> Control:
        """Both together. Raises ValueError for controls of different architectures."""
        if len(self.skips) != len(other.skips):
            raise ValueError(
                f"controls for {len(self.skips)} and for {len(other.skips)} skip connections "
                "cannot be added: they belong to different architectures"
            )
        skips = tuple(a + b for a, b in zip(self.skips, other.skips, strict=True))
        if self.middle is None or other.middle is None:
            return Control(skips, other.middle if self.middle is None else self.middle)
        return Control(skips, self.middle + other.middle)


def _times(feature: Tensor, weights: Tensor) -> Tensor:
    return feature * weights.to(feature).view(-1, *[1] * (feature.ndim - 1))
