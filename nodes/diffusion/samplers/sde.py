"""DPM-Solver++ for the diffusion's stochastic equation (arXiv:2211.01095, §3.4 and its authors').

λ = −log σ, h the step in λ, D = x̂_0. Between the levels the noise is a Brownian motion, so the
noise source is meant to be one path (`brownian.BrownianNoise`): then shorter steps follow the same
path more closely. η = 1 is the stochastic equation itself, η = 0 the probability flow.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from nodes.diffusion.noise import NoiseSource
from nodes.diffusion.samplers.exponential import phi_2
from nodes.diffusion.samplers.second_order import between, toward
from nodes.diffusion.samplers.stepping import Sampler, ancestral_levels, steps_of

Solver = Literal["midpoint", "heun"]
SOLVERS: tuple[Solver, ...] = ("midpoint", "heun")


def dpmpp_sde(
    x: Tensor,
    sigmas: Tensor,
    noise: NoiseSource,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r: float = 0.5,
) -> Sampler:
    """Two looks per step: at σ, and at the level a share `r` of the way to s in λ.

    Both legs start from x: the first with D goes to the middle, the second all the way with
    (1 − 1/2r) D + 1/2r D_m. Each goes to `down` and adds noise of `up`; the step to 0 lands on D.
    """
    for sigma, s in steps_of(sigmas, x):
        predicted = yield x, sigma.item()
        if s == 0:
            x = toward(predicted.denoised, x, sigma, s)
            continue
        middle, D = between(sigma, s, r), predicted.denoised
        down, up = ancestral_levels(sigma, middle, eta)
        halfway = toward(D, x, sigma, down)
        halfway = halfway + noise(x, sigma.item(), middle.item()) * s_noise * up
        predicted = yield halfway, middle.item()
        down, up = ancestral_levels(sigma, s, eta)
        mean = (1 - 1 / (2 * r)) * D + 1 / (2 * r) * predicted.denoised
        x = toward(mean, x, sigma, down) + noise(x, sigma.item(), s.item()) * s_noise * up
    return x


def dpmpp_2m_sde(
    x: Tensor,
    sigmas: Tensor,
    noise: NoiseSource,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    solver: Solver = "midpoint",
) -> Sampler:
    """x ← (s/σ) e^{−ηh} x + (1 − e^{−z}) D + w (D − D')/r + s √(1 − e^{−2ηh}) z_n, z = (1 + η) h

    r = h'/h with D' and h' of the step before; w = (1 − e^{−z})/2 for "midpoint" and
    1 − (1 − e^{−z})/z for "heun". One look per step; the step to 0 lands on D.
    """
    if solver not in SOLVERS:
        raise ValueError(f"solver {solver!r}: expected one of {', '.join(SOLVERS)}")
    before: tuple[Tensor, Tensor] | None = None  # (D', h')
    for sigma, s in steps_of(sigmas, x):
        predicted = yield x, sigma.item()
        D = predicted.denoised
        if s == 0:
            x = D
            continue
        h, z, x = _straight(D, x, sigma, s, eta)
        if before is not None:
            slope = (D - before[0]) * (h / before[1])
            x = x + slope * (-(-z).expm1() / 2 if solver == "midpoint" else z * phi_2(-z))
        x = x + _fresh(x, sigma, s, noise, eta, s_noise)
        before = D, h
    return x


def dpmpp_3m_sde(
    x: Tensor, sigmas: Tensor, noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """x ← (s/σ) e^{−ηh} x + (1 − e^{−z}) D + z φ_2 D_1 − z φ_3 D_2 + s √(1 − e^{−2ηh}) z_n

    z = (1 + η) h, φ at −z; D_1 and D_2 are the divided differences of D over the last three
    answers, in units of h. One look per step; the step to 0 lands on D.
    """
    known: list[tuple[Tensor, Tensor]] = []  # (D, length of the step from it), the newest first
    for sigma, s in steps_of(sigmas, x):
        predicted = yield x, sigma.item()
        D = predicted.denoised
        if s == 0:
            x = D
            continue
        h, z, x = _straight(D, x, sigma, s, eta)
        x = x + _bend(D, h, z, known) + _fresh(x, sigma, s, noise, eta, s_noise)
        known = [(D, h), *known][:2]
    return x


def _straight(
    D: Tensor, x: Tensor, sigma: Tensor, s: Tensor, eta: float
) -> tuple[Tensor, Tensor, Tensor]:
    """h, z = (1 + η) h, and x if D stayed the same: (s/σ) e^{−ηh} x + (1 − e^{−z}) D"""
    h = sigma.log() - s.log()
    z = (1 + eta) * h
    return h, z, s / sigma * (-eta * h).exp() * x - (-z).expm1() * D


def _bend(D: Tensor, h: Tensor, z: Tensor, known: list[tuple[Tensor, Tensor]]) -> Tensor | float:
    """φ_2 z D_1 − φ_3 z D_2, as far as there are answers to take differences of."""
    if not known:
        return 0.0
    D_before, r = known[0][0], known[0][1] / h
    first = (D - D_before) / r
    weight = z * phi_2(-z)  # 1 − (1 − e^{−z})/z
    if len(known) == 1:
        return weight * first
    r_2 = known[1][1] / h
    change = first - (D_before - known[1][0]) / r_2
    D_1, D_2 = first + change * r / (r + r_2), change / (r + r_2)
    return weight * D_1 - (weight / z - 0.5) * D_2


def _fresh(
    x: Tensor, sigma: Tensor, s: Tensor, noise: NoiseSource, eta: float, s_noise: float
) -> Tensor | float:
    """s √(1 − e^{−2ηh}) z_n"""
    if eta == 0:
        return 0.0
    h = sigma.log() - s.log()
    deviation = s * (-(-2 * eta * h).expm1()).sqrt() * s_noise
    return noise(x, sigma.item(), s.item()) * deviation
