"""The samplers against distributions whose exact score is known, and against each other.

The data are N(2, 0.5²), for which the best guess at x_0 from x = x_0 + σ ε is known.
"""

import math
from collections.abc import Callable

import pytest
import torch
from gaussian_data import MEAN, SCHEDULE, STD, exact, levels, run, start
from torch import Tensor

from nodes.diffusion.noise import BatchNoise, no_noise
from nodes.diffusion.prediction import Prediction
from nodes.diffusion.samplers import (
    SAMPLERS,
    Sampler,
    ancestral_levels,
    ddim,
    ddpm,
    euler,
    noise_for,
)
from nodes.diffusion.samplers import euler_ancestral as ancestral
from nodes.diffusion.schedule import NoiseSchedule, betas_of, linear, scaled_linear
from nodes.diffusion.spacing import karras

# One look per step at the levels given, in turn.
PLAIN = sorted(
    name
    for name, method in SAMPLERS.items()
    if method.looks == 1 and name not in ("dpm_fast", "dpm_adaptive")  # type: ignore[attr-defined]
)
WITH_NOISE = sorted(n for n, m in SAMPLERS.items() if m.noise != "none")  # type: ignore[attr-defined]
ON_A_PATH = sorted(n for n, m in SAMPLERS.items() if "path" in m.noise)  # type: ignore[attr-defined]
# lcm is for networks whose answer is a picture whatever σ is: the mean of all has no spread.
# dpm_adaptive is as exact as it is asked to be.
COARSE = {"lcm", "dpm_adaptive"}
TIGHT = {"rtol": 1e-3, "atol": 1e-3}


def clipped(x: Tensor, sigma: float) -> Prediction:
    free = exact(x, sigma)
    return Prediction(free.denoised.clamp(-1, 1), free.eps)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("euler", {}),
        ("euler_ancestral", {}),
        ("euler_ancestral", {"eta": 0.5}),
        ("ddim", {}),
        ("ddim", {"eta": 0.5}),
        ("ddim", {"eta": 1.0}),
        ("ddim", {"eta": 1.0, "unclipped_eps": True}),
        ("ddpm", {}),
        ("ddpm", {"variance": "beta"}),
        ("dpm_fast", {"eta": 1.0}),
        ("dpm_adaptive", {"eta": 1.0, **TIGHT}),
        *((name, {}) for name in sorted(set(SAMPLERS) - COARSE) if not name.endswith("_gpu")),
    ],
)
def test_sampling_with_the_exact_model_recovers_the_data(name: str, options: dict) -> None:
    # paths are slow to draw, and their samplers need fewer steps
    sigmas = karras(SCHEDULE, 60).double() if name in ON_A_PATH else levels(250)
    noise = noise_for(SAMPLERS[name], sigmas, 1, "cpu")

    x_0 = run(SAMPLERS[name](start(sigmas, 8000), sigmas, noise, **options))

    assert x_0.dtype == torch.float64
    assert x_0.mean().item() == pytest.approx(MEAN, abs=0.02)
    assert x_0.std().item() == pytest.approx(STD, abs=0.02)


@pytest.mark.parametrize("variance", ["beta_tilde", "beta", "learned"])
def test_ddpm_at_full_length_recovers_the_data_with_each_variance(variance: str) -> None:
    sigmas = levels(1000)
    halfway = torch.zeros((), dtype=torch.float64)

    x_0 = run(
        SAMPLERS["ddpm"](start(sigmas), sigmas, BatchNoise(1), variance=variance),
        lambda x, sigma: exact(x, sigma, halfway),
    )

    assert x_0.mean().item() == pytest.approx(MEAN, abs=0.015)
    assert x_0.std().item() == pytest.approx(STD, abs=0.01)


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_single_precision_is_kept(name: str) -> None:
    sigmas = levels(30).float()
    noise = noise_for(SAMPLERS[name], sigmas, 1, "cpu")

    x_0 = run(SAMPLERS[name](start(sigmas, 2000).float(), sigmas, noise))

    assert x_0.dtype == torch.float32
    assert x_0.mean().item() == pytest.approx(MEAN, abs=0.05)


@pytest.mark.parametrize("sampler", [euler, ddim])
def test_the_deterministic_samplers_are_of_first_order(sampler: Callable[..., Sampler]) -> None:
    """The probability flow keeps (x − μ) / √(std² + σ²), down to the last level above 0."""
    schedule = NoiseSchedule(scaled_linear())
    start_at = torch.tensor([3.0, -9.0, 20.0], dtype=torch.float64)
    scale = math.hypot(STD, schedule.sigma_min) / math.hypot(STD, schedule.sigma_max)
    solution = MEAN + (start_at - MEAN) * scale

    def error(steps: int) -> float:
        x_0 = run(sampler(start_at, karras(schedule, steps).double()[:-1], no_noise))
        return (x_0 - solution).abs().max().item()

    assert error(100) / error(200) == pytest.approx(2, abs=0.1)
    assert error(200) / error(400) == pytest.approx(2, abs=0.05)


