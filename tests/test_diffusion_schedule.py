"""Noise schedules against their equations and the levels that Stable Diffusion is known to have."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nodes.diffusion.schedule import (
    LAST_ALPHA_BAR,
    NoiseSchedule,
    betas_of,
    cosine,
    linear,
    respace,
    scaled_linear,
    zero_terminal_snr,
)

SCHEDULE = NoiseSchedule(scaled_linear())


def test_the_scaled_linear_schedule_has_the_levels_of_stable_diffusion() -> None:
    assert SCHEDULE.sigma_min == pytest.approx(0.0291671582, rel=1e-7)
    assert SCHEDULE.sigma_max == pytest.approx(14.6146412, rel=1e-7)
    assert SCHEDULE.sigmas.dtype == SCHEDULE.log_sigmas.dtype == torch.float32
    assert SCHEDULE.sigmas.shape == (1000,)


def test_linear_betas_run_evenly_between_their_ends() -> None:
    beta = betas_of(linear(5, beta_1=0.1, beta_T=0.5))

    torch.testing.assert_close(beta, torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5]).double())


def test_alpha_bar_is_the_product_of_one_minus_beta() -> None:
    alpha_bar = linear(3, beta_1=0.1, beta_T=0.3)

    assert alpha_bar.tolist() == pytest.approx([0.9, 0.9 * 0.8, 0.9 * 0.8 * 0.7])
    assert alpha_bar.dtype == torch.float64


def test_scaled_linear_is_linear_in_the_root_of_beta() -> None:
    beta = betas_of(scaled_linear(3, beta_1=0.01, beta_T=0.09))

    assert beta.tolist() == pytest.approx([0.01, 0.04, 0.09])


def test_cosine_follows_its_equation_until_beta_is_capped() -> None:
    def f(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    alpha_bar = cosine(100)

    assert alpha_bar[49].item() == pytest.approx(f(0.5) / f(0))
    assert alpha_bar[98].item() == pytest.approx(f(0.99) / f(0))
    assert betas_of(alpha_bar)[99].item() == pytest.approx(0.999)


def test_zero_terminal_snr_keeps_the_first_level_and_empties_the_last() -> None:
    before = scaled_linear()

    after = zero_terminal_snr(before)

    assert after[0].item() == pytest.approx(before[0].item(), rel=1e-12)
    assert after[-1].item() == LAST_ALPHA_BAR
    root, shifted = before.sqrt(), after.sqrt()
    scale = root[0] / (root[0] - root[-1])
    torch.testing.assert_close(shifted[1:-1], (root[1:-1] - root[-1]) * scale)
    assert NoiseSchedule(after).sigma_max == pytest.approx(4518.76, rel=1e-5)


def test_a_respaced_process_reaches_the_same_alpha_bar_at_the_times_it_visits() -> None:
    alpha_bar, times = linear(), [999, 0, 500]

    shorter = respace(alpha_bar, times)

    beta = betas_of(shorter)
    torch.testing.assert_close((1 - beta).cumprod(0), alpha_bar[torch.tensor([0, 500, 999])])
    assert beta[1].item() == pytest.approx(1 - (alpha_bar[500] / alpha_bar[0]).item())


def test_respacing_to_every_time_changes_nothing() -> None:
    torch.testing.assert_close(respace(linear(), range(1000)), linear(), atol=0, rtol=0)


@pytest.mark.parametrize("times", [[], [1, 1], [-1, 3], [1000]])
def test_respacing_refuses_times_that_are_not_in_the_schedule(times: list[int]) -> None:
    with pytest.raises(ValueError, match="times: expected"):
        respace(linear(), times)


@given(st.integers(0, 999))
def test_a_level_of_the_table_and_its_time_are_inverse(t: int) -> None:
    sigma = SCHEDULE.sigmas[t].item()

    assert SCHEDULE.sigma_to_t(sigma) == t
    assert SCHEDULE.t_to_sigma(t).item() == pytest.approx(sigma, rel=1e-6)


def test_a_level_between_two_times_goes_to_the_nearer_in_log_sigma() -> None:
    low, high = SCHEDULE.sigmas[10].item(), SCHEDULE.sigmas[11].item()
    middle = math.sqrt(low * high)

    assert SCHEDULE.sigma_to_t(middle * 0.999) == 10
    assert SCHEDULE.sigma_to_t(middle * 1.001) == 11
    assert SCHEDULE.sigma_to_t(1e-9) == 0
    assert SCHEDULE.sigma_to_t(1e9) == 999


def test_a_fractional_time_interpolates_log_sigma() -> None:
    low, high = SCHEDULE.sigmas[10].double(), SCHEDULE.sigmas[11].double()

    sigma = SCHEDULE.t_to_sigma(10.25).item()

    assert sigma == pytest.approx((low**0.75 * high**0.25).item(), rel=1e-6)


def test_times_outside_the_table_are_clamped() -> None:
    ends = SCHEDULE.t_to_sigma(torch.tensor([-5.0, 2000.0]))

    torch.testing.assert_close(ends, SCHEDULE.sigmas[[0, -1]], rtol=1e-6, atol=0)


def test_percent_runs_from_before_the_start_to_zero() -> None:
    assert SCHEDULE.percent_to_sigma(0.0) == 999999999.9
    assert SCHEDULE.percent_to_sigma(1.0) == 0.0
    assert SCHEDULE.percent_to_sigma(0.5) == SCHEDULE.t_to_sigma(499.5).item()
    assert SCHEDULE.percent_to_sigma(0.25) > SCHEDULE.percent_to_sigma(0.75)


def test_levels_at_times_are_exact_in_double_precision() -> None:
    alpha_bar = linear()
    levels = NoiseSchedule(alpha_bar).sigmas_at([999, 3], dtype=torch.float64)

    expected = ((1 - alpha_bar) / alpha_bar).sqrt()[[999, 3]]
    torch.testing.assert_close(levels[:2], expected, rtol=1e-14, atol=0)
    assert levels[2].item() == 0
    assert NoiseSchedule(alpha_bar).sigmas_at([3], last=0.5).tolist()[-1] == 0.5


@pytest.mark.parametrize(
    "alpha_bar", [[0.5], [0.9, 0.0], [1.5, 0.5], [0.5, 0.9], [0.5, 0.5], [[0.9, 0.5]]]
)
def test_a_schedule_refuses_what_is_not_a_fading_signal(alpha_bar: list[float]) -> None:
    with pytest.raises(ValueError, match="alpha_bar: expected"):
        NoiseSchedule(torch.tensor(alpha_bar))
