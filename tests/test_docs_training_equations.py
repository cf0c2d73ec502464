"""docs/training.md: its equations and numbers hold in the code that it quotes."""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from gaussian_data import run
from test_training_controlled import Hints
from test_training_lessons import lesson, seeded, small_unet
from torch import Tensor, nn

from benchmarks.emoji_figures import Options
from benchmarks.training_charts import deviation_after, posterior_share
from nodes.diffusion.noise import no_noise
from nodes.diffusion.prediction import (
    Prediction,
    learned_log_variance,
    noised,
    training_target,
    x0_from,
)
from nodes.diffusion.samplers.ddpm import VARIANCES, ddim, ddpm
from nodes.diffusion.samplers.stepping import ancestral_levels
from nodes.diffusion.schedule import NoiseSchedule, betas_of, linear, scaled_linear
from nodes.models.checkpoint import inspect as inspect_checkpoint
from nodes.train_controlnet import train_controlnet
from nodes.train_diffusion import train_diffusion
from nodes.training.autoencoder import SCALE
from nodes.training.chance import Chance
from nodes.training.changes import LowRank
from nodes.training.controlled import Guided, new_controlnet
from nodes.training.ema import Ema
from nodes.training.rate import warmed_cosine
from nodes.training.simple_loss import SimpleLoss, min_snr
from nodes.training.variational import Posterior

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "training.md").read_text()
ALPHA_BAR = linear()
SOME = (1, 10, 250, 998)
TRAINERS = (train_diffusion, train_controlnet)


def at(t: int) -> tuple[Tensor, Tensor]:
    """ᾱ_t and ᾱ_{t−1}."""
    return ALPHA_BAR[t], ALPHA_BAR[t - 1]


def walked(sampler: Any, answer: Tensor) -> Tensor:
    """Where a sampler goes whose network always takes `answer` for x̂_0."""
    return run(sampler, lambda x, sigma: Prediction(answer, (x - answer) / sigma))


def test_many_small_steps_are_one_large_one() -> None:
    mean, variance = torch.tensor(1.0), torch.tensor(0.0)
    for beta in betas_of(ALPHA_BAR)[:500]:
        mean, variance = (1 - beta).sqrt() * mean, (1 - beta) * variance + beta

    one = noised(torch.tensor(1.0), torch.tensor(0.0), ALPHA_BAR[499])
    deviation = noised(torch.tensor(0.0), torch.tensor(1.0), ALPHA_BAR[499])
    torch.testing.assert_close(torch.stack([mean, variance]), torch.stack([one, deviation**2]))


def test_what_is_left_at_the_last_time_is_what_the_page_says() -> None:
    [ddpm_s, stable] = re.findall(r"√ᾱ, is ([\d.]+) in DDPM and ([\d.]+)", PAGE)[0]

    assert round(linear()[-1].sqrt().item(), 3) == float(ddpm_s)
    assert round(scaled_linear()[-1].sqrt().item(), 3) == float(stable)


def test_the_best_answer_on_normal_data_is_the_regression_on_x_t() -> None:
    s, alpha_bar = 0.5, ALPHA_BAR[300]
    x_0, eps = s * seeded(0, 400_000).double(), seeded(1, 400_000).double()
    x_t = noised(x_0, eps, alpha_bar)

    slope = (x_t * eps).mean() / x_t.square().mean()
    best = (1 - alpha_bar).sqrt() / (alpha_bar * s**2 + 1 - alpha_bar)
    torch.testing.assert_close(slope, best, rtol=0.01, atol=0)


