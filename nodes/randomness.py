"""Where the noise of a run comes from: one seed for the batch, or one for each image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nodes.diffusion.noise import (
    SEEDS,
    initial_noise,
    initial_noise_per_image,
    known_region_noise,
)
from nodes.types import Latent


@dataclass(frozen=True)
class Noise:
    """The noise of a run.

    seed:      all of it comes from here. added: whether a run starts with noise on the latent.
    per_image: the noise of image i comes from seed + i alone, as if it were a batch of its own
               with that seed; else one draw is for the whole batch, the ecosystem's rule.
    """

    seed: int
    added: bool = True
    per_image: bool = False

    def seeds(self, latent: Latent) -> int | list[int]:
        """One seed for the batch, or one for each image."""
        if not self.per_image:
            return self.seed
        places = latent.batch_index or range(len(latent.samples))
        return [(self.seed + i) % SEEDS for i in places]

    def initial(self, latent: Latent) -> Tensor:
        """z on the CPU, shaped like the latent's samples; zeros if none is added."""
        shape, seeds = latent.samples.shape, self.seeds(latent)
        if not self.added:
            return torch.zeros(shape)
        if isinstance(seeds, int):
            return initial_noise(shape, seeds, batch_index=latent.batch_index)
        return initial_noise_per_image(shape, seeds)

    def known_region(self, sampler: str, initial: Tensor, latent: Latent) -> Tensor:
        """What the known region of an inpainting run is hidden under; shaped like `initial`."""
        seeds = self.seeds(latent)
        if isinstance(seeds, int):
            return known_region_noise(sampler, initial, seeds)
        rows = [initial[i : i + 1] for i in range(len(initial))]
        pairs = zip(rows, seeds, strict=True)
        return torch.cat([known_region_noise(sampler, row, seed) for row, seed in pairs])
