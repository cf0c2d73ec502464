"""Samplers that k-diffusion lacks: against diffusers, scipy's integrals, and the papers by hand."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UniPCMultistepScheduler
from scipy.integrate import quad
from torch import Tensor

from nodes.diffusion.noise import no_noise
from nodes.diffusion.prediction import Prediction, scaled_input, to_eps, unscaled
from nodes.diffusion.samplers import SAMPLERS, Sampler, deis, ipndm, lcm, lms, uni_pc
from nodes.diffusion.samplers.multistep import vp_time
from nodes.diffusion.schedule import NoiseSchedule, scaled_linear
from nodes.diffusion.spacing import karras

SCHEDULE = NoiseSchedule(scaled_linear())
SHAPE = (2, 3, 4, 4)
Denoise = Callable[[Tensor, float], Tensor]


def denoise(x: Tensor, sigma: float) -> Tensor:
    """Some smooth denoiser with no special structure."""
    return torch.tanh(x / (1 + sigma)) + 0.1 * x.roll(1, -1)


def undirected(x: Tensor, sigma: float) -> Tensor:
    """What it says without a prompt."""
    return 0.7 * torch.sin(x / (1 + sigma))


def walk(sampler: Sampler, model: Denoise = denoise, bare: Denoise = undirected) -> list[Tensor]:
    """Every x the sampler asked about, and the last."""
    asked = []
    try:
        x, sigma = next(sampler)
        while True:
            asked.append(x)
            guided = model(x, sigma)
            eps = to_eps(guided, x, torch.tensor(sigma, dtype=x.dtype))
            x, sigma = sampler.send(Prediction(guided, eps, bare(x, sigma)))
    except StopIteration as finished:
        return [*asked, finished.value]


def levels(steps: int) -> Tensor:
    return karras(SCHEDULE, steps).double()


def first(sigmas: Tensor) -> Tensor:
    z = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return z * sigmas[0]


# -- UniPC against diffusers -----------------------------------------------------------------------


def diffusers_walk(sigmas: Tensor, order: int, kind: str) -> list[Tensor]:
    """The same walk by diffusers' scheduler, in our variables; it is given our levels."""
    scheduler: Any = UniPCMultistepScheduler(solver_order=order, solver_type=kind)
    scheduler.num_inference_steps = len(sigmas) - 1
    scheduler.sigmas = sigmas
    scheduler.timesteps = torch.arange(len(sigmas) - 1)
    x_t, visited = scaled_input(first(sigmas), sigmas[0]), []
    for i, t in enumerate(scheduler.timesteps):
        x = unscaled(x_t, sigmas[i])
        visited.append(x)
        eps = (x - denoise(x, sigmas[i].item())) / sigmas[i]
        x_t = scheduler.step(eps, t, x_t).prev_sample
    return [*visited, unscaled(x_t, sigmas[-1])]


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 12])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("kind", ["bh1", "bh2"])
def test_uni_pc_is_that_of_diffusers(kind: str, order: int, steps: int) -> None:
    sigmas = levels(steps)
    ends = torch.cat([sigmas[:-1], torch.tensor([0.001]).double()])

    ours = walk(uni_pc(first(sigmas), sigmas, no_noise, order=order, bh2=kind == "bh2"))

    for a, b in zip(ours, diffusers_walk(ends, order, kind), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


def test_uni_pc_and_its_second_form_are_two_entries_of_order_three() -> None:
    sigmas = levels(8)

    named = [walk(SAMPLERS[n](first(sigmas), sigmas, no_noise)) for n in ("uni_pc", "uni_pc_bh2")]

    asked = [uni_pc(first(sigmas), sigmas, no_noise, order=3, bh2=bh2) for bh2 in (False, True)]
    for one, other in zip(named, map(walk, asked), strict=True):
        assert torch.equal(one[-1], other[-1])
    assert not torch.allclose(named[0][-1], named[1][-1])


# -- multistep methods -----------------------------------------------------------------------------


def integral(sigmas: list[float], j: int, start: float, end: float) -> float:
    """∫ L_j(t(σ)) dσ with t the time of the process, by scipy."""
    t = [vp_time(torch.tensor(s, dtype=torch.float64)).item() for s in sigmas]

    def basis(sigma: float) -> float:
        at = vp_time(torch.tensor(sigma, dtype=torch.float64)).item()
        return math.prod((at - t[k]) / (t[j] - t[k]) for k in range(len(t)) if k != j)

    return quad(basis, start, end, epsabs=1e-12, epsrel=1e-12)[0]


def test_deis_integrates_polynomials_in_time() -> None:
    sigmas = levels(7)
    visited = walk(deis(first(sigmas), sigmas, no_noise))

    slopes: list[Tensor] = []
    for i, (x, after) in enumerate(pairwise(visited)):
        slopes.insert(0, (x - denoise(x, sigmas[i].item())) / sigmas[i])
        used = 1 if sigmas[i + 1] == 0 else min(i + 1, 3)
        places = [sigmas[i - k].item() for k in range(used)]
        c = [integral(places, j, sigmas[i].item(), sigmas[i + 1].item()) for j in range(used)]
        expected = x + sum(c_j * d for c_j, d in zip(c, slopes, strict=False))
        torch.testing.assert_close(after, expected, rtol=1e-9, atol=1e-9)


def test_the_process_of_deis_has_the_levels_it_is_defined_by() -> None:
    """σ(t)² + 1 = exp(∫β) with β linear in t, σ(0.001) = 0.002 and σ(1) = 80."""
    t = vp_time(torch.tensor([0.002, 80.0], dtype=torch.float64))

    assert t.tolist() == pytest.approx([0.001, 1.0], rel=1e-9)
    between = vp_time(torch.linspace(0.01, 80, 500, dtype=torch.float64))
    log_snr = torch.linspace(0.01, 80, 500, dtype=torch.float64).pow(2).log1p()
    a, b, c = np.polyfit(between.numpy(), log_snr.numpy(), 2)
    assert abs(c) < 1e-9
    assert np.allclose(a * between**2 + b * between, log_snr)


def test_deis_of_first_order_is_euler() -> None:
    sigmas = levels(7)

    one = walk(deis(first(sigmas), sigmas, no_noise, order=1))

    euler = walk(SAMPLERS["euler"](first(sigmas), sigmas, no_noise))
    for a, b in zip(one, euler, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_ipndm_by_hand() -> None:
    sigmas = levels(7)
    visited = walk(ipndm(first(sigmas), sigmas, no_noise))

    d = [(x - denoise(x, s)) / s for x, s in zip(visited, sigmas[:-1].tolist(), strict=False)]
    means = {
        1: d[0],
        2: (3 * d[1] - d[0]) / 2,
        3: (23 * d[2] - 16 * d[1] + 5 * d[0]) / 12,
        4: (55 * d[3] - 59 * d[2] + 37 * d[1] - 9 * d[0]) / 24,
        5: (55 * d[4] - 59 * d[3] + 37 * d[2] - 9 * d[1]) / 24,
    }
    for i, mean in means.items():
        expected = visited[i - 1] + (sigmas[i] - sigmas[i - 1]) * mean
        torch.testing.assert_close(visited[i], expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(visited[-1], denoise(visited[-2], sigmas[-2].item()))


def test_ipndm_v_is_lms_but_for_the_step_to_zero_and_ipndm_where_steps_are_equal() -> None:
    sigmas, even = levels(7), torch.linspace(14, 2, 9, dtype=torch.float64)
    by_lms = walk(lms(first(sigmas), sigmas, no_noise))

    visited = walk(SAMPLERS["ipndm_v"](first(sigmas), sigmas, no_noise))

    assert all(torch.equal(a, b) for a, b in zip(visited[:-1], by_lms[:-1], strict=True))
    assert torch.equal(visited[-1], denoise(visited[-2], sigmas[-2].item()))
    assert not torch.allclose(visited[-1], by_lms[-1])
    a, b = (walk(SAMPLERS[n](first(even), even, no_noise))[-1] for n in ("ipndm", "ipndm_v"))
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["lms", "ipndm", "ipndm_v", "deis", "uni_pc"])
def test_an_order_that_a_method_does_not_have_is_refused(name: str) -> None:
    sigmas = levels(3)

    with pytest.raises(ValueError, match=r"order: expected 1\.\.\d+, got 0"):
        walk(SAMPLERS[name](first(sigmas), sigmas, no_noise, order=0))
    with pytest.raises(ValueError, match=r"order: expected 1\.\.\d+, got 101"):
        walk(SAMPLERS[name](first(sigmas), sigmas, no_noise, order=101))


def test_res_multistep_is_exact_where_the_answer_is_linear_in_lambda() -> None:
    """x_s = e^{−h} x + ∫ e^{u−h} (a + b (λ + u)) du, from the second step on."""
    sigmas = levels(7)
    a, b = 0.3, -0.8

    def linear(x: Tensor, sigma: float) -> Tensor:
        return torch.full_like(x, a - b * math.log(sigma))

    visited = walk(SAMPLERS["res_multistep"](first(sigmas), sigmas, no_noise), linear)

    for i in range(1, 6):
        lam, h = -sigmas[i].log(), (sigmas[i] / sigmas[i + 1]).log()
        rest = 1 - (-h).exp()
        exact = (-h).exp() * visited[i] + rest * (a + b * lam) + b * (h - rest)
        torch.testing.assert_close(visited[i + 1], exact, rtol=1e-11, atol=1e-11)
    assert torch.equal(visited[-1], linear(visited[-1], sigmas[-2].item()))


def test_res_multistep_with_noise_goes_to_down_and_adds_up() -> None:
    sigmas, z = levels(4), 0.25
    arguments = (first(sigmas), sigmas, lambda x, *_: torch.full_like(x, z))

    visited = walk(SAMPLERS["res_multistep_ancestral"](*arguments, s_noise=0.5))

    up = sigmas[1] * (1 - sigmas[1] ** 2 / sigmas[0] ** 2).sqrt()
    down = (sigmas[1] ** 2 - up**2).sqrt()
    x, D = visited[0], denoise(visited[0], sigmas[0].item())
    expected = D + down / sigmas[0] * (x - D) + up * z * 0.5
    torch.testing.assert_close(visited[1], expected, rtol=1e-12, atol=1e-12)
    without = walk(SAMPLERS["res_multistep_ancestral"](*arguments, eta=0.0))
    plain = walk(SAMPLERS["res_multistep"](*arguments))
    assert torch.equal(without[-1], plain[-1])


def test_lcm_lands_on_the_answer_and_adds_the_next_levels_noise() -> None:
    sigmas = levels(3)

    visited = walk(lcm(first(sigmas), sigmas, lambda x, *_: torch.ones_like(x)))

    for i in range(3):
        answer = denoise(visited[i], sigmas[i].item())
        torch.testing.assert_close(visited[i + 1], answer + sigmas[i + 1])


def test_gradient_estimation_by_hand() -> None:
    """d̄ = 2 d − d' from the second step on (arXiv:2306.04848), and the last lands on x̂_0."""
    sigmas = levels(5)
    visited = walk(SAMPLERS["gradient_estimation"](first(sigmas), sigmas, no_noise))

    d = [(x - denoise(x, s)) / s for x, s in zip(visited, sigmas[:-1].tolist(), strict=False)]
    for i in range(4):
        mean = d[0] if i == 0 else 2 * d[i] - d[i - 1]
        expected = visited[i] + (sigmas[i + 1] - sigmas[i]) * mean
        torch.testing.assert_close(visited[i + 1], expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(visited[-1], denoise(visited[-2], sigmas[-2].item()))


# -- CFG++ -----------------------------------------------------------------------------------------

PLAIN_OF = {
    "euler_cfg_pp": "euler",
    "euler_ancestral_cfg_pp": "euler_ancestral",
    "dpmpp_2s_ancestral_cfg_pp": "dpmpp_2s_ancestral",
    "dpmpp_2m_cfg_pp": "dpmpp_2m",
    "res_multistep_cfg_pp": "res_multistep",
    "res_multistep_ancestral_cfg_pp": "res_multistep_ancestral",
    "gradient_estimation_cfg_pp": "gradient_estimation",
}


def noise(x: Tensor, sigma: float, s: float) -> Tensor:
    return torch.sin(torch.arange(x.numel()).view(x.shape) + s).to(x)


@pytest.mark.parametrize("name", PLAIN_OF)
def test_without_guidance_a_cfg_pp_sampler_is_the_plain_one(name: str) -> None:
    sigmas = levels(9)

    unguided = walk(SAMPLERS[name](first(sigmas), sigmas, noise), bare=denoise)

    plain = walk(SAMPLERS[PLAIN_OF[name]](first(sigmas), sigmas, noise))
    for a, b in zip(unguided, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    guided = walk(SAMPLERS[name](first(sigmas), sigmas, noise))
    assert not torch.allclose(guided[-1], plain[-1])


@pytest.mark.parametrize("name", PLAIN_OF)
def test_a_cfg_pp_sampler_says_that_it_needs_the_unconditional_answer(name: str) -> None:
    sigmas = levels(3)
    sampler = SAMPLERS[name](first(sigmas), sigmas, noise)
    x, _ = next(sampler)

    with pytest.raises(ValueError, match="needs the unconditional prediction"):
        sampler.send(Prediction(x, x))


def test_the_first_step_of_each_cfg_pp_sampler_without_noise_is_the_papers() -> None:
    """x_s = D + s (x − U)/σ: guided where it goes, unguided in how noise is put back."""
    sigmas = levels(6)
    x, sigma = first(sigmas), sigmas[0].item()
    expected = denoise(x, sigma) + sigmas[1] * (x - undirected(x, sigma)) / sigma

    for name in PLAIN_OF:
        options = {"eta": 0.0} if "ancestral" in name else {}
        if name != "dpmpp_2s_ancestral_cfg_pp":
            visited = walk(SAMPLERS[name](x, sigmas, noise, **options))
            torch.testing.assert_close(visited[1], expected, rtol=1e-11, atol=1e-11)


def test_the_second_steps_of_the_cfg_pp_samplers_with_memory_by_hand() -> None:
    sigmas = levels(6)
    s0, s1, s2 = sigmas[:3]
    h_0, h_1 = (s0 / s1).log(), (s1 / s2).log()

    def known(name: str) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        visited = walk(SAMPLERS[name](first(sigmas), sigmas, noise))
        (x_0, x_1), x_2 = visited[:2], visited[2]
        return (
            x_1,
            x_2,
            denoise(x_1, s1.item()),
            undirected(x_1, s1.item()),
            undirected(x_0, s0.item()),
        )

    x, after, D, U, U_before = known("dpmpp_2m_cfg_pp")
    expected = D + s2 / s1 * (x - U) + (1 - (-h_1).exp()) * (D - U_before) / (2 * h_0 / h_1)
    torch.testing.assert_close(after, expected, rtol=1e-11, atol=1e-11)

    x, after, D, U, U_before = known("res_multistep_cfg_pp")
    rest = 1 - (-h_1).exp()
    slope = (U - U_before) / h_0
    expected = (s2 / s1) * (x + D - U) + rest * U + slope * (h_1 - rest)
    torch.testing.assert_close(after, expected, rtol=1e-11, atol=1e-11)

    x, after, D, U, U_before = known("gradient_estimation_cfg_pp")
    d, d_before = (x - U) / s1, (first(sigmas) - U_before) / s0
    torch.testing.assert_close(after, D + s2 * d + (s2 - s1) * (d - d_before))


def test_the_two_legs_of_the_cfg_pp_sampler_of_second_order_by_hand() -> None:
    sigmas = levels(6)
    x, sigma, s = first(sigmas), sigmas[0], sigmas[1]
    middle = (sigma * s).sqrt()
    sampler = SAMPLERS["dpmpp_2s_ancestral_cfg_pp"](x, sigmas, no_noise, eta=0.0)

    visited = walk(sampler)

    D, U = denoise(x, sigma.item()), undirected(x, sigma.item())
    halfway = D + middle / sigma * (x - U)
    torch.testing.assert_close(visited[1], halfway, rtol=1e-11, atol=1e-11)
    D_m = denoise(halfway, middle.item())
    expected = s / sigma * (x + D - U) + (1 - s / sigma) * D_m
    torch.testing.assert_close(visited[2], expected, rtol=1e-11, atol=1e-11)