@pytest.mark.parametrize("t", SOME)
def test_the_posterior_is_equation_7(t: int) -> None:
    now, before = at(t)
    beta = 1 - now / before
    posterior, x_0, x_t = Posterior.of(ALPHA_BAR), torch.tensor([0.3]), torch.tensor([-1.2])

    mean = before.sqrt() * beta / (1 - now) * x_0
    mean = mean + (1 - beta).sqrt() * (1 - before) / (1 - now) * x_t
    torch.testing.assert_close(posterior.mean(x_0, x_t, torch.tensor([t])), mean.float())
    torch.testing.assert_close(
        posterior.log_variance[t].exp(), (1 - before) / (1 - now) * beta, rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("t", SOME)
def test_a_step_of_algorithm_2_goes_to_the_posterior_s_mean(t: int) -> None:
    now, before = at(t)
    sigmas = NoiseSchedule(ALPHA_BAR).sigmas_at([t, t - 1], dtype=torch.float64)[:2]
    x_0, x_t = seeded(0, 8).double(), seeded(1, 8).double()

    x = walked(ddpm(x_t * (1 + sigmas[0] ** 2).sqrt(), sigmas, no_noise), x_0)

    moved = Posterior.of(ALPHA_BAR).mean(x_0, x_t, torch.full((8,), t))
    torch.testing.assert_close((x * before.sqrt()).float(), moved.float())
    eps = (x_t - now.sqrt() * x_0) / (1 - now).sqrt()
    alpha = now / before
    paper = (x_t - (1 - alpha) / (1 - now).sqrt() * eps) / alpha.sqrt()
    torch.testing.assert_close(x * before.sqrt(), paper)


def test_the_table_of_variances_is_the_code_s() -> None:
    header, *named = re.findall(
        r"^\| `(\w+)` \|", PAGE.partition("\n## Sampling")[2].partition("\n## ")[0], re.M
    )

    assert header in inspect.signature(ddpm).parameters
    assert sorted(named) == sorted(VARIANCES)


@pytest.mark.parametrize(("s", "which"), [(1.0, 0), (1e-6, 1)])
def test_beta_is_exact_for_unit_normal_data_and_beta_tilde_for_a_point(
    s: float, which: int
) -> None:
    *bounds, exact = posterior_share(ALPHA_BAR, s)

    torch.testing.assert_close(exact[1:], bounds[which][1:], rtol=1e-6, atol=0)


def test_the_exact_variance_lies_between_and_v_says_where() -> None:
    beta, beta_tilde, exact = (v[1:] for v in posterior_share(ALPHA_BAR, 0.5))

    assert bool((beta_tilde < exact).all())
    assert bool((exact < beta).all())
    ends = torch.tensor([-1.0, 1.0], dtype=torch.float64)[:, None].expand(-1, len(beta))
    torch.testing.assert_close(
        learned_log_variance(ends, beta, beta_tilde).exp(), torch.stack([beta_tilde, beta])
    )


def test_in_few_steps_beta_is_too_much_beta_tilde_too_little_and_the_exact_one_right() -> None:
    small, large, exact = (deviation_after(10, variance, 0.5) for variance in VARIANCES)

    assert small < 0.4
    assert large > 0.55
    assert exact == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("t", "s"), [(999, 949), (500, 250), (10, 9)])
def test_a_step_of_ddim_is_its_equation_12(eta: float, t: int, s: int) -> None:
    now, then = ALPHA_BAR[t], ALPHA_BAR[s]
    sigmas = NoiseSchedule(ALPHA_BAR).sigmas_at([t, s], dtype=torch.float64)[:2]
    x_0, x_t, z = (seeded(i, 8).double() for i in range(3))

    x = walked(ddim(x_t * (1 + sigmas[0] ** 2).sqrt(), sigmas, lambda *_: z, eta=eta), x_0)

    eps = (x_t - now.sqrt() * x_0) / (1 - now).sqrt()
    sigma = eta * ((1 - then) / (1 - now)).sqrt() * (1 - now / then).sqrt()
    paper = then.sqrt() * x_0 + (1 - then - sigma**2).sqrt() * eps + sigma * z
    torch.testing.assert_close(x * then.sqrt(), paper)


def test_with_eta_1_ddim_s_noise_is_the_posterior_s() -> None:
    now, before = at(400)
    sigmas = [((1 - a) / a).sqrt() for a in (now, before)]

    _, up = ancestral_levels(*sigmas, 1.0)

    beta_tilde = (1 - before) / (1 - now) * (1 - now / before)
    torch.testing.assert_close((up * before.sqrt()) ** 2, beta_tilde)


@pytest.mark.parametrize("kind", ["eps", "v"])
def test_an_error_in_one_is_an_error_in_the_other_times_its_weight(kind: Any) -> None:
    alpha_bar = ALPHA_BAR[300]
    x_0, eps, off = (seeded(i, 8).double() for i in range(3))
    x_t = noised(x_0, eps, alpha_bar)
    answer = training_target(kind, x_0, eps, alpha_bar) + off

    wrong = x0_from(kind, answer, x_t, alpha_bar) - x_0

    snr = alpha_bar / (1 - alpha_bar)
    weight = {"eps": snr, "v": snr + 1}[kind]
    torch.testing.assert_close(off.square(), weight * wrong.square())
    torch.testing.assert_close(min_snr(kind, snr, 5.0) * weight, snr.clamp(max=5.0))


