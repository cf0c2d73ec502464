"""The noise levels a sampler visits: σ_0 > σ_1 > ... > σ_n, usually σ_n = 0.

A spacing is a function (schedule, n) -> levels, float32, on the CPU. Their names and values are
the ecosystem's: the same name and steps must give the same picture. `SPACINGS` maps names to
functions; T is the number of training times.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from nodes.diffusion import levels
from nodes.diffusion.beta_quantile import beta_quantile
from nodes.diffusion.levels import then_zero
from nodes.diffusion.schedule import NoiseSchedule

Spacing = Callable[[NoiseSchedule, int], Tensor]

SKIP_PENULTIMATE = frozenset({"dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2"})
NEARLY_ZERO = 1e-5
FULL_DENOISE = 0.9999


def _levels(values: Iterable[float]) -> Tensor:
    return torch.tensor([float(v) for v in values], dtype=torch.float32)


def normal(schedule: NoiseSchedule, n: int) -> Tensor:
    """Times evenly spaced from the last to the first, both included, then 0."""
    ends_at_zero = math.isclose(schedule.sigma_min, 0, abs_tol=NEARLY_ZERO)
    ends = schedule.last_time, schedule.first_time
    times = torch.linspace(*ends, n + 1 if ends_at_zero else n)
    sigmas = schedule.t_to_sigma(times)
    return sigmas if ends_at_zero else then_zero(sigmas)


def sgm_uniform(schedule: NoiseSchedule, n: int) -> Tensor:
    """Times evenly spaced from the last towards the first, which is left out, then 0."""
    times = torch.linspace(schedule.last_time, schedule.first_time, n + 1)[:-1]
    return then_zero(schedule.t_to_sigma(times))


def simple(schedule: NoiseSchedule, n: int) -> Tensor:
    """Every (T/n)-th level of the table from the top, then 0."""
    stride = len(schedule.sigmas) / n
    picked = [-(1 + int(i * stride)) for i in range(n)]
    return then_zero(schedule.sigmas[picked])


def ddim_uniform(schedule: NoiseSchedule, n: int) -> Tensor:
    """Every (T // n)-th level of the table from time 1 up; can have more than n steps."""
    ends_at_zero = math.isclose(schedule.sigmas[1].item(), 0, abs_tol=NEARLY_ZERO)
    stride = max(len(schedule.sigmas) // (n + 1 if ends_at_zero else n), 1)
    sigmas = schedule.sigmas[1::stride].flip(0)
    return sigmas if ends_at_zero else then_zero(sigmas)


def karras(schedule: NoiseSchedule, n: int, rho: float = 7.0) -> Tensor:
    """σ^(1/ρ) evenly spaced from σ_max to σ_min, then 0 (arXiv:2206.00364, eq. 5)."""
    return levels.karras(n, schedule.sigma_min, schedule.sigma_max, rho)


def exponential(schedule: NoiseSchedule, n: int) -> Tensor:
    """log σ evenly spaced from σ_max to σ_min, then 0."""
    return levels.exponential(n, schedule.sigma_min, schedule.sigma_max)


def beta(schedule: NoiseSchedule, n: int, a: float = 0.6, b: float = 0.6) -> Tensor:
    """Times at the quantiles 1 − i/n of Beta(a, b), repeats dropped, then 0 (arXiv:2407.12173)."""
    last = len(schedule.sigmas) - 1
    quantiles = (1 - i * (1 / n) for i in range(n))
    times = [round(beta_quantile(p, a, b) * last) for p in quantiles]
    return then_zero(schedule.sigmas[list(dict.fromkeys(times))])


def linear_quadratic(schedule: NoiseSchedule, n: int, threshold: float = 0.025) -> Tensor:
    """σ = (1 − u) σ_max, u linear to `threshold` in the first n // 2 steps, then quadratic to 1.

    The two pieces meet with equal value and slope (arXiv:2410.13720).
    """
    m = n // 2
    if m == 0:
        return _levels([1.0, 0.0]) * schedule.sigma_max
    slope, rest = threshold / m, n - m
    curvature = (1 - threshold - slope * rest) / rest**2
    rising = [i * threshold / m for i in range(m)]
    rising += [threshold + slope * i + curvature * i**2 for i in range(rest)]
    return _levels([*(1 - u for u in rising), 0.0]) * schedule.sigma_max


def kl_optimal(schedule: NoiseSchedule, n: int) -> Tensor:
    """arctan σ evenly spaced from σ_max to σ_min, then 0 (Align Your Steps, arXiv:2404.14507)."""
    w = torch.arange(n, dtype=torch.float32) / max(n - 1, 1)
    angle = w * math.atan(schedule.sigma_min) + (1 - w) * math.atan(schedule.sigma_max)
    return then_zero(angle.tan())


SPACINGS: Mapping[str, Spacing] = MappingProxyType(
    {
        "simple": simple,
        "sgm_uniform": sgm_uniform,
        "karras": karras,
        "exponential": exponential,
        "ddim_uniform": ddim_uniform,
        "beta": beta,
        "normal": normal,
        "linear_quadratic": linear_quadratic,
        "kl_optimal": kl_optimal,
    }
)


def sigmas_for(
    schedule: NoiseSchedule,
    name: str,
    steps: int,
    *,
    denoise: float = 1.0,
    sampler: str = "",
    spacings: Mapping[str, Spacing] = SPACINGS,
) -> Tensor:
    """The levels of `steps` steps of the spacing `name`, (steps + 1,) for most spacings.

    `denoise` < 1 keeps the last `steps` + 1 levels of a longer walk, so that it starts from a
    picture with little noise; 0 gives no levels at all. For the samplers in `SKIP_PENULTIMATE`
    the walk is one step longer and the level before the last is dropped.
    """
    if name not in spacings:
        near = difflib.get_close_matches(name, spacings, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"schedule {name!r}: expected one of {', '.join(spacings)}{hint}")
    if steps < 1:
        raise ValueError(f"steps: expected at least 1, got {steps}")
    if not 0 <= denoise <= 1:
        raise ValueError(f"denoise: expected a value in [0, 1], got {denoise}")
    if denoise == 0:
        return torch.empty(0)
    whole = steps if denoise > FULL_DENOISE else int(steps / denoise)
    if sampler in SKIP_PENULTIMATE:
        longer = spacings[name](schedule, whole + 1)
        sigmas = torch.cat([longer[:-2], longer[-1:]])
    else:
        sigmas = spacings[name](schedule, whole)
    return sigmas if denoise > FULL_DENOISE else sigmas[-(steps + 1) :]


def cut(
    sigmas: Tensor, start: int = 0, end: int | None = None, *, leftover: bool = False
) -> Tensor:
    """The part of a walk between step `start` and step `end`, for a run split in stages.

    With `leftover` noise the last level of a walk cut short stays; otherwise it becomes 0, so the
    stage ends on a clean picture. No levels (shape (0,)) where `start` is at or beyond the end:
    there is nothing to do.
    """
    last = len(sigmas) - 1
    if end is not None and end < last:
        sigmas = sigmas[: end + 1].clone()
        if not leftover:
            sigmas[-1] = 0
    return sigmas[start:] if start < len(sigmas) - 1 else sigmas[:0]
