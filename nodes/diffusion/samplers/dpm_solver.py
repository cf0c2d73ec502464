"""DPM-Solver (Lu et al. 2022, arXiv:2206.00927): steps of its own choosing between two levels.

λ = −log σ, h the step in λ, ε̂ = (x − x̂_0)/σ. Of the levels given only the first, the last above
0 and their number count: the walk ends at that last level, with the noise that is left there.
"""

from __future__ import annotations

import math
from collections.abc import Generator

import torch
from torch import Tensor

from nodes.diffusion.noise import NoiseSource
from nodes.diffusion.prediction import Prediction
from nodes.diffusion.samplers.stepping import Sampler, ancestral_levels, steps_of

Question = tuple[Tensor, float]
Asking = Generator[Question, Prediction, Tensor]
NEARLY_THERE = 1e-5  # in λ


def _sigma(lam: Tensor) -> Tensor:
    return lam.neg().exp()


def _ask(x: Tensor, lam: Tensor) -> Asking:
    """ε̂ at (x, λ)."""
    predicted = yield x, _sigma(lam).item()
    return (x - predicted.denoised) / _sigma(lam)


def first_order(x: Tensor, lam: Tensor, end: Tensor, eps: Tensor) -> Tensor:
    """x − σ_s (e^h − 1) ε̂   (DPM-Solver-1, eq. 3.7)"""
    return x - _sigma(end) * (end - lam).expm1() * eps


def second_order(
    x: Tensor, lam: Tensor, end: Tensor, eps: Tensor, eps_1: Tensor, r_1: float
) -> Tensor:
    """The first order's, minus σ_s/(2 r_1) (e^h − 1) (ε̂_1 − ε̂)   (DPM-Solver-2, algorithm 4)"""
    bend = _sigma(end) / (2 * r_1) * (end - lam).expm1() * (eps_1 - eps)
    return first_order(x, lam, end, eps) - bend


def _inner(
    x: Tensor, lam: Tensor, end: Tensor, eps: Tensor, eps_1: Tensor, r: tuple[float, float]
) -> Tensor:
    """The first order's to `end`, bent by ε̂_1 from λ + r_1 h, where `end` is λ + r_2 h."""
    h = end - lam
    bend = _sigma(end) * (r[1] / r[0]) * (h.expm1() / h - 1) * (eps_1 - eps)
    return first_order(x, lam, end, eps) - bend


def third_order(x: Tensor, lam: Tensor, end: Tensor, eps: Tensor, eps_1: Tensor) -> Asking:
    """DPM-Solver-3 (algorithm 2, r_1 = 1/3, r_2 = 2/3), from ε̂ at λ and ε̂_1 at λ + r_1 h."""
    r, h = (1 / 3, 2 / 3), end - lam
    at = lam + r[1] * h
    eps_2 = yield from _ask(_inner(x, lam, at, eps, eps_1, r), at)
    return _inner(x, lam, end, eps, eps_2, (r[1], 1.0))


def _step(x: Tensor, lam: Tensor, end: Tensor, order: int) -> Asking:
    """One step of this order, 1, 2 (r_1 = 1/2) or 3."""
    eps = yield from _ask(x, lam)
    if order == 1:
        return first_order(x, lam, end, eps)
    r_1 = 1 / order
    at = lam + r_1 * (end - lam)
    eps_1 = yield from _ask(first_order(x, lam, at, eps), at)
    if order == 2:
        return second_order(x, lam, end, eps, eps_1, r_1)
    return (yield from third_order(x, lam, end, eps, eps_1))


def _ends(sigmas: Tensor, x: Tensor, *, may_ascend: bool) -> tuple[Tensor, Tensor, int] | None:
    """(first λ, last λ, steps), or None where there is nowhere to go."""
    steps = steps_of(sigmas, x, may_ascend=may_ascend)
    above = [steps[0][0], *(s for _, s in steps if s > 0)] if steps else []
    if len(above) < 2:
        return None
    return -above[0].log(), -above[-1].log(), len(sigmas) - 1