def test_one_euler_step_by_hand() -> None:
    x, sigmas = torch.tensor([10.0]), torch.tensor([4.0, 1.0])

    x = run(euler(x, sigmas, no_noise), lambda x, s: Prediction(torch.tensor([2.0]), x))

    assert x.item() == 10 + (10 - 2) / 4 * (1 - 4)


def test_one_ancestral_step_by_hand() -> None:
    """σ = 5, s = 3: up² = 9 · 16/25, down² = 81/25."""
    x, sigmas = torch.tensor([10.0]), torch.tensor([5.0, 3.0])

    x = run(
        ancestral(x, sigmas, lambda x, *_: torch.ones_like(x), s_noise=0.5),
        lambda x, s: Prediction(torch.tensor([5.0]), x),
    )

    assert x.item() == pytest.approx(10 + (10 - 5) / 5 * (9 / 5 - 5) + 0.5 * 12 / 5, rel=1e-6)


def test_ancestral_noise_beyond_the_next_level_is_limited_to_it() -> None:
    down, up = ancestral_levels(torch.tensor(5.0), torch.tensor(3.0), eta=100.0)

    assert (down.item(), up.item()) == (0, 3)


def test_the_ancestral_samplers_last_step_lands_exactly_on_the_prediction() -> None:
    x, sigmas = torch.tensor([0.1]), torch.tensor([0.7, 0.0])

    x = run(ancestral(x, sigmas, no_noise), lambda x, s: Prediction(torch.tensor([0.3]), x))

    assert torch.equal(x, torch.tensor([0.3]))


def test_eta_one_has_the_variance_of_the_ddpm_posterior() -> None:
    alpha_bar = linear()
    sigma, s, _ = SCHEDULE.sigmas_at([500, 499], dtype=torch.float64)
    a_t, a_s = alpha_bar[500], alpha_bar[499]
    beta_tilde = (1 - a_s) / (1 - a_t) * (1 - a_t / a_s)  # DDPM, eq. 7

    _, up = ancestral_levels(sigma, s, eta=1.0)

    assert (up**2 * a_s).item() == pytest.approx(beta_tilde.item(), rel=1e-9)


def test_ddim_with_eta_one_is_ddpm() -> None:
    sigmas = levels(30)
    x = start(sigmas, 4, 3)

    by_ddim = run(ddim(x, sigmas, BatchNoise(3), eta=1.0))
    by_ddpm = run(ddpm(x, sigmas, BatchNoise(3)))

    torch.testing.assert_close(by_ddim, by_ddpm, rtol=1e-9, atol=1e-9)


def test_ddim_with_eta_zero_is_euler_to_the_last_bit() -> None:
    sigmas = karras(SCHEDULE, 20)
    x = start(sigmas, 4, 3).float()

    assert torch.equal(run(ddim(x, sigmas, BatchNoise(3))), run(euler(x, sigmas, no_noise)))


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_ddim_with_noise_is_the_ancestral_sampler_of_that_eta(eta: float) -> None:
    sigmas = levels(30)
    x = start(sigmas, 4, 3)

    by_ddim = run(ddim(x, sigmas, BatchNoise(3), eta=eta))
    by_euler = run(ancestral(x, sigmas, BatchNoise(3), eta=eta))

    torch.testing.assert_close(by_ddim, by_euler, rtol=1e-9, atol=1e-9)


def test_the_model_eps_differs_from_the_one_of_a_clipped_prediction() -> None:
    sigmas = levels(10)
    x = start(sigmas, 4, 3)

    same = [run(ddim(x, sigmas, no_noise, unclipped_eps=u), exact) for u in (False, True)]
    other = [run(ddim(x, sigmas, no_noise, unclipped_eps=u), clipped) for u in (False, True)]

    torch.testing.assert_close(*same)
    assert (other[0] - other[1]).abs().max() > 0.1


def test_ddpm_is_algorithm_2_at_full_length() -> None:
    """x_{t−1} = 1/√α_t (x_t − β_t/√(1−ᾱ_t) ε) + √β_t z, written with the β of the schedule."""
    alpha_bar, t = linear(), 400
    beta = betas_of(alpha_bar)[t]
    sigmas = SCHEDULE.sigmas_at([t, t - 1], dtype=torch.float64)[:2]
    x_t, eps, z = torch.randn(3, 8, generator=torch.Generator().manual_seed(0)).double()
    x = x_t / alpha_bar[t].sqrt()

    x = run(
        ddpm(x, sigmas, lambda *_: z, variance="beta"),
        lambda x, sigma: Prediction(x - sigma * eps, eps),
    )

    mean = (x_t - beta / (1 - alpha_bar[t]).sqrt() * eps) / (1 - beta).sqrt()
    expected = mean + beta.sqrt() * z
    torch.testing.assert_close(x * alpha_bar[t - 1].sqrt(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("v", "same"), [(-1.0, "beta_tilde"), (1.0, "beta")])
def test_a_learned_variance_reaches_both_fixed_ones(v: float, same: str) -> None:
    sigmas = levels(20)
    x, bound = start(sigmas, 4, 3), torch.full((4, 3), v, dtype=torch.float64)

    learned = run(
        ddpm(x, sigmas, BatchNoise(3), variance="learned"), lambda x, s: exact(x, s, bound)
    )

    fixed = run(SAMPLERS["ddpm"](x, sigmas, BatchNoise(3), variance=same))
    torch.testing.assert_close(learned, fixed, rtol=1e-9, atol=1e-9)


def test_a_learned_variance_needs_a_network_that_learned_one() -> None:
    sigmas = levels(5)

    with pytest.raises(ValueError, match="returned no log variance"):
        run(ddpm(start(sigmas, 2), sigmas, no_noise, variance="learned"))
    with pytest.raises(ValueError, match="expected one of beta_tilde, beta, learned"):
        run(ddpm(start(sigmas, 2), sigmas, no_noise, variance="small"))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(set(SAMPLERS) - {"dpm_adaptive"}))
