"""Levels from numbers alone: their formulas, and k-diffusion's own where it has them."""

import math
from typing import Any

import pytest
import torch
from diffusers.schedulers import AysSchedules
from k_diffusion_alone import load

from nodes.diffusion import levels
from nodes.diffusion.schedule import NoiseSchedule, distilled, scaled_linear
from nodes.diffusion.spacing import normal, sgm_uniform

SCHEDULE = NoiseSchedule(scaled_linear())


@pytest.mark.parametrize("steps", [1, 2, 20, 33])
def test_the_levels_are_k_diffusions(steps: int) -> None:
    k_diffusion: Any = load()
    low, high = 0.03, 14.6

    assert torch.equal(
        levels.karras(steps, low, high, 5.0), k_diffusion.get_sigmas_karras(steps, low, high, 5.0)
    )
    assert torch.equal(
        levels.exponential(steps, low, high),
        k_diffusion.get_sigmas_exponential(steps, low, high),
    )
    for rho in (1.0, 2.5):
        torch.testing.assert_close(
            levels.polyexponential(steps, low, high, rho),
            k_diffusion.get_sigmas_polyexponential(steps, low, high, rho),
        )
    torch.testing.assert_close(
        levels.variance_preserving(steps, 19.0, 0.2, 0.01),
        k_diffusion.get_sigmas_vp(steps, 19.0, 0.2, 0.01),
    )


@pytest.mark.parametrize(
    ("low", "high", "rho", "said"),
    [
        (0.0, 14.0, 7.0, "expected 0 < sigma_min <= sigma_max"),
        (15.0, 14.0, 7.0, "sigma_min 15 and sigma_max 14"),
        (0.1, 14.0, 0.0, "rho: expected a value above 0, got 0"),
    ],
)
def test_a_range_that_is_none_is_refused(low: float, high: float, rho: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        levels.karras(5, low, high, rho)


def test_a_logarithm_of_no_level_is_refused() -> None:
    for spaced in (levels.exponential, levels.polyexponential):
        with pytest.raises(ValueError, match="sigma_min 0 and sigma_max 14"):
            spaced(5, 0.0, 14.0)


@pytest.mark.parametrize(("beta_d", "eps_s"), [(5000.0, 0.001), (19.9, 0.0)])
def test_a_process_without_levels_is_refused(beta_d: float, eps_s: float) -> None:
    with pytest.raises(ValueError, match="give no levels between 0"):
        levels.variance_preserving(5, beta_d, 0.1, eps_s)


def test_turbo_takes_every_hundredth_time_from_the_top() -> None:
    sigmas = levels.turbo(SCHEDULE, 3)

    torch.testing.assert_close(sigmas[:3], SCHEDULE.sigmas[[999, 899, 799]])
    assert sigmas.tolist()[3:] == [0]


def test_turbo_with_less_denoising_starts_further_down_and_ends_where_times_end() -> None:
    sigmas = levels.turbo(SCHEDULE, 10, 0.35)

    torch.testing.assert_close(sigmas[:-1], SCHEDULE.sigmas[[299, 199, 99]])
    assert levels.turbo(SCHEDULE, 4, 0.0).tolist() == [0]


def test_the_aligned_steps_are_those_published() -> None:
    for kind, name in (("SD1", "StableDiffusion"), ("SDXL", "StableDiffusionXL")):
        times = AysSchedules[f"{name}Timesteps"]
        table = AysSchedules[f"{name}Sigmas"][:-1]

        sigmas = levels.align_your_steps(kind, 10)

        torch.testing.assert_close(sigmas[:-1], SCHEDULE.sigmas[times])
        assert sigmas.tolist() == pytest.approx([*table, 0], abs=6e-3)
    svd = AysSchedules["StableDiffusionVideoSigmas"]
    assert levels.align_your_steps("SVD", 10).tolist() == pytest.approx(svd, rel=1e-6)


def test_other_numbers_of_steps_interpolate_the_logarithm() -> None:
    ten, twenty = levels.align_your_steps("SD1", 10), levels.align_your_steps("SD1", 20)

    torch.testing.assert_close(twenty[::2], ten)
    torch.testing.assert_close(twenty[1], (ten[0] * ten[1]).sqrt())
    assert (twenty[1:] < twenty[:-1]).all()


def test_less_denoising_keeps_the_end_of_the_aligned_steps() -> None:
    whole = levels.align_your_steps("SDXL", 10)

    assert torch.equal(levels.align_your_steps("SDXL", 10, 0.4), whole[-5:])
    assert len(levels.align_your_steps("SDXL", 10, 0.0)) == 0
    assert len(levels.align_your_steps("SDXL", 10, 0.01)) == 0
    with pytest.raises(ValueError, match="expected one of SD1, SDXL, SVD"):
        levels.align_your_steps("SD3", 10)


def test_a_split_shares_the_level_between() -> None:
    sigmas = torch.tensor([5.0, 4.0, 3.0, 1.0, 0.0])

    high, low = levels.split(sigmas, 3)

    assert (high.tolist(), low.tolist()) == ([5, 4, 3, 1], [1, 0])
    assert levels.split(sigmas, 99)[1].tolist() == []


@pytest.mark.parametrize(
    ("denoise", "high", "low"),
    [
        (0.5, [5, 4, 3], [3, 1, 0]),
        (1.0, [5], [5, 4, 3, 1, 0]),
        (0.0, [5, 4, 3, 1, 0], [0]),
        (0.6, [5, 4, 3], [3, 1, 0]),
    ],
)
def test_a_split_by_share_gives_the_second_part_that_share(
    denoise: float, high: list[float], low: list[float]
) -> None:
    parts = levels.split_share(torch.tensor([5.0, 4.0, 3.0, 1.0, 0.0]), denoise)

    assert [part.tolist() for part in parts] == [high, low]


def test_flipped_levels_rise_from_nearly_zero_and_the_given_ones_stay() -> None:
    sigmas = torch.tensor([5.0, 1.0, 0.0])

    up = levels.flipped(sigmas)

    assert up.tolist() == pytest.approx([0.0001, 1, 5])
    assert sigmas.tolist() == [5, 1, 0]
    assert len(levels.flipped(torch.empty(0))) == 0


# -- a network distilled to some of its times ------------------------------------------------------


def test_a_distilled_schedule_has_every_twentieth_level_and_its_times() -> None:
    schedule = distilled(scaled_linear(), 50)

    assert torch.equal(schedule.sigmas, SCHEDULE.sigmas[19::20])
    assert (schedule.first_time, schedule.last_time) == (19, 999)
    for t in (19, 39, 999):
        sigma = SCHEDULE.sigmas[t].item()
        assert schedule.sigma_to_t(sigma) == t
        assert schedule.t_to_sigma(t).item() == pytest.approx(sigma, rel=1e-6)
        assert schedule.sigmas_at([t])[0].item() == pytest.approx(sigma, rel=1e-6)
    between = math.sqrt(SCHEDULE.sigmas[19] * SCHEDULE.sigmas[39])
    assert schedule.t_to_sigma(29).item() == pytest.approx(between, rel=1e-5)


def test_percents_and_even_times_of_a_distilled_schedule_are_in_the_networks_times() -> None:
    schedule = distilled(scaled_linear(), 50)

    assert schedule.percent_to_sigma(0.5) == schedule.t_to_sigma(499.5).item()
    torch.testing.assert_close(normal(schedule, 2)[:-1], SCHEDULE.sigmas[[999, 19]])
    assert sgm_uniform(schedule, 2)[1] == schedule.t_to_sigma(509)
