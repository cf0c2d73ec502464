"""Nodes that change how a model is used: what the handle says, and what a run makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from node_support import Desk, Painter, painted_model, worth
from torch import Tensor, nn

from nodes.denoising import Guidance, denoise
from nodes.diffusion.guidance import rescaled
from nodes.diffusion.prediction import to_denoised
from nodes.diffusion.schedule import zero_terminal_snr
from nodes.model_tweaks import (
    differential_diffusion,
    freeu,
    freeu_v2,
    model_sampling_discrete,
    perturbed_attention_guidance,
    rescale_cfg,
)
from nodes.models.freeu import FreeU
from nodes.tweaks import Tweaks
from nodes.types import Latent, Model, Sampler

SHAPE = (1, 4, 4, 6)
PICTURE = torch.randn(SHAPE, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def made(desk: Desk, model: Model, sigmas: Tensor, latent: Latent, cfg: float = 4.0) -> Tensor:
    return denoise(
        model,
        latent,
        Guidance(worth(2.0), worth(0.5), cfg),
        Sampler("euler"),
        sigmas,
        seed=31,
        context=desk.context,
    ).latent.samples


# -- what a network predicts -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sampling", "kind", "use"),
    [
        ("eps", "eps", "plain"),
        ("v_prediction", "v", "plain"),
        ("x0", "x0", "plain"),
        ("lcm", "eps", "lcm"),
        ("img_to_img", "x0", "img_to_img"),
    ],
)
def test_a_model_is_said_to_predict(sampling: Any, kind: str, use: str) -> None:
    before = painted_model(Painter(), kind="v")

    after = model_sampling_discrete(before, sampling)

    assert (after.sampling.kind, after.sampling.use) == (kind, use)
    assert after.source is before.source
    assert (before.sampling.kind, before.sampling.use) == ("v", "plain")


def test_zero_terminal_snr_takes_the_signal_from_the_last_time() -> None:
    model = painted_model(Painter())

    shifted = model_sampling_discrete(model, "v_prediction", zsnr=True).sampling.schedule

    expected = zero_terminal_snr(model.sampling.schedule.alpha_bar)
    assert torch.equal(shifted.alpha_bar, expected)
    assert shifted.sigma_max > 4000
    kept = model_sampling_discrete(model, "v_prediction").sampling.schedule
    assert torch.equal(kept.sigmas, model.sampling.schedule.sigmas)


def test_a_consistency_model_has_fifty_times_however_often_it_is_said() -> None:
    model = model_sampling_discrete(painted_model(Painter()), "lcm")

    again = model_sampling_discrete(model, "lcm")

    for schedule in (model.sampling.schedule, again.sampling.schedule):
        assert len(schedule.sigmas) == 50
        assert schedule.last_time == 999


def test_a_consistency_model_is_asked_at_its_own_times(desk: Desk) -> None:
    painter = Painter()
    model = model_sampling_discrete(painted_model(painter), "lcm")

    made(desk, model, model.sampling.schedule.t_to_sigma(torch.tensor([990.0, 510, 33])), latent())

    assert [t[0] for t in painter.times] == [999, 519]


def latent(mask: Tensor | None = None) -> Latent:
    return Latent(PICTURE, noise_mask=mask)


# -- guidance --------------------------------------------------------------------------------------


def patterned(x: Tensor, _: Tensor) -> Tensor:
    """An answer that differs from row to row: the first is the conditional side."""
    rows = torch.arange(1.0, len(x) + 1).view(-1, 1, 1, 1)
    return torch.tanh(x * rows) + torch.arange(x[0].numel()).view(x[:1].shape) / (50 * rows)


@pytest.mark.parametrize("share", [0.0, 0.7])
def test_one_step_with_rescaled_guidance(desk: Desk, share: float) -> None:
    model = rescale_cfg(painted_model(Painter(picture=patterned), kind="eps"), share)
    sigmas = model.sampling.schedule.sigmas_at([700])

    result = made(desk, model, sigmas, latent())

    sigma = sigmas[0]
    z = torch.randn(SHAPE, generator=torch.Generator().manual_seed(31))
    x = PICTURE + z * sigma
    x_t = (x / (1 + sigma**2).sqrt()).repeat(2, 1, 1, 1)
    eps = patterned(x_t, sigma)
    c, u = (to_denoised("eps", e, x, sigma) for e in eps.split_with_sizes([1, 1]))
    expected = rescaled(c, u, 4.0, share, x, sigma) if share else u + 4 * (c - u)
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)


class Perturbable(nn.Module):
    """Paints 2 for the prompt, 0.5 for the negative, and `without` where it is perturbed."""

    def __init__(self, without: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.without = without

    def forward(self, x: Tensor, t: Tensor, context: Tensor, *, perturbed: bool = False) -> Tensor:
        value = context.mean(dim=(1, 2)).view(-1, 1, 1, 1)
        return (value * 0 + self.without if perturbed else value).expand_as(x)


def test_perturbed_attention_guidance_leads_away_from_the_perturbed_picture(desk: Desk) -> None:
    plain = painted_model(Perturbable(1.5))
    sigmas = plain.sampling.schedule.sigmas_at([999, 500])

    once = made(desk, perturbed_attention_guidance(plain, 3.0), sigmas, latent())
    twice = perturbed_attention_guidance(perturbed_attention_guidance(plain, 1.0), 2.0)

    guided = 0.5 + 4 * (2.0 - 0.5)
    expected = torch.full(SHAPE, guided + 3 * (2.0 - 1.5))
    torch.testing.assert_close(once, expected, rtol=1e-4, atol=1e-3)
    assert torch.equal(made(desk, twice, sigmas, latent()), once)


# -- the way up ------------------------------------------------------------------------------------


class Upwards(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.given: list[Any] = []

    def forward(self, x: Tensor, t: Tensor, context: Tensor, **options: Any) -> Tensor:
        self.given.append(options)
        return torch.zeros_like(x)


def test_freeu_reaches_the_network_each_one_after_the_other(desk: Desk) -> None:
    network = Upwards()
    plain = painted_model(network)
    model = freeu_v2(freeu(plain, 1.1, 1.2, 0.9, 0.3), 1.3, 1.4, 0.8, 0.2)
    sigmas = plain.sampling.schedule.sigmas_at([500])

    made(desk, model, sigmas, latent())
    made(desk, plain, sigmas, latent())

    both = (FreeU(1.1, 1.2, 0.9, 0.3), FreeU(1.3, 1.4, 0.8, 0.2, form=2))
    assert network.given == [{"freeu": both}, {}]


# -- masks -----------------------------------------------------------------------------------------


def test_under_differential_diffusion_lighter_places_are_made_anew_earlier(desk: Desk) -> None:
    painter = Painter(picture=lambda x, _: torch.full_like(x, 9.0))
    model = differential_diffusion(painted_model(painter))
    mask = torch.tensor([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]).expand(1, 1, 4, 6)
    sigmas = model.sampling.schedule.sigmas_at([999, 500, 250])

    result = made(desk, model, sigmas, latent(mask))

    torch.testing.assert_close(result[..., 0], PICTURE[..., 0])
    torch.testing.assert_close(result[..., 5], torch.full((1, 4, 4), 9.0))
    hard = made(desk, painted_model(painter), sigmas, latent(mask))
    assert not torch.allclose(result[..., 3], hard[..., 3])


def test_differential_diffusion_of_no_strength_leaves_the_mask(desk: Desk) -> None:
    plain = painted_model(Painter(picture=lambda x, _: torch.tanh(x)))
    mask = torch.rand(1, 1, 4, 6, generator=torch.Generator().manual_seed(1))
    sigmas = plain.sampling.schedule.sigmas_at([999, 500, 250])

    result = made(desk, differential_diffusion(plain, strength=0.0), sigmas, latent(mask))

    torch.testing.assert_close(result, made(desk, plain, sigmas, latent(mask)))


# -- on the handle ---------------------------------------------------------------------------------


def test_tweaks_add_up_on_the_handle_and_leave_the_given_one_alone() -> None:
    model = painted_model(Painter())

    tweaked = differential_diffusion(
        freeu(perturbed_attention_guidance(rescale_cfg(model, 0.5), 2.0)), 0.8
    )

    assert tweaked.tweaks == Tweaks(0.5, 2.0, 0.8, (FreeU(1.1, 1.2, 0.9, 0.2),))
    assert model.tweaks == Tweaks()
    assert tweaked.source is model.source
    assert hash(tweaked.tweaks) is not None