def test_an_image_with_its_own_seed_does_not_depend_on_its_batch(name: str) -> None:
    sigmas = levels(12)
    x, seeds = start(sigmas, 3, 2, 4), [11, 12, 13]
    sampler = SAMPLERS[name]

    together = run(sampler(x, sigmas, noise_for(sampler, sigmas, seeds, "cpu")))

    for i, seed in enumerate(seeds):
        alone = run(sampler(x[i : i + 1], sigmas, noise_for(sampler, sigmas, [seed], "cpu")))
        assert torch.equal(together[i : i + 1], alone)


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_one_seed_gives_one_result_and_only_samplers_with_noise_look_at_it(name: str) -> None:
    sigmas, sampler = levels(12), SAMPLERS[name]
    x = start(sigmas, 3, 2, 4)

    one, same, other = (
        run(sampler(x, sigmas, noise_for(sampler, sigmas, seed, "cpu"))) for seed in (1, 1, 2)
    )

    assert torch.equal(one, same)
    assert torch.equal(one, other) == (name not in WITH_NOISE)


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_no_step_is_taken_from_a_level_to_itself(name: str) -> None:
    sigmas, sampler = levels(6), SAMPLERS[name]
    x = start(sigmas, 2, 3)
    twice = torch.cat([sigmas[:3], sigmas[2:4], sigmas[3:]])
    noises = [noise_for(sampler, sigmas, 1, "cpu") for _ in range(2)]

    once, again = run(sampler(x, sigmas, noises[0])), run(sampler(x, twice, noises[1]))

    if name != "dpm_fast":  # which takes its number of looks from that of the levels
        assert torch.equal(once, again)


@pytest.mark.parametrize("name", PLAIN)
def test_the_questions_asked_are_the_levels_and_the_input_is_left_alone(name: str) -> None:
    sigmas = karras(SCHEDULE, 6)
    x, asked = start(sigmas, 2, 2).float(), []
    before, state = x.clone(), torch.get_rng_state()

    def predict(x: Tensor, sigma: float) -> Prediction:
        asked.append(sigma)
        return exact(x, sigma)

    run(SAMPLERS[name](x, sigmas, noise_for(SAMPLERS[name], sigmas, 0, "cpu")), predict)

    assert asked == sigmas.tolist()[:-1]
    assert torch.equal(x, before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", sorted(SAMPLERS))
@pytest.mark.parametrize("sigmas", [torch.empty(0), torch.tensor([3.0])])
def test_with_no_steps_x_comes_back(name: str, sigmas: Tensor) -> None:
    x = torch.ones(2)

    assert run(SAMPLERS[name](x, sigmas, no_noise)) is x


@pytest.mark.parametrize("name", sorted(set(SAMPLERS) - set(WITH_NOISE)))
def test_walking_up_and_down_again_returns_to_the_start(name: str) -> None:
    down = karras(SCHEDULE, 400).double()[:-1]
    x = torch.tensor([1.5, 2.0, 2.9], dtype=torch.float64)

    options = TIGHT if name == "dpm_adaptive" else {}
    noisy = run(SAMPLERS[name](x, down.flip(0), no_noise, **options))
    back = run(SAMPLERS[name](noisy, down, no_noise, **options))

    assert (noisy - x).abs().max() > 10
    torch.testing.assert_close(back, x, atol=0.02, rtol=0)


@pytest.mark.parametrize("name", WITH_NOISE)
def test_a_sampler_with_noise_cannot_walk_up(name: str) -> None:
    with pytest.raises(ValueError, match="levels that descend"):
        run(SAMPLERS[name](torch.ones(2), torch.tensor([1.0, 2.0]), no_noise))


@pytest.mark.parametrize(
    ("sigmas", "expected"),
    [
        (torch.ones(2, 2), "expected a vector"),
        (torch.tensor([math.inf, 1.0]), "finite"),
        (torch.tensor([1.0, 0.0, 0.0]), "above 0"),
        (torch.tensor([1.0, -1.0]), "above 0"),
    ],
)
def test_levels_that_mean_nothing_are_refused(sigmas: Tensor, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        run(euler(torch.ones(2), sigmas, no_noise))
