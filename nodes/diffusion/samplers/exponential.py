"""Exponential integrators with memory: DPM-Solver++(2M), RES, UniPC; one look per step.

λ = −log σ, h the step in λ, D = x̂_0. Along the probability flow

    x_s = e^{−h} x_σ + ∫_0^h e^{u−h} D(λ + u) du,

and each method replaces D by a polynomial in λ through the answers it remembers. The step to 0 has
no end in λ: there it is a constant, and the step lands on D.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nodes.diffusion.noise import NoiseSource
from nodes.diffusion.samplers.second_order import toward
from nodes.diffusion.samplers.stepping import Sampler, ancestral_levels, steps_of

UNI_PC_ORDER = 3
UNI_PC_END = 0.001  # in place of a last level of 0, as in the ecosystem


def dpmpp_2m(x: Tensor, sigmas: Tensor, _noise: NoiseSource) -> Sampler:
    """x ← (s/σ) x + (1 − e^{−h}) ((1 + 1/2r) D − 1/2r D'), r = h'/h   (arXiv:2211.01095, alg. 2)

    D' and h' are the answer and the length of the step before.
    """
    before, h_before = None, torch.zeros(())
    for sigma, s in steps_of(sigmas, x, may_ascend=True):
        predicted = yield x, sigma.item()
        h, mean = sigma.log() - s.log(), predicted.denoised
        if before is not None and s > 0:
            r = h_before / h
            mean = (1 + 1 / (2 * r)) * mean - (1 / (2 * r)) * before
        x = toward(mean, x, sigma, s)
        before, h_before = predicted.denoised, h
    return x


def phi_1(z: Tensor) -> Tensor:
    """(e^z − 1)/z"""
    return z.expm1() / z


def phi_2(z: Tensor) -> Tensor:
    """(φ_1(z) − 1)/z"""
    return (phi_1(z) - 1) / z


def res_multistep(x: Tensor, sigmas: Tensor, noise: NoiseSource) -> Sampler:
    """`res_multistep_ancestral` without noise."""
    return res_multistep_ancestral(x, sigmas, noise, eta=0.0)


def res_multistep_ancestral(
    x: Tensor, sigmas: Tensor, noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """x ← e^{−h} x + h ((φ_1 − φ_2/c) D + φ_2/c D'), c = −h'/h, φ at −h   (RES, arXiv:2308.02157)

    The second-order multistep of refined exponential solvers, to `down`; then noise of deviation
    `up`. D' and h' are the answer and the length of the step before, which ended at its `down`.
    """
    before, down_before, sigma_before = None, None, None
    for sigma, s in steps_of(sigmas, x, may_ascend=eta == 0):
        predicted = yield x, sigma.item()
        down, up = ancestral_levels(sigma, s, eta)
        if before is None or down_before is None or sigma_before is None or down == 0:
            x = toward(predicted.denoised, x, sigma, down)
        else:
            h, h_before = sigma.log() - down.log(), sigma_before.log() - down_before.log()
            b_2 = phi_2(-h) / (-h_before / h)
            x = (-h).exp() * x + h * ((phi_1(-h) - b_2) * predicted.denoised + b_2 * before)
        if eta > 0 and s > 0:
            x = x + noise(x, sigma.item(), s.item()) * s_noise * up
        before, down_before, sigma_before = predicted.denoised, down, sigma
    return x


def uni_pc(
    x: Tensor, sigmas: Tensor, _noise: NoiseSource, *, order: int = UNI_PC_ORDER, bh2: bool = False
) -> Sampler:
    """UniPC in the data-prediction form: UniP predicts, UniC corrects with the answer that is
    needed anyway (arXiv:2302.04867, algorithms 5 to 8).

        x_s = (s/σ) x_σ − (e^{−h} − 1) D_0 − B(h) Σ_i ρ_i (D_i − D_0)/r_i

    over the answers remembered, λ_i = λ_0 + r_i h, and for UniC the answer at s itself. B(h) is −h,
    or e^{−h} − 1 with `bh2`. The order rises from 1 and falls to 1 again at the end. A last level
    of 0 becomes 0.001.
    """
    if not 1 <= order <= UNI_PC_ORDER:
        raise ValueError(f"order: expected 1..{UNI_PC_ORDER}, got {order}")
    steps = [(a, s if s > 0 else s + UNI_PC_END) for a, s in steps_of(sigmas, x, may_ascend=True)]
    known: list[tuple[float, Tensor]] = []  # (λ, D), the newest first
    predicted = (yield x, steps[0][0].item()) if steps else None
    for k, (sigma, s) in enumerate(steps):
        assert predicted is not None
        known = [(-math.log(sigma.item()), predicted.denoised), *known]
        p = min(order, k + 1, len(steps) - k)
        end = -math.log(s.item())
        guess = _uni_p(x, known[:p], end, bh2)
        if k + 1 == len(steps):
            return guess
        predicted = yield guess, s.item()
        x = _uni_c(x, known[:p], (end, predicted.denoised), bh2)
    return x


def _uni_p(x: Tensor, known: Sequence[tuple[float, Tensor]], end: float, bh2: bool) -> Tensor:
    if len(known) == 2:  # the equation leaves ρ free up to the error of this order
        return _uni(x, known, end, [0.5], bh2)
    r, b = _system(known, end, bh2)
    rho = torch.linalg.solve(_powers(r[:-1]), b[:-1]).tolist() if len(known) > 1 else []
    return _uni(x, known, end, rho, bh2)


def _uni_c(
    x: Tensor, known: Sequence[tuple[float, Tensor]], ahead: tuple[float, Tensor], bh2: bool
) -> Tensor:
    if len(known) == 1:  # likewise
        return _uni(x, [*known, ahead], ahead[0], [0.5], bh2)
    r, b = _system(known, ahead[0], bh2)
    rho = torch.linalg.solve(_powers(r), b).tolist()
    return _uni(x, [*known, ahead], ahead[0], rho, bh2)


def _uni(
    x: Tensor, known: Sequence[tuple[float, Tensor]], end: float, rho: Sequence[float], bh2: bool
) -> Tensor:
    """The formula of `uni_pc`, with ρ for all of `known` but the first."""
    (now, D_0), *others = known
    h = end - now
    x = math.exp(-h) * x - math.expm1(-h) * D_0
    for rho_i, (level, D_i) in zip(rho, others, strict=True):
        x = x - _B(h, bh2) * rho_i * h / (level - now) * (D_i - D_0)
    return x


def _B(h: float, bh2: bool) -> float:
    return math.expm1(-h) if bh2 else -h


def _powers(r: Tensor) -> Tensor:
    """Row i is r^i."""
    return torch.stack([r**i for i in range(len(r))])


def _system(known: Sequence[tuple[float, Tensor]], end: float, bh2: bool) -> tuple[Tensor, Tensor]:
    """(r, b) of Σ_j ρ_j r_j^{i−1} = b_i, b_i = i! φ_{i+1}(−h)(−h)/B(h), float64; the last r is 1.

    φ_1 = (e^z − 1)/z and φ_{k+1} = (φ_k − 1/k!)/z.
    """
    now = known[0][0]
    h, z = end - now, now - end
    r = [(level - now) / h for level, _ in known[1:]] + [1.0]
    b, phi = [], math.expm1(z) / z
    for i in range(1, len(r) + 1):
        phi = (phi - 1 / math.factorial(i)) / z
        b.append(math.factorial(i) * phi * z / _B(h, bh2))
    return torch.tensor(r, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
