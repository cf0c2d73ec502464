"""Noise of the stochastic samplers: increments of one Brownian path W, with σ as its time.

z = (W(s) − W(σ)) / √|s − σ| is N(0, I), and the increments of a step and of its parts fit together,
so that the same seed with more steps follows the same path. The path is torchsde's Brownian tree
(Kidger et al. 2021, arXiv:2105.13493), a function of the seed alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nodes.diffusion.noise import Device

DIGITS = 6  # decimals of σ that a tree tells apart; beyond its rounded ends it complains
Path = Callable[[float, float], Tensor]  # W(t1) − W(t0), t0 <= t1


class BrownianNoise:
    """A `noise.NoiseSource` over the levels of one walk.

    `seeds`: one seed is one path for the whole batch, the ecosystem's rule; a sequence gives each
    image a path of its own, as a batch of that one image would get it with that seed.
    `device`: where the path is drawn ("cpu": the same values whatever the device of x).
    """

    def __init__(self, sigmas: Tensor, seeds: int | Sequence[int], device: Device = "cpu") -> None:
        above = [round(level, DIGITS) for level in sigmas.tolist() if level > 0]
        self._start, self._end = min(above, default=0.0), max(above, default=0.0)
        self._seeds, self._device = seeds, device
        self._paths: list[Path] | None = None

    def __call__(self, x: Tensor, sigma: float, sigma_next: float) -> Tensor:
        """z, shaped like x. σ and the next σ lie within the walk (rounding apart) and differ."""
        if self._paths is None:
            self._paths = self._made(x)
        start, end = sorted(self._within(level) for level in (sigma, sigma_next))
        sign = 1 if sigma_next > sigma else -1
        increments = [path(start, end) for path in self._paths]
        dw = increments[0] if isinstance(self._seeds, int) else torch.stack(increments)
        return (dw * (sign / math.sqrt(end - start))).to(x)

    def _within(self, level: float) -> float:
        return min(max(level, self._start), self._end)

    def _made(self, x: Tensor) -> list[Path]:
        if isinstance(self._seeds, int):
            return [self._path(x, self._seeds)]
        if len(self._seeds) != len(x):
            raise ValueError(f"seeds: expected one per image, {len(x)}, got {len(self._seeds)}")
        return [self._path(image, seed) for image, seed in zip(x, self._seeds, strict=True)]

    def _path(self, x: Tensor, seed: int) -> Path:
        try:
            import torchsde  # takes a second, and only these samplers need it
        except ModuleNotFoundError as missing:
            raise ModuleNotFoundError(
                "this sampler follows a Brownian path, which torchsde draws: pip install torchsde"
            ) from missing
        w_0 = torch.zeros(x.shape, dtype=x.dtype, device=self._device)
        tree: Path = torchsde.BrownianTree(self._start, w_0, self._end, entropy=seed)
        return tree
