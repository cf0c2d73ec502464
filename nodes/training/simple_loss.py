"""L_simple: what a diffusion network learns (DDPM, arXiv:2006.11239, algorithm 1).

    repeat  x_0 ~ q(x_0);  t ~ Uniform({0..T−1});  ε ~ N(0, I)
            take a gradient step on  ‖ ε − ε_θ(√ᾱ_t x_0 + √(1−ᾱ_t) ε, t) ‖²

and its relatives for networks that answer with v or x_0, with other weights over t, and with
another distance than the square.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import huber_loss, l1_loss, mse_loss, smooth_l1_loss

from nodes.diffusion.prediction import (
    ModelSampling,
    PredictionKind,
    noised,
    split_variance,
    training_target,
)
from nodes.training.chance import Chance
from nodes.training.variational import at_times, variance_bound

Distance = Literal["mse", "l1", "huber", "smooth_l1"]
DISTANCES: Mapping[Distance, Callable[..., Tensor]] = {
    "mse": mse_loss,
    "l1": l1_loss,
    "huber": huber_loss,
    "smooth_l1": smooth_l1_loss,
}
Network = Callable[[Tensor, Tensor], Tensor]  # (x_t (B, C, ...), t (B,)) -> (B, C or 2C, ...)


@dataclass(frozen=True, eq=False)
class Draw:
    """The random numbers of a batch: t (B,) whole times, ε (B, C, ...)."""

    t: Tensor
    eps: Tensor

    @classmethod
    def of(cls, x_0: Tensor, T: int, chance: Chance) -> Draw:
        t = torch.randint(T, (len(x_0),), generator=chance.generator("time"), device=chance.device)
        eps = torch.randn(x_0.shape, generator=chance.generator("noise"), device=chance.device)
        return cls(t.to(x_0.device), eps.to(x_0.device))


@dataclass(frozen=True, eq=False)
class Losses:
    """Per example (B,): `simple` and, of a network that learns its variance, `bound`.

    `total` is the mean that is descended.
    """

    total: Tensor
    simple: Tensor
    bound: Tensor | None = None


@dataclass(frozen=True, eq=False)
class SimpleLoss:
    """L_simple, or L_hybrid = L_simple + λ L_vlb of a network with 2C outputs.

    sampling: the levels and what the network answers with.
    snr_limit: γ of min-SNR weighting (arXiv:2303.09556); None: every time counts alike.
    bound:     λ of the hybrid (arXiv:2102.09672, §3.1: 0.001, for L_vlb in nats and summed over T).
    distance:  between answer and target, number by number. Huber's is d²/2 up to 1 and |d| − 1/2
               beyond; so is the smooth L1.
    """

    sampling: ModelSampling
    snr_limit: float | None = None
    bound: float = 0.001
    distance: Distance = "mse"

    @property
    def T(self) -> int:
        return len(self.sampling.schedule.alpha_bar)

    def __call__(self, network: Network, x_0: Tensor, draw: Draw) -> Losses:
        """x_0 (B, C, ...) float32 in the model's scale; gradients flow into the network."""
        alpha_bar = at_times(self.sampling.schedule.alpha_bar, draw.t, x_0)
        x_t = noised(x_0, draw.eps, alpha_bar)
        target = training_target(self.sampling.kind, x_0, draw.eps, alpha_bar)
        output, v = split_variance(network(x_t, draw.t).float(), x_0.shape[1])
        apart = DISTANCES[self.distance](output, target, reduction="none")
        simple = apart.flatten(1).mean(1)
        weighted = (simple * self.weights(draw.t)).mean()
        if v is None:
            return Losses(weighted, simple.detach())
        bound = variance_bound(self.sampling, output, v, x_0, x_t, draw.t)
        total = weighted + self.bound * self.T * bound.mean()
        return Losses(total, simple.detach(), bound.detach())

    def weights(self, t: Tensor) -> Tensor:
        """(B,): 1, or min(SNR, γ) brought to what the network answers with."""
        if self.snr_limit is None:
            return torch.ones_like(t, dtype=torch.float32)
        alpha_bar = self.sampling.schedule.alpha_bar.to(t.device)[t]
        return min_snr(self.sampling.kind, alpha_bar / (1 - alpha_bar), self.snr_limit).float()


def min_snr(kind: PredictionKind, snr: Tensor, limit: float) -> Tensor:
    """w_t of the loss on the network's own output, from SNR = ᾱ/(1−ᾱ) (arXiv:2303.09556, §3.4).

    On x_0: min(SNR, γ). An ε loss is SNR times that on x_0, a v loss SNR + 1 times, so
    ε: min(SNR, γ)/SNR;  v: min(SNR, γ)/(SNR + 1).
    """
    clamped = snr.clamp(max=limit)
    match kind:
        case "eps":
            return clamped / snr
        case "v":
            return clamped / (snr + 1)
        case _:
            return clamped
