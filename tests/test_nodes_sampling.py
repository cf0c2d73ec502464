"""The sampling nodes: what each asks of a run, and that they agree where they should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from node_support import Desk, Painter, painted_model, worth
from torch import Tensor

from nodegraph import NodeGraphError
from nodes.diffusion.prediction import ModelSampling
from nodes.diffusion.schedule import NoiseSchedule, scaled_linear
from nodes.diffusion.spacing import SPACINGS, sigmas_for
from nodes.sampling import (
    Sampled,
    basic_scheduler,
    ksampler,
    ksampler_advanced,
    ksampler_select,
    sampler_custom,
    sampler_ddim,
    sampler_ddpm,
)
from nodes.types import Latent, Model, Sampler, Sigmas

SHAPE = (2, 4, 4, 6)
PICTURE = torch.randn(SHAPE, generator=torch.Generator().manual_seed(5))
EMPTY = Latent(torch.zeros(SHAPE))
SEED = 31


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def painter() -> Painter:
    return Painter()


@pytest.fixture
def model() -> Model:
    """Its answer hangs on every pixel it sees."""
    return painted_model(Painter(picture=lambda x, _: torch.tanh(x) / 2))


def sampled(desk: Desk, model: Model, **inputs: Any) -> Tensor:
    given = {
        "seed": SEED,
        "steps": 5,
        "cfg": 1.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "latent_image": EMPTY,
    }
    return ksampler(
        model,
        **{**given, **inputs},
        positive=worth(2.0),
        negative=worth(0.5),
        context=desk.context,
    ).samples


def staged(desk: Desk, model: Model, latent: Latent, *, noise: bool, **inputs: Any) -> Latent:
    given = {
        "noise_seed": SEED,
        "steps": 5,
        "cfg": 1.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "return_with_leftover_noise": "disable",
    }
    return ksampler_advanced(
        model,
        **{**given, **inputs},
        add_noise="enable" if noise else "disable",
        positive=worth(2.0),
        negative=worth(0.5),
        latent_image=latent,
        context=desk.context,
    )


def custom(
    desk: Desk, model: Model, sampler: Sampler, sigmas: Tensor, latent: Latent = EMPTY, **more: Any
) -> Sampled:
    return sampler_custom(
        model,
        **{"noise_seed": SEED, "cfg": 1.0, **more},
        positive=worth(2.0),
        negative=worth(0.5),
        sampler=sampler,
        sigmas=Sigmas(sigmas),
        latent_image=latent,
        context=desk.context,
    )


# -- KSampler --------------------------------------------------------------------------------------


def test_ksampler_guides_by_its_scale(desk: Desk) -> None:
    made = sampled(desk, painted_model(Painter()), cfg=4.0)

    torch.testing.assert_close(made, torch.full(SHAPE, 6.5), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("scheduler", SPACINGS)
def test_ksampler_walks_the_levels_of_its_schedule(desk: Desk, scheduler: str) -> None:
    painter = Painter()
    model = painted_model(painter)
    schedule = model.sampling.schedule

    sampled(desk, model, scheduler=scheduler)

    sigmas = sigmas_for(schedule, scheduler, 5)[:-1]
    assert [t[0] for t in painter.times] == [schedule.sigma_to_t(float(s)) for s in sigmas]


def test_less_denoising_walks_the_end_of_a_longer_schedule_from_the_given_latent(
    desk: Desk, painter: Painter
) -> None:
    model = painted_model(painter)

    sampled(desk, model, denoise=0.5, latent_image=Latent(PICTURE))

    times = torch.linspace(999, 0, 10)[5:]
    assert [t[0] for t in painter.times] == times.round().tolist()
    sigma = model.sampling.schedule.t_to_sigma(times[0])
    noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(SEED))
    seen = (PICTURE + noise * sigma) / (1 + sigma**2).sqrt()
    torch.testing.assert_close(painter.shown[0], seen)


def test_no_denoising_gives_the_latent_back(desk: Desk, model: Model) -> None:
    assert torch.equal(sampled(desk, model, denoise=0.0, latent_image=Latent(PICTURE)), PICTURE)


def test_equal_seeds_give_equal_latents_and_others_do_not(desk: Desk, model: Model) -> None:
    one, same = (sampled(desk, model, sampler_name="ddpm") for _ in range(2))
    other = sampled(desk, model, sampler_name="ddpm", seed=SEED + 1)

    assert torch.equal(one, same)
    assert not torch.allclose(one, other)


def test_the_largest_seed_there_is_works_also_for_the_noise_of_the_steps(
    desk: Desk, model: Model
) -> None:
    made = sampled(desk, model, sampler_name="euler_ancestral", seed=2**64 - 1)

    assert bool(torch.isfinite(made).all())


def test_ddim_is_euler_and_ddpm_has_the_posteriors_variance(desk: Desk, model: Model) -> None:
    sigmas = sigmas_for(model.sampling.schedule, "normal", 5)

    torch.testing.assert_close(
        sampled(desk, model, sampler_name="ddim"), sampled(desk, model, sampler_name="euler")
    )
    named = sampled(desk, model, sampler_name="ddpm")
    by_options = {
        variance: custom(desk, model, sampler_ddpm(variance), sigmas).output.samples
        for variance in ("beta_tilde", "beta")
    }
    assert torch.equal(named, by_options["beta_tilde"])
    assert not torch.allclose(named, by_options["beta"])


def test_conditioning_of_another_width_is_refused_before_the_model_is_loaded(desk: Desk) -> None:
    painter = Painter()

    with pytest.raises(NodeGraphError, match="tokens 3 wide, but the model reads 768"):
        sampled(desk, painted_model(painter, context=768))

    assert not desk.models.stats().devices["cpu"].models


# -- KSamplerAdvanced ------------------------------------------------------------------------------


def test_advanced_over_the_whole_range_is_ksampler(desk: Desk, model: Model) -> None:
    made = staged(desk, model, EMPTY, noise=True, start_at_step=0, end_at_step=10000)

    assert torch.equal(made.samples, sampled(desk, model))


@pytest.mark.parametrize("split", [1, 2, 4])
@pytest.mark.parametrize("name", ["euler", "ddim"])
def test_two_stages_are_one(desk: Desk, model: Model, name: str, split: int) -> None:
    first = staged(
        desk,
        model,
        EMPTY,
        noise=True,
        sampler_name=name,
        end_at_step=split,
        return_with_leftover_noise="enable",
    )
    second = staged(desk, model, first, noise=False, sampler_name=name, start_at_step=split)

    whole = sampled(desk, model, sampler_name=name)
    torch.testing.assert_close(second.samples, whole, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(first.samples, whole, atol=0.1)


def test_a_stage_without_leftover_noise_ends_on_a_clean_picture(desk: Desk) -> None:
    model = painted_model(Painter())

    clean = staged(desk, model, EMPTY, noise=True, end_at_step=2)
    noisy = staged(
        desk, model, EMPTY, noise=True, end_at_step=2, return_with_leftover_noise="enable"
    )

    torch.testing.assert_close(clean.samples, torch.full(SHAPE, 2.0), rtol=1e-4, atol=1e-3)
    sigma = sigmas_for(model.sampling.schedule, "normal", 5)[2]
    spread = (noisy.samples - 2.0).std()
    assert float(sigma) * 0.8 < float(spread) < float(sigma) * 1.25


@pytest.mark.parametrize(("start", "end"), [(5, 10000), (7, 10000), (3, 3), (4, 2), (0, 0)])
def test_a_stage_that_starts_at_or_beyond_its_end_gives_the_latent_back(
    desk: Desk, model: Model, start: int, end: int
) -> None:
    made = staged(desk, model, Latent(PICTURE), noise=True, start_at_step=start, end_at_step=end)

    assert torch.equal(made.samples, PICTURE)


# -- SamplerCustom and what feeds it ---------------------------------------------------------------


def test_custom_with_a_named_sampler_and_a_schedule_is_ksampler(desk: Desk, model: Model) -> None:
    sigmas = basic_scheduler(model, "karras", 5, 0.75, context=desk.context)

    made = custom(desk, model, ksampler_select("euler_ancestral"), sigmas, Latent(PICTURE))

    expected = sampled(
        desk,
        model,
        sampler_name="euler_ancestral",
        scheduler="karras",
        denoise=0.75,
        latent_image=Latent(PICTURE),
    )
    assert torch.equal(made.output.samples, expected)


def test_custom_also_gives_the_last_estimate(desk: Desk) -> None:
    model = painted_model(Painter(), scale=0.5)
    sigmas = model.sampling.schedule.sigmas_at([900, 500])[:-1]  # ends under noise

    made = custom(desk, model, ksampler_select("euler"), sigmas)

    torch.testing.assert_close(made.denoised_output.samples, torch.full(SHAPE, 4.0))
    assert not torch.allclose(made.output.samples, made.denoised_output.samples)


def test_custom_without_noise_starts_from_the_latent(desk: Desk, painter: Painter) -> None:
    model = painted_model(painter)
    sigmas = model.sampling.schedule.sigmas_at([400])

    custom(desk, model, ksampler_select("euler"), sigmas, Latent(PICTURE), add_noise=False)

    torch.testing.assert_close(painter.shown[0], PICTURE / (1 + sigmas[0] ** 2).sqrt())


def test_custom_without_levels_gives_the_latent_back_twice(desk: Desk, model: Model) -> None:
    made = custom(desk, model, ksampler_select("euler"), torch.empty(0), Latent(PICTURE))

    assert torch.equal(made.output.samples, PICTURE)
    assert torch.equal(made.denoised_output.samples, PICTURE)


@pytest.mark.parametrize("scheduler", ["simple", "karras"])
@pytest.mark.parametrize("denoise", [1.0, 0.3, 0.0])
def test_a_schedule_has_the_models_levels(desk: Desk, scheduler: str, denoise: float) -> None:
    alpha_bar = scaled_linear(500, 0.001, 0.02)
    model = painted_model(Painter())
    model = Model(**{**vars(model), "sampling": ModelSampling(NoiseSchedule(alpha_bar), "eps")})

    sigmas = basic_scheduler(model, scheduler, 6, denoise, context=desk.context)

    expected = sigmas_for(NoiseSchedule(alpha_bar), scheduler, 6, denoise=denoise)
    assert torch.equal(sigmas, expected)
    assert len(sigmas) == (7 if denoise else 0)


def test_ddim_without_randomness_is_euler_and_with_all_of_it_another_ddpm(
    desk: Desk, model: Model
) -> None:
    sigmas = sigmas_for(model.sampling.schedule, "normal", 5)

    still = custom(desk, model, sampler_ddim(0.0), sigmas).output.samples
    full = custom(desk, model, sampler_ddim(1.0), sigmas).output.samples

    torch.testing.assert_close(still, sampled(desk, model))
    ddpm = custom(desk, model, sampler_ddpm("beta_tilde"), sigmas).output.samples
    torch.testing.assert_close(full, ddpm, rtol=1e-3, atol=1e-3)  # equal variances, equal noise
    assert not torch.allclose(full, still, atol=0.01)


def test_clipping_and_spacing_reach_the_run(desk: Desk, painter: Painter) -> None:
    model = painted_model(painter)
    sigmas = sigmas_for(model.sampling.schedule, "normal", 4)

    made = custom(desk, model, sampler_ddim(0.0, "clip", 0.995, "trailing"), sigmas)

    assert [t[0] for t in painter.times] == [999, 749, 499, 249]
    torch.testing.assert_close(made.output.samples, torch.ones(SHAPE), rtol=1e-4, atol=1e-4)
    again = custom(desk, model, sampler_ddpm("beta", "clip"), sigmas)
    torch.testing.assert_close(again.output.samples, torch.ones(SHAPE), rtol=1e-3, atol=1e-3)


def test_a_learned_variance_of_one_is_beta_and_of_minus_one_beta_tilde(desk: Desk) -> None:
    def learned(v: float) -> Model:
        def answer(x: Tensor, _: Tensor) -> Tensor:
            return torch.cat([torch.tanh(x) / 2, torch.full_like(x, v)], dim=1)

        return painted_model(Painter(picture=answer))

    sigmas = sigmas_for(learned(0).sampling.schedule, "normal", 4)

    for variance, v in (("beta", 1.0), ("beta_tilde", -1.0)):
        own = custom(desk, learned(v), sampler_ddpm("learned"), sigmas).output.samples
        fixed = custom(desk, learned(v), sampler_ddpm(variance), sigmas).output.samples
        torch.testing.assert_close(own, fixed, rtol=1e-4, atol=1e-4)


def test_a_network_that_learned_no_variance_says_so(desk: Desk, model: Model) -> None:
    sigmas = sigmas_for(model.sampling.schedule, "normal", 4)

    with pytest.raises(ValueError, match=r"no log variance.*use 'beta_tilde' or 'beta'"):
        custom(desk, model, sampler_ddpm("learned"), sigmas)


def test_samplers_with_equal_options_are_equal() -> None:
    assert sampler_ddim(0.5) == sampler_ddim(0.5)
    assert sampler_ddim(0.5) != sampler_ddim(0.4)
    assert ksampler_select("euler") == Sampler("euler")
