"""Noise levels from numbers alone, and what is done with a row of them.

Every function returns levels, float32, on the CPU; n is the number of steps. The formulas are
k-diffusion's, so that equal settings give equal levels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from nodes.diffusion.schedule import NoiseSchedule, scaled_linear

NEARLY_CLEAN = 1e-4  # a walk up starts here: at level 0 there is no direction to go
# The times that Align Your Steps found best for ten steps (arXiv:2404.14507, appendix): of Stable
# Diffusion 1 and XL, and the levels of Stable Video Diffusion.
SD1_TIMES = (999, 850, 736, 645, 545, 455, 343, 233, 124, 24, 0)
SDXL_TIMES = (999, 845, 730, 587, 443, 310, 193, 116, 53, 13, 0)
SVD_LEVELS = (700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002)


def then_zero(sigmas: Tensor) -> Tensor:
    return torch.cat([sigmas, sigmas.new_zeros(1)])


def karras(n: int, low: float, high: float, rho: float = 7.0) -> Tensor:
    """σ^(1/ρ) evenly spaced from `high` to `low`, then 0 (arXiv:2206.00364, eq. 5)."""
    _check_range(low, high, rho)
    first, last = high ** (1 / rho), low ** (1 / rho)
    return then_zero((first + torch.linspace(0, 1, n) * (last - first)) ** rho)


def exponential(n: int, low: float, high: float) -> Tensor:
    """log σ evenly spaced from `high` to `low`, then 0."""
    _check_range(low, high)
    return then_zero(torch.linspace(math.log(high), math.log(low), n).exp())


def polyexponential(n: int, low: float, high: float, rho: float = 1.0) -> Tensor:
    """log σ from `high` to `low` along u^ρ, u evenly spaced from 1 to 0; then 0."""
    _check_range(low, high)
    u = torch.linspace(1, 0, n) ** rho
    return then_zero((u * (math.log(high) - math.log(low)) + math.log(low)).exp())


def variance_preserving(
    n: int, beta_d: float = 19.9, beta_min: float = 0.1, eps_s: float = 1e-3
) -> Tensor:
    """σ = √(exp(β_d t²/2 + β_min t) − 1), t evenly spaced from 1 to ε_s; then 0.

    The VP process of arXiv:2011.13456 in the variables of arXiv:2206.00364, table 1.
    Raises ValueError where the levels are no numbers or no levels.
    """
    t = torch.linspace(1, eps_s, n)
    sigmas = (torch.exp(beta_d * t**2 / 2 + beta_min * t) - 1).sqrt()
    if not bool(torch.isfinite(sigmas).all()) or not bool((sigmas > 0).all()):
        raise ValueError(
            f"beta_d {beta_d:g}, beta_min {beta_min:g} and eps_s {eps_s:g} give no levels between "
            "0 and what a float holds: take smaller betas, none of them 0, and eps_s above 0"
        )
    return then_zero(sigmas)


def turbo(schedule: NoiseSchedule, n: int, denoise: float = 1.0) -> Tensor:
    """The first `n` of the ten times 999, 899, ... 99 left of a walk of a share `denoise`; then 0.

    For networks distilled to a few steps (adversarial diffusion distillation, arXiv:2311.17042).
    """
    tenth = (schedule.last_time + 1) // 10
    times = torch.arange(10, 0, -1) * tenth - 1
    start = 10 - int(10 * denoise)
    return then_zero(schedule.t_to_sigma(times[start : start + n]))


def align_your_steps(kind: str, n: int, denoise: float = 1.0) -> Tensor:
    """The levels found best for a family (arXiv:2404.14507): "SD1", "SDXL" or "SVD"; then 0.

    Numbers of steps other than ten interpolate log σ. `denoise` < 1 keeps that share of the steps,
    from the end; 0 gives no levels.
    """
    if kind not in ALIGNED:
        raise ValueError(f"model type {kind!r}: expected one of {', '.join(ALIGNED)}")
    kept = n if denoise >= 1 else round(n * denoise)
    if denoise <= 0 or kept == 0:
        return torch.empty(0)
    sigmas = _log_interpolated(ALIGNED[kind], n + 1)[-(kept + 1) :]
    return then_zero(sigmas[:-1])


def _log_interpolated(levels: Sequence[float], count: int) -> Tensor:
    if count == len(levels):
        return torch.tensor(levels, dtype=torch.float32)
    log = torch.tensor(levels, dtype=torch.float64).log()
    place = torch.linspace(0, len(levels) - 1, count, dtype=torch.float64)
    below = place.floor().long().clamp(max=len(levels) - 2)
    w = place - below
    return ((1 - w) * log[below] + w * log[below + 1]).exp().float()


def _levels_at(times: Sequence[int]) -> tuple[float, ...]:
    schedule = NoiseSchedule(scaled_linear())
    return tuple(schedule.sigmas[list(times)].tolist())


ALIGNED: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {"SD1": _levels_at(SD1_TIMES), "SDXL": _levels_at(SDXL_TIMES), "SVD": SVD_LEVELS}
)


def split(sigmas: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """The levels of the first `step` steps, and of the rest; both have the level between."""
    return sigmas[: step + 1], sigmas[step:]


def split_share(sigmas: Tensor, denoise: float) -> tuple[Tensor, Tensor]:
    """Split so that the second part has a share `denoise` of the steps, rounded."""
    steps = max(len(sigmas) - 1, 0)
    return split(sigmas, steps - round(steps * denoise))


def flipped(sigmas: Tensor) -> Tensor:
    """The levels the other way round; 0 in front becomes 0.0001, from where one can walk up."""
    upwards = sigmas.flip(0)
    if len(upwards) > 0 and upwards[0] == 0:
        upwards[0] = NEARLY_CLEAN
    return upwards


def _check_range(low: float, high: float, rho: float = 1.0) -> None:
    if not 0 < low <= high:
        raise ValueError(
            f"sigma_min {low:g} and sigma_max {high:g}: expected 0 < sigma_min <= sigma_max; "
            "the last level, 0, is added to them"
        )
    if rho <= 0:
        raise ValueError(f"rho: expected a value above 0, got {rho:g}")
