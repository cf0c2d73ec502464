"""Noise schedules of discrete-time diffusion.

A schedule is the vector of cumulative signal powers ᾱ_t, t = 0..T-1,

    q(x_t | x_0) = N(√ᾱ_t x_0, (1 − ᾱ_t) I),    ᾱ_t = Π_{s≤t} (1 − β_s),

built in float64. The samplers work in the variables x = x_0 + σ ε, where the same process has
the noise level σ_t = √((1 − ᾱ_t) / ᾱ_t); x/√(1 + σ²) is the x_t above.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

LAST_ALPHA_BAR = 4.8973451890853435e-08  # keeps σ_T finite where the signal is gone
BEFORE_THE_START = 999999999.9  # the level of "0 percent": above every σ a schedule has


def alpha_bar_of(beta: Tensor) -> Tensor:
    """ᾱ_t = Π_{s≤t} (1 − β_s), shape (T,)."""
    return (1 - beta).cumprod(dim=0)


def betas_of(alpha_bar: Tensor) -> Tensor:
    """β_t = 1 − ᾱ_t / ᾱ_{t−1} with ᾱ_{−1} = 1, shape (T,)."""
    return 1 - alpha_bar / torch.cat([alpha_bar.new_ones(1), alpha_bar[:-1]])


def linear(T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02) -> Tensor:
    """ᾱ of the linear β schedule (DDPM, arXiv:2006.11239, §4), shape (T,)."""
    return alpha_bar_of(torch.linspace(beta_1, beta_T, T, dtype=torch.float64))


def scaled_linear(T: int = 1000, beta_1: float = 0.00085, beta_T: float = 0.012) -> Tensor:
    """ᾱ of the schedule linear in √β (latent diffusion, arXiv:2112.10752), shape (T,)."""
    root = torch.linspace(beta_1**0.5, beta_T**0.5, T, dtype=torch.float64)
    return alpha_bar_of(root**2)


def cosine(T: int = 1000, s: float = 0.008, beta_max: float = 0.999) -> Tensor:
    """ᾱ ∝ cos²(π/2 (t/T + s)/(1 + s)), β at most beta_max (arXiv:2102.09672, eq. 17)."""
    t = torch.arange(T + 1, dtype=torch.float64) / T
    f = ((t + s) / (1 + s) * math.pi / 2).cos() ** 2
    return alpha_bar_of((1 - f[1:] / f[:-1]).clamp(max=beta_max))


def zero_terminal_snr(alpha_bar: Tensor) -> Tensor:
    """√ᾱ shifted and scaled so that √ᾱ_0 is kept and √ᾱ_{T−1} is 0 (arXiv:2305.08891, alg. 1).

    The last value is then set to `LAST_ALPHA_BAR`, so that σ stays finite.
    """
    root = alpha_bar.sqrt()
    shifted = (root - root[-1]) * (root[0] / (root[0] - root[-1]))
    result = shifted**2
    result[-1] = LAST_ALPHA_BAR
    return result


def distilled(alpha_bar: Tensor, steps: int) -> NoiseSchedule:
    """The schedule of a network distilled to `steps` of its T times, as latent consistency models
    are (arXiv:2310.04378, §4.3): the last of each T // steps."""
    stride = max(len(alpha_bar) // steps, 1)
    return NoiseSchedule(alpha_bar[stride - 1 :: stride], stride)


def respace(alpha_bar: Tensor, times: Sequence[int]) -> Tensor:
    """ᾱ of the shorter process that visits only `times` (arXiv:2102.09672, §4).

    `times` are indices into `alpha_bar`, in any order, each once; the result ascends in time, and
    β_i = 1 − ᾱ_{S_i} / ᾱ_{S_{i−1}} (`betas_of`) makes it a process of len(times) steps.
    """
    T, ascending = len(alpha_bar), sorted(times)
    if not ascending or len(set(ascending)) != len(ascending):
        raise ValueError(f"times: expected at least one time, each once, got {list(times)}")
    if ascending[0] < 0 or ascending[-1] >= T:
        raise ValueError(f"times: expected values in 0..{T - 1}, got {list(times)}")
    return alpha_bar[torch.tensor(ascending)]


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """The noise levels a network was trained at, and the way between levels and times.

    `alpha_bar` is (T,), descending in (0, 1]. The tables of σ and log σ are computed in float64
    and kept as float32, as checkpoints' own tables are, so that equal settings give equal pixels.
    `stride` k: a network distilled to every k-th time; entry i is its time (i + 1) k − 1.
    """

    alpha_bar: Tensor
    stride: int = 1

    def __post_init__(self) -> None:
        a = self.alpha_bar
        if a.ndim != 1 or len(a) < 2 or bool((a <= 0).any()) or bool((a > 1).any()):
            raise ValueError("alpha_bar: expected a vector of two or more values in (0, 1]")
        if bool((a[1:] >= a[:-1]).any()):
            raise ValueError("alpha_bar: expected values that descend with time")

    @cached_property
    def _exact(self) -> Tensor:
        a = self.alpha_bar.double()
        return ((1 - a) / a) ** 0.5

    @cached_property
    def sigmas(self) -> Tensor:
        """σ_t for t = 0..T−1, ascending, float32, shape (T,)."""
        return self._exact.float()

    @cached_property
    def log_sigmas(self) -> Tensor:
        """log σ_t, float32, shape (T,)."""
        return self._exact.log().float()

    @property
    def first_time(self) -> int:
        """The network's time at σ_min."""
        return self.stride - 1

    @property
    def last_time(self) -> int:
        """The network's time at σ_max."""
        return len(self.alpha_bar) * self.stride - 1

    @property
    def sigma_min(self) -> float:
        return self.sigmas[0].item()

    @property
    def sigma_max(self) -> float:
        return self.sigmas[-1].item()

    def sigma_to_t(self, sigma: float) -> int:
        """The time whose log σ_t is nearest to log `sigma`; `sigma` > 0."""
        log_sigma = torch.tensor(sigma, dtype=torch.float32).log()
        return int((log_sigma - self.log_sigmas).abs().argmin()) * self.stride + self.first_time

    def t_to_sigma(self, t: float | Tensor) -> Tensor:
        """σ at a fractional time, float32, shaped like `t`: log σ is interpolated linearly."""
        t = torch.as_tensor(t, dtype=torch.float32)
        t = ((t - self.first_time) / self.stride).clamp(0, len(self.sigmas) - 1)
        below, above, w = t.floor().long(), t.ceil().long(), t.frac()
        return ((1 - w) * self.log_sigmas[below] + w * self.log_sigmas[above]).exp()

    def percent_to_sigma(self, percent: float) -> float:
        """The level at which a share `percent` in [0, 1] of the time line has passed."""
        if percent <= 0:
            return BEFORE_THE_START
        if percent >= 1:
            return 0.0
        return self.t_to_sigma((1 - percent) * self.last_time).item()

    def sigmas_at(
        self, times: Sequence[int], *, last: float = 0.0, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """σ at each of `times`, then `last`: the levels of a walk through exactly those times.

        `times` descend, shape of the result (len(times) + 1,). This is respacing seen from the
        sampler: a walk over few levels is the respaced process, with the network's own times.
        """
        entries = torch.tensor(times).div(self.stride, rounding_mode="floor")
        return torch.cat([self._exact[entries], torch.tensor([last]).double()]).to(dtype)
