"""One independent run, and what it asks the network at each level.

u and c are the unconditional and the conditional x̂_0; see `prediction` for x, σ and x̂_0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nodes.diffusion.condition import Condition, weighted_mean
from nodes.diffusion.guidance import Threshold, guide, needs_uncond
from nodes.diffusion.inpaint import Inpaint
from nodes.diffusion.packing import Query
from nodes.diffusion.prediction import (
    ModelSampling,
    Prediction,
    scaled_input,
    split_variance,
    to_denoised,
    to_eps,
)
from nodes.diffusion.samplers import Sampler

# (step, steps in all, x, x̂_0): called once for each step, from 0, before x moves on. What it
# raises ends the job.
OnStep = Callable[[int, int, Tensor, Tensor], None]


@dataclass(frozen=True, eq=False)
class Job:
    """One run: a sampler and everything that turns its questions into predictions.

    `sampler` is a generator made for this job and used once; `sigmas` (n + 1,) are the levels it
    walks, which count its steps. `cfg` is the guidance scale; at 1 the negative side is not
    evaluated, unless `always_uncond` (for samplers that look at it). `threshold` keeps the guided
    x̂_0 in range.
    """

    sampler: Sampler
    sigmas: Tensor
    model: ModelSampling
    positive: tuple[Condition, ...]
    negative: tuple[Condition, ...] = ()
    cfg: float = 1.0
    inpaint: Inpaint | None = None
    threshold: Threshold | None = None
    on_step: OnStep | None = None
    always_uncond: bool = False

    def __post_init__(self) -> None:
        if not self.positive:
            raise ValueError("positive: expected at least one condition, got none")
        if self.uses_negative and not self.negative:
            raise ValueError(
                f"negative: guidance at cfg {self.cfg:g} needs at least one condition, got none"
            )

    @property
    def uses_negative(self) -> bool:
        return self.always_uncond or needs_uncond(self.cfg)

    @property
    def steps(self) -> int:
        return max(len(self.sigmas) - 1, 0)

    def step_at(self, sigma: float) -> int:
        """Which step (0..steps−1) a question at `sigma` belongs to: the levels passed so far."""
        levels = self.sigmas.tolist()[1:-1]
        if levels and self.sigmas[0] < self.sigmas[-1]:
            return sum(sigma >= level for level in levels)
        return sum(sigma <= level for level in levels)


@dataclass(frozen=True, eq=False)
class Question:
    """What a job asks at one level: x (B, C, h, w) at `level`, for each active condition."""

    job: Job
    x: Tensor
    level: float

    @property
    def sigma(self) -> Tensor:
        dtype = torch.promote_types(self.x.dtype, torch.float32)
        return torch.tensor(self.level, dtype=dtype, device=self.x.device)

    @property
    def seen(self) -> Tensor:
        """x as the network sees it but for the scale: the known region under fresh noise."""
        inpaint = self.job.inpaint
        return self.x if inpaint is None else inpaint.before(self.x, self.sigma).to(self.x.dtype)

    @property
    def positive(self) -> list[Condition]:
        return [c for c in self.job.positive if c.active(self.level)]

    @property
    def negative(self) -> list[Condition]:
        used = self.job.negative if self.job.uses_negative else ()
        return [c for c in used if c.active(self.level)]

    def queries(self) -> list[Query]:
        """One query for each active condition, the positive ones first."""
        x_t = scaled_input(self.seen, self.sigma)
        t = self.job.model.schedule.sigma_to_t(self.level)
        return [
            Query(condition.network_input(x_t), t, condition.tokens(x_t))
            for condition in (*self.positive, *self.negative)
        ]

    def answer(self, outputs: Sequence[Tensor]) -> Prediction:
        """The prediction, from the network's outputs in the order of `queries`.

        Entries of a side are averaged, then guided, clipped, and masked last, so that the known
        region stays exactly what it is. Guidance does not touch the learned variance, which is the
        positive side's.
        """
        seen, answers = self.seen, iter(outputs)
        cond, log_variance = self._side(self.positive, answers, seen)
        uncond = self._side(self.negative, answers, seen)[0] if self.job.uses_negative else None
        guided = guide(cond, uncond, self.job.cfg)
        clipped = guided if self.job.threshold is None else self.job.threshold(guided)
        eps = to_eps(self._masked(guided), self.x, self.sigma)
        return Prediction(self._masked(clipped), eps, uncond, log_variance)

    def _side(
        self, conditions: Sequence[Condition], outputs: Iterator[Tensor], seen: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """(x̂_0, log variance) of one side; x̂_0 = 0 where none of its entries is active."""
        denoised, log_variances = [], []
        for _ in conditions:
            output, log_variance = split_variance(next(outputs).to(seen.dtype), seen.shape[1])
            denoised.append(to_denoised(self.job.model.kind, output, seen, self.sigma))
            if log_variance is not None:
                log_variances.append(log_variance)
        if not denoised:
            return torch.zeros_like(seen), None
        weights = [c.weight(seen) for c in conditions]
        mean = weighted_mean(denoised, weights)
        return mean, weighted_mean(log_variances, weights) if log_variances else None

    def _masked(self, denoised: Tensor) -> Tensor:
        inpaint = self.job.inpaint
        return denoised if inpaint is None else inpaint.after(denoised).to(denoised.dtype)