def _split(lam: Tensor, to: Tensor, end: Tensor, eta: float) -> tuple[Tensor, Tensor]:
    """(λ to go to, deviation of the noise to add there) for a step to `to` with noise η."""
    if eta == 0:
        return to, torch.zeros_like(to)
    down, _ = ancestral_levels(_sigma(lam), _sigma(to), eta)
    below = torch.minimum(end, -down.log())
    return below, (_sigma(to) ** 2 - _sigma(below) ** 2).clamp_min(0) ** 0.5


def dpm_fast(
    x: Tensor, sigmas: Tensor, noise: NoiseSource, *, eta: float = 0.0, s_noise: float = 1.0
) -> Sampler:
    """DPM-Solver-fast (§3.4): steps evenly spaced in λ, with as many looks in all as levels given.

    n looks make n // 3 steps of order 3, and the last steps are of order 2 and 1 as fits n.
    """
    ends = _ends(sigmas, x, may_ascend=eta == 0)
    if ends is None:
        return x
    start, end, looks = ends
    orders = [3] * (looks // 3 - 1) + [2, 1] if looks % 3 == 0 else [3] * (looks // 3) + [looks % 3]
    levels = torch.linspace(start.item(), end.item(), len(orders) + 1).to(start).unbind()
    for order, lam, to in zip(orders, levels[:-1], levels[1:], strict=True):
        below, up = _split(lam, to, levels[-1], eta)
        x = yield from _step(x, lam, below, order)
        if eta > 0:
            x = x + up * s_noise * noise(x, _sigma(lam).item(), _sigma(to).item())
    return x


class StepSize:
    """The next step in λ from the error of the last: h ← h (1 + arctan(error^(−1/order) − 1)).

    The arctan keeps the change small. A step is kept where its factor is at least `safety`.
    """

    def __init__(self, h: float, order: float, safety: float) -> None:
        self.h, self.order, self.safety = h, order, safety

    def accepts(self, error: float) -> bool:
        factor = 1 + math.atan((1 / (error + 1e-8)) ** (1 / self.order) - 1)
        self.h *= factor
        return factor >= self.safety


def dpm_adaptive(
    x: Tensor,
    sigmas: Tensor,
    noise: NoiseSource,
    *,
    order: int = 3,
    rtol: float = 0.05,
    atol: float = 0.0078,
    h_init: float = 0.05,
    safety: float = 0.81,
    eta: float = 0.0,
    s_noise: float = 1.0,
) -> Sampler:
    """DPM-Solver-12 or -23 with steps as long as the error allows (appendix C).

    The error is the difference between the two orders, measured against max(atol, rtol |x|) and
    averaged over the whole batch: an image's steps depend on its neighbours.
    """
    if order not in (2, 3):
        raise ValueError(f"order: expected 2 or 3, got {order}")
    ends = _ends(sigmas, x, may_ascend=eta == 0)
    if ends is None:
        return x
    lam, end, _ = ends
    sign = 1 if end > lam else -1
    size = StepSize(h_init * sign, 1.5 if eta > 0 else order, safety)
    before = x
    while (end - lam) * sign > NEARLY_THERE:
        to = torch.minimum(end * sign, (lam + size.h) * sign) * sign
        below, up = _split(lam, to, end, eta)
        low, high = yield from _two_orders(x, lam, below, order)
        allowed = torch.maximum(low.abs(), before.abs()).mul(rtol).clamp_min(atol)
        if size.accepts(((low - high) / allowed).pow(2).mean().sqrt().item()):
            before, x = low, high
            if eta > 0:
                x = x + up * s_noise * noise(x, _sigma(lam).item(), _sigma(to).item())
            lam = to
    return x


def _two_orders(
    x: Tensor, lam: Tensor, end: Tensor, order: int
) -> Generator[Question, Prediction, tuple[Tensor, Tensor]]:
    """The steps of order − 1 and of order, which share their looks."""
    eps = yield from _ask(x, lam)
    r_1 = 1 / order
    at = lam + r_1 * (end - lam)
    eps_1 = yield from _ask(first_order(x, lam, at, eps), at)
    second = second_order(x, lam, end, eps, eps_1, r_1)
    if order == 2:
        return first_order(x, lam, end, eps), second
    return second, (yield from third_order(x, lam, end, eps, eps_1))
