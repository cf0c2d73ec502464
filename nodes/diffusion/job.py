"""One independent run, and what it asks the network at each level.

u and c are the unconditional and the conditional x̂_0, m that of a middle condition between them;
see `prediction` for x, σ and x̂_0.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from nodes.diffusion.condition import Condition, weighted_mean
from nodes.diffusion.guidance import Threshold, guide, needs_uncond, rescaled
from nodes.diffusion.hooks import Asked
from nodes.diffusion.inpaint import Inpaint
from nodes.diffusion.packing import Query
from nodes.diffusion.prediction import ModelSampling, Prediction, split_variance, to_eps
from nodes.diffusion.samplers import Sampler

# (step, steps in all, x, x̂_0): called once for each step, from 0, before x moves on. What it
# raises ends the job.
OnStep = Callable[[int, int, Tensor, Tensor], None]


# A condition, what it asked, and the network's output.
Answer = tuple[tuple[Condition, Asked], Tensor]

OnEstimate = Callable[[Tensor], None]  # each x̂_0 as it comes, also those within a step


@dataclass(frozen=True, eq=False)
class Middle:
    """Guidance in two legs: from u to m at scale `cfg`, and from m to c at the job's scale w.

    The result is u + cfg (m − u) + w (c − m); `nested`, u + cfg (m + w (c − m) − u).
    """

    conditions: tuple[Condition, ...]
    cfg: float
    nested: bool = False


@dataclass(frozen=True, eq=False)
class Job:
    """One run: a sampler and everything that turns its questions into predictions.

    `sampler` is a generator made for this job and used once; `sigmas` (n + 1,) are the levels it
    walks, which count its steps. `cfg` is the guidance scale; at 1 the negative side is not
    evaluated, unless `always_uncond` (for samplers that look at it). `middle` is a third side.
    `rescale` in [0, 1] is the share of `guidance.rescaled`. `perturbed` is the scale of guidance
    away from the network with its attention perturbed: x̂_0 + scale (c − c_perturbed)
    (arXiv:2403.17377). `threshold` keeps the guided x̂_0 in range.
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
    middle: Middle | None = None
    rescale: float = 0.0
    perturbed: float = 0.0
    on_estimate: OnEstimate | None = None

    def __post_init__(self) -> None:
        if not self.positive:
            raise ValueError("positive: expected at least one condition, got none")
        if self.uses_negative and not self.negative:
            raise ValueError(
                f"negative: guidance at cfg {self.cfg:g} needs at least one condition, got none"
            )

    @property
    def uses_negative(self) -> bool:
        scale = self.cfg if self.middle is None else self.middle.cfg
        return self.always_uncond or needs_uncond(scale)

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

    @cached_property
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

    @property
    def middle(self) -> list[Condition]:
        used = () if self.job.middle is None else self.job.middle.conditions
        return [c for c in used if c.active(self.level)]

    @property
    def perturbed(self) -> list[Condition]:
        return self.positive if self.job.perturbed != 0 else []

    @cached_property
    def asked(self) -> tuple[tuple[Condition, Asked], ...]:
        """What each active condition asks: positive, negative, middle, perturbed."""
        used = (*self.positive, *self.negative, *self.middle, *self.perturbed)
        x_t = self.job.model.network_input(self.seen, self.sigma)
        t = self.job.model.schedule.sigma_to_t(self.level)
        step = self.job.step_at(self.level)
        return tuple(
            (condition, condition.ask(x_t, t, self.level, step, self.job.steps))
            for condition in used
        )

    def queries(self) -> list[Query]:
        """One query for each active condition, in the order of `asked`."""
        plain = len(self.asked) - len(self.perturbed)
        return [
            Query(asked.x_t, asked.t, asked.context, i >= plain, condition.controls(asked), asked.y)
            for i, (condition, asked) in enumerate(self.asked)
        ]

    def answer(self, outputs: Sequence[Tensor]) -> Prediction:
        """The prediction, from the network's outputs in the order of `queries`.

        Entries of a side are averaged, then guided, clipped, and masked last, so that the known
        region stays exactly what it is. Guidance does not touch the learned variance, which is the
        positive side's.
        """
        answers = iter(zip(self.asked, outputs, strict=True))
        cond, log_variance = self._side(self.positive, answers)
        uncond = self._side(self.negative, answers)[0] if self.job.uses_negative else None
        middle = self._side(self.middle, answers)[0] if self.job.middle else None
        guided = self._guided(cond, uncond, middle)
        if self.job.perturbed != 0:
            perturbed = self._side(self.perturbed, answers)[0]
            guided = guided + (cond - perturbed) * self.job.perturbed
        clipped = guided if self.job.threshold is None else self.job.threshold(guided)
        eps = to_eps(self._masked(guided), self.x, self.sigma)
        return Prediction(self._masked(clipped), eps, uncond, log_variance)

    def _guided(self, cond: Tensor, uncond: Tensor | None, middle: Tensor | None) -> Tensor:
        if self.job.middle is None or middle is None:
            return self._leg(cond, uncond, self.job.cfg)
        if self.job.middle.nested:
            inner = self._leg(cond, middle, self.job.cfg)
            return self._leg(inner, uncond, self.job.middle.cfg)
        return self._leg(middle, uncond, self.job.middle.cfg) + (cond - middle) * self.job.cfg

    def _leg(self, cond: Tensor, uncond: Tensor | None, scale: float) -> Tensor:
        if uncond is None or self.job.rescale == 0:
            return guide(cond, uncond, scale)
        return rescaled(cond, uncond, scale, self.job.rescale, self.seen, self.sigma)

    def _side(
        self, conditions: Sequence[Condition], answers: Iterator[Answer]
    ) -> tuple[Tensor, Tensor | None]:
        """(x̂_0, log variance) of one side; x̂_0 = 0 where none of its entries has a say."""
        denoised, log_variances = [], []
        for (condition, asked), answer in itertools.islice(answers, len(conditions)):
            output, log_variance = split_variance(answer.to(self.seen.dtype), self.seen.shape[1])
            x_0 = self.job.model.denoised(output, condition.part(self.seen), self.sigma)
            x_0 = condition.seen_by_hooks(x_0, asked)
            denoised.append(condition.whole(x_0, self.seen))
            if log_variance is not None:
                log_variances.append(condition.whole(log_variance, self.seen))
        if not denoised:
            return torch.zeros_like(self.seen), None
        weights = [c.weight(self.seen) for c in conditions]
        mean = weighted_mean(denoised, weights)
        return mean, weighted_mean(log_variances, weights) if log_variances else None

    def _masked(self, denoised: Tensor) -> Tensor:
        inpaint = self.job.inpaint
        if inpaint is None:
            return denoised
        return inpaint.after(denoised, self.sigma).to(denoised.dtype)
