"""The levels of each spacing against the equations that define it, worked out here by hand."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from nodes.diffusion.schedule import NoiseSchedule, scaled_linear, zero_terminal_snr
from nodes.diffusion.spacing import SPACINGS, cut, sigmas_for

SCHEDULE = NoiseSchedule(scaled_linear())
SIGMAS = SCHEDULE.sigmas.tolist()
LOG_SIGMAS = SCHEDULE.log_sigmas.double().tolist()
CLOSE = {"rel": 2e-6, "abs": 1e-6}


def at(t: float) -> float:
    below = math.floor(t)
    above, w = min(below + 1, 999), t - below
    return math.exp((1 - w) * LOG_SIGMAS[below] + w * LOG_SIGMAS[above])


def levels(name: str, steps: int, schedule: NoiseSchedule = SCHEDULE) -> list[float]:
    return sigmas_for(schedule, name, steps).tolist()


def test_normal_spaces_times_evenly_with_both_ends() -> None:
    expected = [at(999 - 999 * i / 6) for i in range(7)] + [0.0]

    assert levels("normal", 7) == pytest.approx(expected, **CLOSE)


def test_normal_ends_on_a_table_that_reaches_zero_without_another_zero() -> None:
    alpha_bar = torch.tensor([1 - 1e-12, 0.9, 0.5, 0.1, 0.01], dtype=torch.float64)

    sigmas = levels("normal", 4, NoiseSchedule(alpha_bar))

    assert len(sigmas) == 5
    assert 0 < sigmas[-1] < 1e-5


def test_sgm_uniform_leaves_out_the_first_time() -> None:
    expected = [at(999 - 999 * i / 7) for i in range(7)] + [0.0]

    assert levels("sgm_uniform", 7) == pytest.approx(expected, **CLOSE)


@pytest.mark.parametrize("steps", [1, 7, 20, 30, 1000])
def test_simple_takes_every_nth_level_from_the_top(steps: int) -> None:
    expected = [SIGMAS[-(1 + int(i * (1000 / steps)))] for i in range(steps)] + [0.0]

    assert levels("simple", steps) == expected


def test_ddim_uniform_counts_from_time_one_and_can_have_more_steps() -> None:
    assert levels("ddim_uniform", 4) == [SIGMAS[751], SIGMAS[501], SIGMAS[251], SIGMAS[1], 0.0]
    assert len(levels("ddim_uniform", 7)) == 9  # 1000 // 7 = 142: times 1, 143, ..., 995
    assert levels("ddim_uniform", 7)[0] == SIGMAS[995]


def test_karras_is_even_in_the_seventh_root() -> None:
    roots = [s ** (1 / 7) for s in levels("karras", 9)[:-1]]

    gaps = [a - b for a, b in pairwise(roots)]
    assert gaps == pytest.approx([(SIGMAS[-1] ** (1 / 7) - SIGMAS[0] ** (1 / 7)) / 8] * 8, abs=1e-5)


def test_exponential_is_a_geometric_series() -> None:
    ratio = (SIGMAS[0] / SIGMAS[-1]) ** (1 / 8)

    expected = [SIGMAS[-1] * ratio**i for i in range(9)] + [0.0]
    assert levels("exponential", 9) == pytest.approx(expected, **CLOSE)


@pytest.mark.parametrize("steps", [1, 2, 20, 25, 30, 300])
def test_beta_takes_the_times_at_the_quantiles_and_each_once(steps: int) -> None:
    p = 1 - np.linspace(0, 1, steps, endpoint=False)
    times = np.rint(special.betaincinv(0.6, 0.6, p) * 999).astype(int).tolist()

    assert levels("beta", steps) == [SIGMAS[t] for t in dict.fromkeys(times)] + [0.0]


def test_linear_quadratic_falls_evenly_then_ever_faster() -> None:
    u = [1 - s / SIGMAS[-1] for s in levels("linear_quadratic", 8)]

    assert u[:5] == pytest.approx([i * 0.025 / 4 for i in range(5)], abs=1e-6)
    assert u[-1] == 1
    second = [u[i + 2] - 2 * u[i + 1] + u[i] for i in range(4, 7)]
    curvature = 2 * (1 - 0.025 - 0.025) / 16  # value and slope meet at step 4 of 8
    assert second == pytest.approx([curvature] * 3, abs=1e-6)
    assert levels("linear_quadratic", 1) == [SIGMAS[-1], 0.0]


def test_kl_optimal_is_even_in_the_arctangent() -> None:
    low, high = math.atan(SIGMAS[0]), math.atan(SIGMAS[-1])
    expected = [math.tan(high + (low - high) * i / 9) for i in range(10)] + [0.0]

    assert levels("kl_optimal", 10) == pytest.approx(expected, rel=1e-5, abs=1e-6)


@given(
    name=st.sampled_from(sorted(SPACINGS)),
    steps=st.integers(1, 60),
    zsnr=st.booleans(),
    denoise=st.sampled_from([1.0, 0.75, 0.3]),
)
@settings(max_examples=80, deadline=None)
def test_every_spacing_descends_to_zero(name: str, steps: int, zsnr: bool, denoise: float) -> None:
    schedule = NoiseSchedule(zero_terminal_snr(scaled_linear())) if zsnr else SCHEDULE

    sigmas = sigmas_for(schedule, name, steps, denoise=denoise)

    assert sigmas.dtype == torch.float32
    assert bool((sigmas[1:] < sigmas[:-1]).all())
    assert sigmas[-1] == 0
    assert sigmas[0] <= schedule.sigma_max * (1 + 1e-5)


def test_denoising_by_half_is_the_end_of_a_walk_twice_as_long() -> None:
    whole, half = levels("normal", 20), sigmas_for(SCHEDULE, "normal", 10, denoise=0.5).tolist()

    assert half == whole[-11:]
    assert sigmas_for(SCHEDULE, "normal", 20, denoise=0.7).tolist() == levels("normal", 28)[-21:]
    assert sigmas_for(SCHEDULE, "normal", 20, denoise=0.99995).tolist() == whole
    assert len(sigmas_for(SCHEDULE, "normal", 20, denoise=0.0)) == 0


@pytest.mark.parametrize("sampler", ["dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2"])
def test_some_samplers_skip_the_level_before_the_last(sampler: str) -> None:
    sigmas = sigmas_for(SCHEDULE, "karras", 10, sampler=sampler).tolist()

    longer = levels("karras", 11)
    assert sigmas == [*longer[:-2], 0.0]
    assert len(sigmas) == 11


def test_a_cut_walk_ends_clean_unless_leftover_noise_is_wanted() -> None:
    sigmas = torch.tensor([4.0, 3.0, 2.0, 1.0, 0.0])

    assert cut(sigmas, 1, 3).tolist() == [3, 2, 0]
    assert cut(sigmas, 1, 3, leftover=True).tolist() == [3, 2, 1]
    assert cut(sigmas, 0, 10000).tolist() == sigmas.tolist()
    assert cut(sigmas, 2).tolist() == [2, 1, 0]
    assert sigmas.tolist() == [4, 3, 2, 1, 0]


@pytest.mark.parametrize(("start", "end"), [(4, None), (9, None), (2, 2), (3, 1), (0, 0)])
def test_nothing_is_left_when_the_start_is_not_before_the_end(start: int, end: int | None) -> None:
    assert len(cut(torch.tensor([4.0, 3.0, 2.0, 1.0, 0.0]), start, end)) == 0


def test_bad_requests_say_what_was_expected() -> None:
    with pytest.raises(ValueError, match="did you mean 'karras'"):
        sigmas_for(SCHEDULE, "karas", 20)
    with pytest.raises(ValueError, match="steps: expected at least 1"):
        sigmas_for(SCHEDULE, "normal", 0)
    with pytest.raises(ValueError, match="denoise: expected"):
        sigmas_for(SCHEDULE, "normal", 20, denoise=1.5)
