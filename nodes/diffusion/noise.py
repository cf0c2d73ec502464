"""Where randomness comes from. Nothing here touches the global generator.

The ecosystem's rule, and the default: one draw for the whole batch from one seed, on the CPU for
the initial noise, on the device of x for the noise of each step. `PerImageNoise` and
`initial_noise_per_image` give each image its own generator instead, seeded as a batch of one
would be; an image then does not depend on its neighbours.

A `NoiseSource` is called as source(x, σ, σ_next) at each step that adds noise and returns
z ~ N(0, I) with the shape, dtype and device of x. It is stateful: one source serves one run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

NoiseSource = Callable[[Tensor, float, float], Tensor]
Device = torch.device | str

SEEDS = 2**64


def generator(seed: int, device: Device = "cpu") -> torch.Generator:
    """A generator of its own, seeded with 0 <= seed < 2^64."""
    if not 0 <= seed < SEEDS:
        raise ValueError(f"seed: expected 0..2^64 - 1, got {seed}")
    return torch.Generator(device=device).manual_seed(seed)


def initial_noise(
    shape: Sequence[int],
    seed: int,
    *,
    batch_index: Sequence[int] | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """z ~ N(0, I) of `shape` (B, C, h, w), drawn on the CPU whatever the device of the run.

    With `batch_index` (B indices >= 0) one image is drawn per index 0..max, and each image of
    the batch takes the draw of its index: images cut out of a batch keep their noise.
    """
    source = generator(seed)
    if batch_index is None:
        return torch.randn(tuple(shape), generator=source, dtype=dtype)
    if len(batch_index) != shape[0] or min(batch_index, default=0) < 0:
        raise ValueError(
            f"batch_index: expected {shape[0]} indices >= 0, one per image, got {batch_index}"
        )
    wanted = set(batch_index)
    kept = {}
    for index in range(max(wanted, default=-1) + 1):
        z = torch.randn((1, *shape[1:]), generator=source, dtype=dtype)
        if index in wanted:
            kept[index] = z
    return torch.cat([kept[index] for index in batch_index])


def initial_noise_per_image(
    shape: Sequence[int], seeds: Sequence[int], *, dtype: torch.dtype = torch.float32
) -> Tensor:
    """z ~ N(0, I) of `shape` (B, C, h, w), image i from its own seed i, on the CPU."""
    _check_seeds(seeds, shape[0])
    one = (1, *shape[1:])
    return torch.cat([torch.randn(one, generator=generator(s), dtype=dtype) for s in seeds])


def known_region_noise(sampler: str, noise: Tensor, seed: int) -> Tensor:
    """The noise that inpainting puts on the known region.

    The initial noise again, but for the sampler named "ddim": a second draw, seed + 1, on the CPU.
    """
    if sampler != "ddim":
        return noise
    source = generator((seed + 1) % SEEDS)
    return torch.randn(noise.shape, generator=source, dtype=torch.float32).to(noise)


class BatchNoise:
    """Step noise for the whole batch from one seed; on the CPU from seed + 1.

    The initial noise comes from the seed itself on the CPU: the shift keeps them apart.
    """

    def __init__(self, seed: int, device: Device = "cpu") -> None:
        self._generator = _step_generator(seed, device)

    def __call__(self, x: Tensor, _sigma: float, _sigma_next: float) -> Tensor:
        return _draw(x, self._generator)


class PerImageNoise:
    """Step noise for image i from its own seed i, as a batch of that one image would get it."""

    def __init__(self, seeds: Sequence[int], device: Device = "cpu") -> None:
        self._generators = [_step_generator(seed, device) for seed in seeds]

    def __call__(self, x: Tensor, _sigma: float, _sigma_next: float) -> Tensor:
        _check_seeds(self._generators, len(x))
        return torch.cat([_draw(x[i : i + 1], source) for i, source in enumerate(self._generators)])


def no_noise(x: Tensor, _sigma: float, _sigma_next: float) -> Tensor:
    """z = 0: what is left of a sampler when its noise is switched off."""
    return torch.zeros_like(x)


def _draw(x: Tensor, source: torch.Generator) -> Tensor:
    return torch.randn(x.shape, generator=source, dtype=x.dtype, device=x.device)


def _step_generator(seed: int, device: Device) -> torch.Generator:
    on_cpu = torch.device(device).type == "cpu"
    return generator((seed + 1) % SEEDS if on_cpu else seed, device)


def _check_seeds(seeds: Sequence[object], images: int) -> None:
    if len(seeds) != images:
        raise ValueError(f"seeds: expected one per image, {images}, got {len(seeds)}")
