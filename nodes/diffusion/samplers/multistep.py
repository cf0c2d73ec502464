"""Steps that remember: linear multistep methods, one look per step.

d = (x − x̂_0)/σ is dx/dσ along the probability flow. Each method replaces d between σ and s by a
polynomial through the slopes of the last steps, and differs from the next in the variable of that
polynomial. They begin with lower orders, since there is nothing to remember yet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from nodes.diffusion.noise import NoiseSource
from nodes.diffusion.prediction import to_eps
from nodes.diffusion.samplers.quadrature import lagrange_integrals
from nodes.diffusion.samplers.stepping import Sampler, steps_of

# Adams and Bashforth's coefficients for steps of equal length, the newest slope first.
ADAMS_BASHFORTH = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)
# The variance-preserving process whose time DEIS's polynomials are in: σ is 0.002 at time 0.001
# and 80 at time 1 (the ends of arXiv:2206.00364, table 1).
FIRST_TIME, FIRST_SIGMA, LAST_SIGMA = 0.001, 0.002, 80.0


def lms(x: Tensor, sigmas: Tensor, _noise: NoiseSource, *, order: int = 4) -> Sampler:
    """x ← x + Σ_j c_j d_j, c_j = ∫ L_j(σ) dσ: Adams-Bashforth with steps of any length, in σ."""
    return _adams(x, sigmas, order, lands=False)


def ipndm_v(x: Tensor, sigmas: Tensor, _noise: NoiseSource, *, order: int = 4) -> Sampler:
    """`ipndm` with the coefficients for the steps' own lengths: `lms` but for the step to 0, which
    lands on x̂_0."""
    return _adams(x, sigmas, order, lands=True)


def _adams(x: Tensor, sigmas: Tensor, order: int, *, lands: bool) -> Sampler:
    _check_order(order)
    slopes: list[tuple[float, Tensor]] = []
    for sigma, s in steps_of(sigmas, x, may_ascend=True):
        predicted = yield x, sigma.item()
        slopes = [(sigma.item(), to_eps(predicted.denoised, x, sigma)), *slopes][:order]
        if lands and s == 0:
            x = predicted.denoised
        else:
            c = lagrange_integrals([level for level, _ in slopes], sigma.item(), s.item())
            x = x + _combined(c, slopes)
    return x


def ipndm(x: Tensor, sigmas: Tensor, _noise: NoiseSource, *, order: int = 4) -> Sampler:
    """x ← x + (s − σ) Σ_j a_j d_j, a_j the coefficients for equal steps.

    iPNDM (arXiv:2204.13902, §4): PNDM's multistep formula (arXiv:2202.09778, eq. 12) without its
    Runge-Kutta start, with as many slopes as there are so far. The step to 0 lands on x̂_0.
    """
    _check_order(order, most=len(ADAMS_BASHFORTH))
    slopes: list[tuple[float, Tensor]] = []
    for sigma, s in steps_of(sigmas, x, may_ascend=True):
        predicted = yield x, sigma.item()
        slopes = [(sigma.item(), to_eps(predicted.denoised, x, sigma)), *slopes][:order]
        if s == 0:
            x = predicted.denoised
        else:
            x = x + _combined(ADAMS_BASHFORTH[len(slopes) - 1], slopes) * (s - sigma)
    return x


def deis(x: Tensor, sigmas: Tensor, _noise: NoiseSource, *, order: int = 3) -> Sampler:
    """x ← x + Σ_j c_j d_j, c_j = ∫ L_j(t(σ)) dσ (tAB-DEIS, arXiv:2204.13902, eq. 15).

    The polynomials are in the time t of a variance-preserving process; the step to 0 is Euler's.
    """
    _check_order(order)
    slopes: list[tuple[float, Tensor]] = []
    for sigma, s in steps_of(sigmas, x, may_ascend=True):
        predicted = yield x, sigma.item()
        slopes = [(sigma.item(), to_eps(predicted.denoised, x, sigma)), *slopes][:order]
        used = slopes if s > 0 else slopes[:1]
        c = lagrange_integrals([level for level, _ in used], sigma.item(), s.item(), vp_time)
        x = x + _combined(c, used)
    return x


def vp_time(sigma: Tensor) -> Tensor:
    """t of σ² + 1 = exp(β_d t²/2 + β_min t), the process above (arXiv:2206.00364, table 1)."""
    first, last = math.log1p(FIRST_SIGMA**2), math.log1p(LAST_SIGMA**2)
    beta_d = 2 * (first / FIRST_TIME - last) / (FIRST_TIME - 1)
    beta_min = last - beta_d / 2
    return ((beta_min**2 + 2 * beta_d * (sigma**2).log1p()).sqrt() - beta_min) / beta_d


def _combined(coefficients: Sequence[float], slopes: Sequence[tuple[float, Tensor]]) -> Tensor:
    terms = [c * d for c, (_, d) in zip(coefficients, slopes, strict=True)]
    return sum(terms[1:], terms[0])


def _check_order(order: int, most: int = 100) -> None:
    if not 1 <= order <= most:
        raise ValueError(f"order: expected 1..{most}, got {order}")
