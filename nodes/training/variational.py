"""The variational bound on −log p(x_0) (DDPM, arXiv:2006.11239, eq. 5; arXiv:2102.09672, §2.1).

    L_vlb = L_T + Σ_{t=1}^{T−1} L_t + L_0
    L_T = KL(q(x_T | x_0) ‖ N(0, I)),  L_t = KL(q(x_{t−1} | x_t, x_0) ‖ p_θ(x_{t−1} | x_t)),
    L_0 = −log p_θ(x_0 | x_1), of pixels in [−1, 1] that came from 256 levels.

Times are counted from 0 here: time 0 is the paper's t = 1. All terms are in nats per dimension,
(B,), unless a name says bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nodes.diffusion.prediction import (
    ModelSampling,
    learned_log_variance,
    noised,
    split_variance,
    x0_from,
)
from nodes.diffusion.schedule import betas_of
from nodes.training.chance import Chance

LEVELS = 255.0  # steps between the values of an 8-bit pixel
Network = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Posterior:
    """q(x_{t−1} | x_t, x_0) = N(c_0 x_0 + c_t x_t, β̃_t) (DDPM, eq. 6 and 7), tables (T,) float64.

    log_variance: log β̃_t, where β̃_0 = 0 is replaced by β̃_1 (arXiv:2102.09672, as its code does).
    """

    c_0: Tensor
    c_t: Tensor
    log_variance: Tensor
    log_beta: Tensor

    @classmethod
    def of(cls, alpha_bar: Tensor) -> Posterior:
        alpha_bar = alpha_bar.double()
        beta = betas_of(alpha_bar)
        before = torch.cat([alpha_bar.new_ones(1), alpha_bar[:-1]])
        beta_tilde = beta * (1 - before) / (1 - alpha_bar)
        beta_tilde = torch.cat([beta_tilde[1:2], beta_tilde[1:]])
        c_0 = before.sqrt() * beta / (1 - alpha_bar)
        c_t = (1 - beta).sqrt() * (1 - before) / (1 - alpha_bar)
        return cls(c_0, c_t, beta_tilde.log(), beta.log())

    def mean(self, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        return at_times(self.c_0, t, x_0) * x_0 + at_times(self.c_t, t, x_0) * x_t


def variance_bound(
    sampling: ModelSampling, output: Tensor, v: Tensor, x_0: Tensor, x_t: Tensor, t: Tensor
) -> Tensor:
    """L_t at times t of a network that answered (output, v); only v gets gradients.

    The mean is held fixed (arXiv:2102.09672, §3.1), so that the bound teaches the variance alone.
    """
    return _term(sampling, output.detach(), v, x_0, x_t, t)


@dataclass(frozen=True, eq=False)
class Bound:
    """What `bits_per_dimension` found, each (B,), in bits per dimension.

    terms: (B, T), L_0 to L_{T−1}. prior: L_T. total: their sum.
    """

    terms: Tensor
    prior: Tensor

    @property
    def total(self) -> Tensor:
        return self.terms.sum(1) + self.prior


@torch.no_grad()
def bits_per_dimension(
    network: Network, sampling: ModelSampling, x_0: Tensor, chance: Chance, variance: str = "beta"
) -> Bound:
    """The bound for x_0 (B, C, ...) in [−1, 1], one draw of ε for each time.

    variance: of p_θ where the network has not learned one: "beta" or "beta_tilde".
    Asks the network T times about the whole batch.
    """
    alpha_bar = sampling.schedule.alpha_bar
    terms = []
    for time in range(len(alpha_bar)):
        t = torch.full((len(x_0),), time, device=x_0.device)
        generator = chance.at(time).generator("noise")
        eps = torch.randn(x_0.shape, generator=generator, device=chance.device).to(x_0.device)
        x_t = noised(x_0, eps, at_times(alpha_bar, t, x_0))
        output, v = split_variance(network(x_t, t).float(), x_0.shape[1])
        terms.append(_term(sampling, output, v, x_0, x_t, t, variance))
    bits = torch.stack(terms, dim=1) / math.log(2)
    return Bound(bits, prior_term(alpha_bar, x_0) / math.log(2))


def prior_term(alpha_bar: Tensor, x_0: Tensor) -> Tensor:
    """L_T = KL(N(√ᾱ_T x_0, 1 − ᾱ_T) ‖ N(0, 1))."""
    last = alpha_bar[-1].to(x_0)
    mean, log_variance = last.sqrt() * x_0, torch.log1p(-last).expand_as(x_0)
    zero = torch.zeros_like(x_0)
    return _per_dimension(normal_kl(mean, log_variance, zero, zero))


def normal_kl(mean_1: Tensor, log_1: Tensor, mean_2: Tensor, log_2: Tensor) -> Tensor:
    """KL(N(μ_1, e^{l_1}) ‖ N(μ_2, e^{l_2})), place by place.

    ½ (l_2 − l_1 + e^{l_1 − l_2} + (μ_1 − μ_2)² e^{−l_2} − 1)
    """
    spread = (mean_1 - mean_2).square() * (-log_2).exp()
    return (log_2 - log_1 + (log_1 - log_2).exp() + spread - 1) / 2


def discrete_log_likelihood(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log of the normal's mass in the bin of each 8-bit value (DDPM, eq. 13); bins at ±1 are open.

    x in [−1, 1], in steps of 2/255.
    """
    scale = (-log_variance / 2).exp()
    upper = _normal_cdf((x - mean + 1 / LEVELS) * scale)
    lower = _normal_cdf((x - mean - 1 / LEVELS) * scale)
    upper = torch.where(x > 0.999, torch.ones_like(upper), upper)
    lower = torch.where(x < -0.999, torch.zeros_like(lower), lower)
    return (upper - lower).clamp_min(1e-12).log()


def _term(
    sampling: ModelSampling,
    output: Tensor,
    v: Tensor | None,
    x_0: Tensor,
    x_t: Tensor,
    t: Tensor,
    variance: str = "beta",
) -> Tensor:
    """L_t (B,); at time 0 it is L_0."""
    posterior = Posterior.of(sampling.schedule.alpha_bar)
    alpha_bar = at_times(sampling.schedule.alpha_bar, t, x_0)
    estimate = x0_from(sampling.kind, output, x_t, alpha_bar)
    log_beta, log_tilde = (
        at_times(posterior.log_beta, t, x_0),
        at_times(posterior.log_variance, t, x_0),
    )
    if v is not None:
        log_variance = learned_log_variance(v, log_beta.exp(), log_tilde.exp())
    else:
        log_variance = (log_beta if variance == "beta" else log_tilde).expand_as(x_0)
    mean = posterior.mean(estimate, x_t, t)
    kl = normal_kl(posterior.mean(x_0, x_t, t), log_tilde, mean, log_variance)
    nll = -discrete_log_likelihood(x_0, mean, log_variance)
    return torch.where(t == 0, _per_dimension(nll), _per_dimension(kl))


def _normal_cdf(x: Tensor) -> Tensor:
    return torch.special.ndtr(x)


def _per_dimension(x: Tensor) -> Tensor:
    return x.flatten(1).mean(1)


def at_times(table: Tensor, t: Tensor, like: Tensor) -> Tensor:
    """table (T,) at times t (B,), float32, shaped to broadcast against `like` (B, ...)."""
    return table.to(t.device)[t].float().view(-1, *[1] * (like.ndim - 1))
