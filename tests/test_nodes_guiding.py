"""Sampling taken apart: that the parts together are KSampler, and what only they can do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from node_support import Desk, Painter, painted_model, worth
from torch import Tensor

from nodegraph import NodeGraphError
from nodes.diffusion.samplers import SAMPLERS
from nodes.diffusion.spacing import sigmas_for
from nodes.guiding import (
    GUIDER,
    NOISE,
    Guider,
    basic_guider,
    cfg_guider,
    disable_noise,
    dual_cfg_guider,
    random_noise,
    sampler_custom_advanced,
)
from nodes.randomness import Noise
from nodes.sampling import Sampled, ksampler, sampler_custom
from nodes.sigmas import flip_sigmas, karras_scheduler
from nodes.types import Latent, Model, Sampler, Sigmas

SHAPE = (2, 4, 4, 6)
PICTURE = torch.randn(SHAPE, generator=torch.Generator().manual_seed(5))
EMPTY = Latent(torch.zeros(SHAPE))
SEED = 31
FOR, AGAINST = worth(2.0), worth(0.5)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def model() -> Model:
    """Its answer hangs on every pixel it sees."""
    return painted_model(Painter(picture=lambda x, _: torch.tanh(x) / 2))


def walk(model: Model, steps: int = 5) -> Sigmas:
    return Sigmas(sigmas_for(model.sampling.schedule, "normal", steps))


def advanced(
    desk: Desk,
    guider: Guider,
    *,
    noise: Noise | None = None,
    sampler: Sampler | None = None,
    sigmas: Tensor | None = None,
    latent: Latent = EMPTY,
) -> Sampled:
    return sampler_custom_advanced(
        noise or random_noise(SEED),
        guider,
        sampler or Sampler("euler"),
        walk(guider.model) if sigmas is None else Sigmas(sigmas),
        latent,
        context=desk.context,
    )


@pytest.mark.parametrize("name", ["euler", "euler_ancestral", "dpmpp_sde", "uni_pc"])
def test_the_parts_together_are_ksampler(desk: Desk, model: Model, name: str) -> None:
    sigmas = sigmas_for(model.sampling.schedule, "karras", 5, sampler=name)

    made = advanced(
        desk, cfg_guider(model, FOR, AGAINST, 4.0), sampler=Sampler(name), sigmas=sigmas
    )

    whole = ksampler(
        model,
        seed=SEED,
        steps=5,
        cfg=4.0,
        sampler_name=name,
        scheduler="karras",
        positive=FOR,
        negative=AGAINST,
        latent_image=EMPTY,
        context=desk.context,
    )
    assert torch.equal(made.output.samples, whole.samples)


def test_without_noise_a_walk_starts_from_the_latent_itself(desk: Desk, model: Model) -> None:
    guider, latent = cfg_guider(model, FOR, AGAINST, 1.0), Latent(PICTURE)

    made = advanced(desk, guider, noise=disable_noise(), latent=latent)

    custom = sampler_custom(
        model,
        add_noise=False,
        noise_seed=0,
        cfg=1.0,
        positive=FOR,
        negative=AGAINST,
        sampler=Sampler("euler"),
        sigmas=walk(model),
        latent_image=latent,
        context=desk.context,
    )
    assert torch.equal(made.output.samples, custom.output.samples)
    assert torch.equal(made.denoised_output.samples, custom.denoised_output.samples)


def test_a_basic_guider_shows_the_conditioning_as_it_is(desk: Desk) -> None:
    painter = Painter()

    made = advanced(desk, basic_guider(painted_model(painter), FOR))

    torch.testing.assert_close(made.output.samples, torch.full(SHAPE, 2.0), rtol=1e-4, atol=1e-3)
    assert {len(x) for x in painter.shown} == {2}


def test_a_basic_guider_has_nothing_for_a_sampler_that_looks_away_from_the_prompt(
    desk: Desk, model: Model
) -> None:
    with pytest.raises(NodeGraphError, match=r"euler_cfg_pp looks at .* use CFGGuider"):
        advanced(desk, basic_guider(model, FOR), sampler=Sampler("euler_cfg_pp"))


@pytest.mark.parametrize(
    ("style", "expected"),
    [("regular", 0.5 + 2 * (1 - 0.5) + 3 * (2 - 1)), ("nested", 0.5 + 2 * (1 + 3 * (2 - 1) - 0.5))],
)
def test_a_guider_in_two_legs(desk: Desk, style: Any, expected: float) -> None:
    guider = dual_cfg_guider(
        painted_model(Painter()), FOR, worth(1.0), AGAINST, 3.0, 2.0, style=style
    )

    made = advanced(desk, guider)

    torch.testing.assert_close(
        made.output.samples, torch.full(SHAPE, expected), rtol=1e-4, atol=1e-3
    )


@pytest.mark.parametrize("name", sorted(n for n, m in SAMPLERS.items() if m.uncond))  # type: ignore[attr-defined]
def test_a_cfg_pp_sampler_gets_the_negative_side_also_at_scale_one(desk: Desk, name: str) -> None:
    painter = Painter()
    guider = cfg_guider(painted_model(painter), FOR, AGAINST, 1.0)

    made = advanced(desk, guider, sampler=Sampler(name))

    assert {len(x) for x in painter.shown} == {4}
    assert made.output.samples.mean().item() == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("name", ["heun", "dpm_2", "dpmpp_sde", "uni_pc", "dpm_adaptive"])
def test_the_last_estimate_is_the_last_answer(desk: Desk, name: str) -> None:
    answers: list[Tensor] = []

    def picture(x: Tensor, t: Tensor) -> Tensor:
        answers.append(torch.tanh(x) / 2 + t.view(-1, 1, 1, 1) / 5000)
        return answers[-1]

    model = painted_model(Painter(picture=picture), scale=0.5)

    made = advanced(desk, basic_guider(model, FOR), sampler=Sampler(name))

    torch.testing.assert_close(made.denoised_output.samples, answers[-1] / 0.5)


# -- noise for each image --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["euler", "euler_ancestral", "ddpm", "dpmpp_sde", "dpmpp_2m_sde"])
def test_an_image_with_noise_of_its_own_is_the_batch_of_one_with_its_seed(
    desk: Desk, model: Model, name: str
) -> None:
    guider, sampler = basic_guider(model, FOR), Sampler(name)
    noise = random_noise(SEED, per_image=True)

    together = advanced(desk, guider, noise=noise, sampler=sampler).output.samples

    for i in range(2):
        one = Latent(torch.zeros(1, *SHAPE[1:]))
        alone = advanced(desk, guider, noise=random_noise(SEED + i), sampler=sampler, latent=one)
        torch.testing.assert_close(together[i : i + 1], alone.output.samples)
    shared = advanced(desk, guider, sampler=sampler).output.samples
    assert not torch.allclose(together[1], shared[1])


def test_an_image_cut_out_of_a_batch_keeps_the_noise_of_its_place(desk: Desk, model: Model) -> None:
    guider, noise = basic_guider(model, FOR), random_noise(2**64 - 1, per_image=True)
    whole = advanced(desk, guider, noise=noise).output.samples

    second = Latent(torch.zeros(1, *SHAPE[1:]), batch_index=(1,))
    cut = advanced(desk, guider, noise=noise, latent=second).output.samples

    torch.testing.assert_close(cut, whole[1:])


def test_the_second_noise_of_ddim_under_a_mask_is_each_images_own_as_well() -> None:
    latent, noise = Latent(torch.zeros(SHAPE)), Noise(SEED, per_image=True)
    initial = noise.initial(latent)

    known = noise.known_region("ddim", initial, latent)

    for i in range(2):
        one, alone = Latent(torch.zeros(1, *SHAPE[1:])), Noise(SEED + i)
        assert torch.equal(known[i : i + 1], alone.known_region("ddim", alone.initial(one), one))
    assert torch.equal(noise.known_region("euler", initial, latent), initial)


def test_a_walk_up_and_down_again_returns_to_the_picture(desk: Desk) -> None:
    """Unsampling: levels turned round, no noise, and back."""
    guider = basic_guider(painted_model(Painter(picture=lambda x, _: 0.5 * x)), FOR)
    heun, rest, down = Sampler("heun"), disable_noise(), karras_scheduler(60)[:-1]
    rising, picture = flip_sigmas(Sigmas(down)), Latent(PICTURE)

    up = advanced(desk, guider, noise=rest, sampler=heun, sigmas=rising, latent=picture)
    back = advanced(desk, guider, noise=rest, sampler=heun, sigmas=down, latent=up.output)

    assert (up.output.samples - PICTURE).abs().max() > 10
    torch.testing.assert_close(back.output.samples, PICTURE, rtol=0, atol=0.02)


def test_noise_goes_to_disk_and_a_guider_which_holds_a_model_does_not() -> None:
    assert NOISE.codec is not None
    assert GUIDER.codec is None
    noise = random_noise(2**64 - 1, per_image=True)
    assert NOISE.codec.decode(NOISE.codec.encode(noise)) == noise
