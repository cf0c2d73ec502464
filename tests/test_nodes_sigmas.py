"""The nodes of levels: what each asks of the formulas, from the ports' own defaults."""

from __future__ import annotations

import pytest
import torch
from node_support import Painter, painted_model

from nodes.diffusion import levels
from nodes.diffusion.spacing import beta, sigmas_for
from nodes.sigmas import (
    align_your_steps_scheduler,
    beta_sampling_scheduler,
    exponential_scheduler,
    flip_sigmas,
    karras_scheduler,
    polyexponential_scheduler,
    sd_turbo_scheduler,
    split_sigmas,
    split_sigmas_denoise,
    vp_scheduler,
)
from nodes.types import Sigmas

MODEL = painted_model(Painter())
SCHEDULE = MODEL.sampling.schedule


def test_the_defaults_are_those_of_stable_diffusions_own_range() -> None:
    for made, name in ((karras_scheduler(), "karras"), (exponential_scheduler(), "exponential")):
        torch.testing.assert_close(made, sigmas_for(SCHEDULE, name, 20), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(polyexponential_scheduler(), exponential_scheduler())


def test_each_scheduler_gives_the_levels_of_its_formula() -> None:
    assert torch.equal(karras_scheduler(8, 10.0, 0.1, 5.0), levels.karras(8, 0.1, 10.0, 5.0))
    assert torch.equal(exponential_scheduler(8, 10.0, 0.1), levels.exponential(8, 0.1, 10.0))
    assert torch.equal(
        polyexponential_scheduler(8, 10.0, 0.1, 2.0), levels.polyexponential(8, 0.1, 10.0, 2.0)
    )
    assert torch.equal(
        vp_scheduler(8, 19.0, 0.2, 0.01), levels.variance_preserving(8, 19.0, 0.2, 0.01)
    )
    assert torch.equal(beta_sampling_scheduler(MODEL, 8, 0.5, 0.9), beta(SCHEDULE, 8, a=0.5, b=0.9))
    assert torch.equal(sd_turbo_scheduler(MODEL, 4, 0.7), levels.turbo(SCHEDULE, 4, 0.7))
    assert torch.equal(
        align_your_steps_scheduler("SDXL", 12, 0.5), levels.align_your_steps("SDXL", 12, 0.5)
    )


def test_beta_sampling_by_default_is_the_schedule_named_beta() -> None:
    assert torch.equal(beta_sampling_scheduler(MODEL), sigmas_for(SCHEDULE, "beta", 20))


def test_levels_are_split_and_turned_round() -> None:
    sigmas = Sigmas(torch.tensor([5.0, 4.0, 3.0, 1.0, 0.0]))

    by_step, by_share = split_sigmas(sigmas, 1), split_sigmas_denoise(sigmas, 0.25)

    assert [part.tolist() for part in by_step] == [[5, 4], [4, 3, 1, 0]]
    assert (by_share.high_sigmas.tolist(), by_share.low_sigmas.tolist()) == ([5, 4, 3, 1], [1, 0])
    assert flip_sigmas(sigmas).tolist() == pytest.approx([0.0001, 1, 3, 4, 5])