def test_the_share_that_is_shown_without_its_condition_is_the_node_s() -> None:
    [plain] = re.findall(r"\(`drop`, ([\d.]+)\)", PAGE)
    [controlled] = re.findall(r"`drop` is higher here \(([\d.]+)\)", PAGE)
    drops = [inspect.signature(n).parameters["drop"].default for n in TRAINERS]

    assert drops == [float(plain), float(controlled)]


def test_the_sizes_of_pictures_and_latents_are_the_embedded_autoencoder_s() -> None:
    [pixels, cells] = re.findall(r"numbers, ([\d,]+), become .*?, ([\d,]+):", PAGE)[0]
    config = inspect_checkpoint(ROOT / "models" / "checkpoints" / Options().checkpoint).vae
    assert config is not None
    side = 64 // 2 ** (len(config.channel_mult) - 1)

    assert int(pixels.replace(",", "")) == 64 * 64 * 3
    assert int(cells.replace(",", "")) == side * side * config.z_channels
    assert {float(each) for each in re.findall(r"z · ([\d.]+)", PAGE)} == {SCALE}


def test_the_hybrid_s_lambda_is_the_code_s() -> None:
    [found] = re.findall(r"λ L_vlb,   λ = ([\d.]+)", PAGE)

    assert float(found) == next(f.default for f in fields(SimpleLoss) if f.name == "bound")


def test_a_new_controlnet_learns_in_the_order_that_the_page_says() -> None:
    network = new_controlnet(small_unet().requires_grad_(False), seed=0)
    data = Hints(seeded(5, 6, 4, 8, 8))
    taught = lesson(
        small_unet().requires_grad_(False),
        data=data,
        trained={"control": network},
        control=Guided(network, data, "edges"),
    )
    *before, last = network.input_hint_block
    parts: list[list[nn.Module]] = [
        [*network.zero_convs, network.middle_block_out],
        [network.middle_block],
        [last],
        before,
    ]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    found = []
    for step in range(3):
        optimizer.zero_grad()
        total, _ = taught.loss((0, 1, 2), Chance(step))
        torch.autograd.backward(total)
        found.append([any(bool(g.any()) for g in gradients(part)) for part in parts])
        optimizer.step()

    assert found == [[True, False, False, False], [True, True, True, False], [True] * 4]


def gradients(part: list[nn.Module]) -> list[Tensor]:
    return [p.grad for each in part for p in each.parameters() if p.grad is not None]


def test_lora_is_its_equation_and_nothing_at_first() -> None:
    weight = seeded(0, 6, 5)
    change = LowRank(weight, 2, 4.0, torch.Generator().manual_seed(0))
    assert torch.equal(change(weight), weight)

    with torch.no_grad():
        change.up.copy_(seeded(1, 6, 2))
    torch.testing.assert_close(change(weight), weight + 4.0 / 2 * change.up @ change.down)


def test_rate_and_average_are_their_equations() -> None:
    u = (400 - 100) / (1000 - 100)
    assert warmed_cosine(49, 1000, 100) == 50 / 100
    assert warmed_cosine(400, 1000, 100, 0.2) == pytest.approx(
        0.2 + 0.8 * (1 + math.cos(math.pi * u)) / 2
    )

    weight = torch.tensor([1.0])
    average = Ema([weight], 0.9)
    average.update([weight + 1], 5)
    d = min(0.9, (1 + 5) / (10 + 5))
    torch.testing.assert_close(average.averages[0], d * weight + (1 - d) * (weight + 1))


def test_a_random_number_is_a_function_of_seed_step_and_purpose() -> None:
    def drawn(seed: int, step: int, purpose: str) -> float:
        return torch.rand(1, generator=Chance(seed).at(step).generator(purpose)).item()

    assert drawn(0, 3, "noise") == drawn(0, 3, "noise")
    others = {drawn(*each) for each in ((0, 3, "noise"), (1, 3, "noise"), (0, 4, "noise"))}
    assert len(others | {drawn(0, 3, "time")}) == 4
