"""ControlNets through nodes, and the same by loops over diffusers' two networks.

There is a loop for Euler and one for DDIM; only the model's noise levels and the noise of the seed
are shared with the nodes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from controlnet_models import (
    control_model,
    save_diffusers,
    save_original,
    save_unet,
    unet_model,
)
from node_support import Desk
from torch import Tensor

from nodegraph import Context
from nodes.controlnet import (
    KINDS,
    load_control_net,
)
from nodes.diffusion.noise import initial_noise
from nodes.loaders import unet_loader
from nodes.models.clip_config import Family
from nodes.sampling import sampler_custom
from nodes.types import (
    Condition,
    Conditioning,
    ControlNet,
    Image,
    Latent,
    Model,
    Sampler,
    Sigmas,
)

SEED, CFG = 77, 4.0
H, W = 4, 6  # cells
TIMES = (999, 700, 400, 150)
WIDTH = {"sd1": 48, "sd2": 80}
FAMILIES: tuple[Family, ...] = ("sd1", "sd2")


def save_all(folder: Path) -> Path:
    """Both families' UNets, and a ControlNet for each in either layout."""
    made = Desk(folder)
    for family in FAMILIES:
        save_unet(unet_model(family), made.place("unet", f"{family}.safetensors"))
        model = control_model(family)
        save_original(model, made.place("controlnet", f"{family}.safetensors"))
        save_diffusers(model, made.place("controlnet", f"{family}-diffusers.safetensors"))
    return made.folder


def context_of(desk: Desk) -> Context:
    extensions = {**desk.context.extensions, KINDS.point: KINDS.entries}
    return replace(desk.context, extensions=extensions)


def model_of(desk: Desk, family: Family) -> Model:
    return unet_loader(f"{family}.safetensors", "default", context=desk.context)


def net(desk: Desk, name: str = "sd1") -> ControlNet:
    return load_control_net(f"{name}.safetensors", context=desk.context)


def picture(seed: int, count: int = 1, height: int = 8 * H, width: int = 8 * W) -> Image:
    generator = torch.Generator().manual_seed(seed)
    return Image(torch.rand(count, height, width, 3, generator=generator))


def tokens(seed: int, family: Family, count: int = 7) -> Tensor:
    return torch.randn(1, count, WIDTH[family], generator=torch.Generator().manual_seed(seed))


def prompts(family: Family) -> tuple[Conditioning, Conditioning]:
    made = [Conditioning((Condition(tokens(seed, family)),)) for seed in (1, 2)]
    return made[0], made[1]


def noise(batch: int = 2) -> Tensor:
    return initial_noise((batch, 4, H, W), SEED)


def sampled(
    desk: Desk,
    model: Model,
    positive: Conditioning,
    negative: Conditioning,
    *,
    sampler: str = "euler",
    batch: int = 2,
    cfg: float = CFG,
    times: Sequence[int] = TIMES,
) -> Tensor:
    """The nodes' samples, in the model's scale."""
    result = sampler_custom(
        model,
        add_noise=True,
        noise_seed=SEED,
        cfg=cfg,
        positive=positive,
        negative=negative,
        sampler=Sampler(sampler),
        sigmas=Sigmas(model.sampling.schedule.sigmas_at(times)),
        latent_image=Latent(torch.zeros(batch, 4, H, W)),
        context=context_of(desk),
    )
    return result.output.samples * model.scale


# --- the loops over diffusers' networks ----------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """A ControlNet's part in the loop: steps it acts in, sides (positive, negative), weights."""

    family: Family
    hint: Tensor  # (B, 3, 8 H, 8 W)
    strength: float = 1.0
    steps: tuple[int, ...] = (0, 1, 2, 3)
    sides: tuple[bool, bool] = (True, True)
    weights: Sequence[float] | None = None


@cache
def network(make: Callable[[Family], Any], family: Family) -> Any:
    return make(family)


def noise_guess(
    family: Family, x_t: Tensor, t: int, context: Tensor, shown: Sequence[Shown]
) -> Tensor:
    """diffusers' UNet with the sum of what diffusers' ControlNets add, for one side."""
    unet = network(unet_model, family)
    context, time = context.expand(len(x_t), -1, -1), torch.tensor(t)
    sums: list[Tensor] | None = None
    for one in shown:
        hint = torch.cat([one.hint] * len(x_t))[: len(x_t)]
        down, middle = network(control_model, one.family)(
            x_t, time, context, hint, return_dict=False
        )
        weights = one.weights or [1.0] * (len(down) + 1)
        added = [f * one.strength * w for f, w in zip([*down, middle], weights, strict=True)]
        sums = added if sums is None else [a + b for a, b in zip(sums, added, strict=True)]
    options = (
        {}
        if sums is None
        else {
            "down_block_additional_residuals": tuple(sums[:-1]),
            "mid_block_additional_residual": sums[-1],
        }
    )
    return unet(x_t, time, context, **options).sample


def guided(family: Family, x_t: Tensor, step: int, shown: Sequence[Shown], cfg: float) -> Tensor:
    sides = [
        noise_guess(
            family,
            x_t,
            TIMES[step],
            tokens(seed, family),
            [one for one in shown if step in one.steps and one.sides[side]],
        )
        for side, seed in enumerate((1, 2))
    ]
    return sides[1] + cfg * (sides[0] - sides[1])


def euler(model: Model, family: Family, *shown: Shown, batch: int = 2, cfg: float = CFG) -> Tensor:
    """dx/dσ = ε, in steps of σ, from noise √(1 + σ_0²)."""
    alpha_bar = model.sampling.schedule.alpha_bar[list(TIMES)].double()
    sigmas = [*((1 - alpha_bar) / alpha_bar).sqrt().tolist(), 0.0]
    x = noise(batch) * (1 + sigmas[0] ** 2) ** 0.5
    for step, (sigma, following) in enumerate(itertools.pairwise(sigmas)):
        eps = guided(family, x / (1 + sigma**2) ** 0.5, step, shown, cfg)
        x = x + (following - sigma) * eps
    return x


def ddim(model: Model, family: Family, *shown: Shown, batch: int = 2) -> Tensor:
    """x' = √ᾱ' x̂_0 + √(1 - ᾱ') ε, from noise."""
    alpha_bar = [*model.sampling.schedule.alpha_bar[list(TIMES)].tolist(), 1.0]
    x = noise(batch)
    for step, (now, following) in enumerate(itertools.pairwise(alpha_bar)):
        eps = guided(family, x, step, shown, CFG)
        x0 = (x - (1 - now) ** 0.5 * eps) / now**0.5
        x = following**0.5 * x0 + (1 - following) ** 0.5 * eps
    return x


def hint_of(image: Tensor) -> Tensor:
    return image.permute(0, 3, 1, 2)


def assert_close(got: Tensor, expected: Tensor) -> None:
    worst = float((got - expected).abs().max())
    assert worst <= 1e-4, worst
