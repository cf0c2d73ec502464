"""Diffusion models: unconditional or conditioned, on pixels or on latents, alone or under control.

In latent space x_0 is the autoencoder's z times the model's scale (arXiv:2112.10752, eq. 2):

    L_LDM = E_{z, ε, t} ‖ ε − ε_θ(z_t, t, τ_θ(y)) ‖²
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from nodes.training.autoencoder import Batches
from nodes.training.chance import Chance
from nodes.training.conditioning import Conditioner, dropped
from nodes.training.labels import Labels
from nodes.training.order import Order
from nodes.training.simple_loss import Draw, SimpleLoss

# (x_t, t, tokens) -> what a control network adds to the UNet's features, as its `control`.
Controller = Callable[[tuple[int, ...], Chance, Tensor, Tensor, Tensor | None], Any]


@dataclass(frozen=True, eq=False)
class DiffusionLesson:
    """A UNet learns to tell the noise in what `data` gives.

    data:      x_0 over `scale`: pixels (B, 3, H, W) in [−1, 1], or latents as the VAE made them.
    condition: what it is told; None for an unconditional network.
    labels:    the classes, for a network that has an embedding of them.
    drop:      share of examples that are shown without all that.
    control:   a control network's part, which learns instead where the UNet is frozen.
    trained:   the modules that learn, by name, beside those of `condition`.
    """

    unet: nn.Module
    data: Batches
    order: Order
    objective: SimpleLoss
    trained: Mapping[str, nn.Module]
    condition: Conditioner | None = None
    drop: float = 0.1
    scale: float = 1.0
    control: Controller | None = None
    device: str = "cpu"
    labels: Labels | None = None

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        more = {} if self.condition is None else self.condition.modules
        return {**self.trained, **more}

    def loss(self, examples: tuple[int, ...], chance: Chance) -> tuple[Tensor, dict[str, Tensor]]:
        x_0 = self.data.batch(examples, chance).to(self.device).float() * self.scale
        draw = Draw.of(x_0, self.objective.T, chance)
        found = self.objective(self.network(examples, chance), x_0, draw)
        figures = {"simple": found.simple.mean()}
        if found.bound is not None:
            figures["bound"] = found.bound.mean()
        return found.total, figures

    def network(
        self, examples: tuple[int, ...], chance: Chance
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """(x_t, t) -> the UNet's answer, told what there is to say of these examples."""
        tokens, told = None, {}
        without = dropped(len(examples), self.drop, chance)
        if self.condition is not None:
            tokens = self.condition.tokens(examples, chance, without)
        if self.labels is not None:
            told["y"] = self.labels.of(examples, without)

        def network(x_t: Tensor, t: Tensor) -> Tensor:
            options: dict[str, Any] = {**told}
            if self.control is not None:
                options["control"] = self.control(examples, chance, x_t, t, tokens)
            output: Tensor = self.unet(x_t, t, tokens, **options)
            return output

        return network


@torch.no_grad()
def loss_by_time(
    lesson: DiffusionLesson, examples: tuple[int, ...], buckets: int, chance: Chance
) -> list[float]:
    """L_simple on given examples, unweighted, for times in each of `buckets` equal parts of 0..T.

    Nothing is dropped. Each example is asked about once in each part.
    """
    x_0 = lesson.data.batch(examples, chance).to(lesson.device).float() * lesson.scale
    T, found = lesson.objective.T, []
    plain = SimpleLoss(lesson.objective.sampling, bound=0.0)
    for part in range(buckets):
        draw = Draw.of(x_0, T // buckets, chance.at(part))
        t = draw.t + part * (T // buckets)
        told = replace(lesson, drop=0.0).network(examples, chance)
        found.append(plain(told, x_0, Draw(t, draw.eps)).simple.mean().item())
    return found
