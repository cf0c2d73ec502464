"""A control network's hook: it is shown a picture, and asked along with every question in range."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from nodes.diffusion.area import Area
from nodes.diffusion.hooks import Asked, ControlNetwork, ControlQuery, Hook
from nodes.imaging.resize import resize
from nodes.models.controlnet import HINT_FACTOR

Encode = Callable[[Tensor], Tensor]  # (B, C, 8 h, 8 w) in [0, 1] -> features (B, ..., h, w)


class ControlHook(Hook):
    """Adds a control network's answer while end_sigma <= σ <= start_sigma, at a strength above 0.

    network: rows that name the same object share a call.
    encode:  the hint's features, which no step changes: made once for each size that is asked.
    image:   (B, C, H, W) in [0, 1], of any size, for a latent of `cells` (h, w); it repeats over
             the batch. An entry with an area is shown its part of it.
    weights: for each skip connection, first to last, and the middle; None: 1 for all.
    """

    local = True

    def __init__(
        self,
        network: ControlNetwork,
        encode: Encode,
        image: Tensor,
        cells: tuple[int, int],
        *,
        strength: float = 1.0,
        start_sigma: float,
        end_sigma: float,
        weights: tuple[float, ...] | None = None,
    ) -> None:
        self.network = network
        self.encode = encode
        self.image = image
        self.cells = cells
        self.strength = strength
        self.start_sigma = start_sigma
        self.end_sigma = end_sigma
        self.weights = weights
        self._encoded: dict[tuple[tuple[int, int], Area | None], Tensor] = {}

    def control(self, asked: Asked) -> ControlQuery | None:
        if self.strength == 0 or not self.end_sigma <= asked.sigma <= self.start_sigma:
            return None
        return ControlQuery(self.network, self._features(asked), self.strength, self.weights)

    def _features(self, asked: Asked) -> Tensor:
        size = (asked.x_t.shape[-2], asked.x_t.shape[-1])
        key = (size, asked.area)
        if key not in self._encoded:
            cells = size if asked.area is None else self.cells
            hint = fitted(self.image, *cells)
            if asked.area is not None:
                hint = _pixels(asked.area).of(hint)
            self._encoded[key] = self.encode(hint)
        return self._encoded[key]


def fitted(image: Tensor, height: int, width: int) -> Tensor:
    """(B, C, H, W) -> (B, C, 8 height, 8 width): the centre of the picture, nearest pixels."""
    sides = (HINT_FACTOR * width, HINT_FACTOR * height)
    return resize(image, *sides, "nearest-exact", "center")


def _pixels(area: Area) -> Area:
    cells = (area.height, area.width, area.top, area.left)
    return Area(*(HINT_FACTOR * side for side in cells))
