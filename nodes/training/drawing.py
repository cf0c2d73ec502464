"""Pictures that a network draws while it learns, to be looked at."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nodes.diffusion.condition import Condition
from nodes.diffusion.driver import sample
from nodes.diffusion.inpaint import start
from nodes.diffusion.job import Job
from nodes.diffusion.noise import no_noise
from nodes.diffusion.prediction import ModelSampling
from nodes.diffusion.samplers import Sampler
from nodes.diffusion.samplers.ddpm import ddim
from nodes.diffusion.times import spaced_times
from nodes.training.chance import Chance

Network = Callable[..., Tensor]
SamplerOf = Callable[[Tensor, Tensor], Sampler]


def _ddim(x: Tensor, sigmas: Tensor) -> Sampler:
    return ddim(x, sigmas, no_noise)


@torch.no_grad()
def draw(
    network: Network,
    sampling: ModelSampling,
    shape: tuple[int, ...],
    chance: Chance,
    *,
    tokens: Tensor | None = None,
    empty: Tensor | None = None,
    y: Tensor | None = None,
    null: Tensor | None = None,
    guidance: float = 3.0,
    steps: int = 20,
    device: str = "cpu",
    sampler: SamplerOf = _ddim,
) -> Tensor:
    """x̂_0 of `shape` (B, C, h, w) after `steps`, from noise of `chance`.

    sampler: x and the levels -> the sampler; by default DDIM (arXiv:2010.02502).
    network: (x_t, t, tokens) -> its output, called with y=... where classes y (B,) are given.
    tokens (B, L, D), and empty (1, L, D) what it is guided away from; y, and null (1,) likewise.
    There is no guidance where nothing is said, or where what is said has no such counterpart.
    """
    schedule = sampling.schedule
    sigmas = schedule.sigmas_at(spaced_times("trailing", steps, schedule.last_time + 1))
    noise = torch.randn(shape, generator=chance.generator("drawing"), device=chance.device)
    x = start(torch.zeros(shape, device=device), noise.to(device), sigmas, schedule)
    said = [pair for pair in ((tokens, empty), (y, null)) if pair[0] is not None]
    guided = bool(said) and all(against is not None for _, against in said)
    job = Job(
        sampler=sampler(x, sigmas),
        sigmas=sigmas,
        model=sampling,
        positive=(Condition(context=tokens, y=y),),
        negative=(Condition(context=empty, y=null),) if guided else (),
        cfg=guidance if guided else 1.0,
    )
    return sample(job, network)


def grid(pictures: Tensor, columns: int, gap: int = 2) -> Tensor:
    """(B, 3, H, W) -> (3, rows (H + gap) + gap, columns (W + gap) + gap), on white of value 1."""
    count, _, height, width = pictures.shape
    rows = -(-count // columns)
    sheet = pictures.new_ones(3, rows * (height + gap) + gap, columns * (width + gap) + gap)
    for i, picture in enumerate(pictures):
        y, x = gap + (i // columns) * (height + gap), gap + (i % columns) * (width + gap)
        sheet[:, y : y + height, x : x + width] = picture
    return sheet
