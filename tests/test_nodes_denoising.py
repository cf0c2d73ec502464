"""One run of a sampler: its start, its noise, its guidance, its masks and its end."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from node_support import Desk, Painter, painted_model, worth
from torch import Tensor, nn

from nodegraph import Cancelled, Context, NodeGraphError
from nodes.denoising import Denoised, Guidance, denoise, network_of, respaced
from nodes.diffusion.noise import initial_noise
from nodes.diffusion.prediction import ModelSampling
from nodes.diffusion.schedule import NoiseSchedule, scaled_linear, zero_terminal_snr
from nodes.previews import LatentPreview
from nodes.types import Latent, Model, Sampler

EULER = Sampler("euler")
SEED = 31
SHAPE = (2, 4, 4, 6)
PICTURE = torch.randn(SHAPE, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def levels(model: Model, *times: int) -> Tensor:
    return model.sampling.schedule.sigmas_at(times)


def run(
    desk: Desk,
    model: Model,
    latent: Latent,
    sigmas: Tensor,
    *,
    cfg: float = 1.0,
    sampler: Sampler = EULER,
    context: Context | None = None,
    add_noise: bool = True,
) -> Denoised:
    guidance = Guidance(worth(2.0), worth(0.5), cfg)
    return denoise(
        model,
        latent,
        guidance,
        sampler,
        sigmas,
        seed=SEED,
        add_noise=add_noise,
        context=context or desk.context,
    )


def softened(x: Tensor, _: Tensor) -> Tensor:
    """A network of kind x0 whose answer hangs on every pixel it sees."""
    return torch.tanh(x) / 2


# -- guidance --------------------------------------------------------------------------------


@pytest.mark.parametrize("cfg", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("name", ["euler", "euler_ancestral", "ddpm", "ddim"])
def test_every_sampler_ends_at_the_guided_mix_divided_by_the_models_scale(
    desk: Desk, name: str, cfg: float
) -> None:
    model = painted_model(Painter(), scale=0.25)

    done = run(
        desk,
        model,
        Latent(torch.zeros(SHAPE)),
        levels(model, 999, 600, 200),
        cfg=cfg,
        sampler=Sampler(name),
    )

    expected = torch.full(SHAPE, (0.5 + (2.0 - 0.5) * cfg) / 0.25)
    torch.testing.assert_close(done.latent.samples, expected, rtol=1e-4, atol=1e-3)


def test_both_sides_go_to_the_network_in_one_batch(desk: Desk) -> None:
    painter = Painter()
    model = painted_model(painter)

    run(desk, model, Latent(torch.zeros(SHAPE)), levels(model, 999, 500), cfg=4.0)

    assert [len(x) for x in painter.shown] == [4, 4]
    assert painter.times == [[999.0] * 4, [500.0] * 4]


def test_scale_one_leaves_the_unconditional_half_out(desk: Desk) -> None:
    painter = Painter()
    model = painted_model(painter)

    run(desk, model, Latent(torch.zeros(SHAPE)), levels(model, 999, 500), cfg=1.0)

    assert [len(x) for x in painter.shown] == [2, 2]


# -- what the network predicts -----------------------------------------------------------------


@pytest.mark.parametrize("zero_terminal", [False, True])
@pytest.mark.parametrize("kind", ["eps", "v", "x0"])
def test_a_network_that_knows_the_picture_makes_it_whatever_it_predicts(
    desk: Desk, kind: str, zero_terminal: bool
) -> None:
    alpha_bar = scaled_linear()
    alpha_bar = zero_terminal_snr(alpha_bar) if zero_terminal else alpha_bar

    def answer(x_t: Tensor, t: Tensor) -> Tensor:
        a = alpha_bar[t.long()].view(-1, 1, 1, 1)
        x_0 = PICTURE.double()
        eps = (x_t - a.sqrt() * x_0) / (1 - a).sqrt()
        answers = {"eps": eps, "v": a.sqrt() * eps - (1 - a).sqrt() * x_0, "x0": x_0}
        return answers[kind].float()

    model = painted_model(Painter(picture=answer), kind=kind)
    model = replace(model, sampling=ModelSampling(NoiseSchedule(alpha_bar), model.sampling.kind))

    done = run(desk, model, Latent(torch.zeros(SHAPE)), levels(model, 999, 700, 300, 50))

    torch.testing.assert_close(done.latent.samples, PICTURE, rtol=1e-3, atol=2e-3)


# -- where it starts -----------------------------------------------------------------------------


def test_from_the_highest_level_the_network_first_sees_the_noise_itself(desk: Desk) -> None:
    painter = Painter()
    model = painted_model(painter)

    run(desk, model, Latent(torch.zeros(SHAPE)), levels(model, 999, 500))

    torch.testing.assert_close(painter.shown[0], initial_noise(SHAPE, SEED))


def test_from_a_lower_level_it_sees_the_scaled_latent_under_that_much_noise(desk: Desk) -> None:
    painter = Painter()
    model = painted_model(painter, scale=0.25)
    sigmas = levels(model, 400, 100)

    run(desk, model, Latent(PICTURE), sigmas)

    x = PICTURE * 0.25 + initial_noise(SHAPE, SEED) * sigmas[0]
    torch.testing.assert_close(painter.shown[0], x / (1 + sigmas[0] ** 2).sqrt())


def test_without_noise_it_starts_from_the_latent_alone(desk: Desk) -> None:
    painter = Painter()
    model = painted_model(painter)
    sigmas = levels(model, 400, 100)

    run(desk, model, Latent(PICTURE), sigmas, add_noise=False)

    torch.testing.assert_close(painter.shown[0], PICTURE / (1 + sigmas[0] ** 2).sqrt())


def test_an_empty_latent_becomes_one_of_the_model(desk: Desk) -> None:
    model = painted_model(Painter(), factor=4)

    done = run(desk, model, Latent.empty(64, 32, 3), levels(model, 999, 500))

    assert done.latent.samples.shape == (3, 4, 8, 16)
    assert done.latent.size == (64, 32)


@pytest.mark.parametrize("count", [0, 1])
def test_with_no_step_to_make_the_latent_comes_back(desk: Desk, count: int) -> None:
    painter = Painter()
    model = painted_model(painter, scale=0.25)

    done = run(desk, model, Latent(PICTURE), torch.tensor([3.0])[:count])

    assert done.latent.samples is PICTURE
    assert done.estimate.samples is PICTURE
    assert not painter.shown


def test_the_input_is_not_changed(desk: Desk) -> None:
    model = painted_model(Painter(picture=softened))
    given = PICTURE.clone()

    run(desk, model, Latent(given, torch.rand(1, 1, 8, 8)), levels(model, 400, 100))

    assert torch.equal(given, PICTURE)


# -- noise -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["euler", "ddim"])
def test_an_image_taken_from_a_batch_is_the_image_it_was_in_it(desk: Desk, name: str) -> None:
    model = painted_model(Painter(picture=softened))
    sigmas, sampler = levels(model, 999, 500, 100), Sampler(name)
    batch = run(desk, model, Latent(torch.zeros(4, 4, 4, 4)), sigmas, sampler=sampler)

    alone = run(
        desk, model, Latent(torch.zeros(2, 4, 4, 4), batch_index=(3, 1)), sigmas, sampler=sampler
    )

    torch.testing.assert_close(alone.latent.samples, batch.latent.samples[[3, 1]])


def test_the_noise_of_the_steps_comes_from_the_seed_after(desk: Desk) -> None:
    painter = Painter()
    model = painted_model(painter)
    sigmas = levels(model, 999, 500)

    run(desk, model, Latent(torch.zeros(SHAPE)), sigmas, sampler=Sampler("euler_ancestral"))

    z = torch.randn(SHAPE, generator=torch.Generator().manual_seed(SEED + 1))
    sigma, s = sigmas[0], sigmas[1]
    up = (s**2 * (sigma**2 - s**2) / sigma**2).sqrt()
    down = (s**2 - up**2).sqrt()
    x = initial_noise(SHAPE, SEED) * (1 + sigma**2).sqrt()
    x = 2.0 + (x - 2.0) * down / sigma + z * up
    seen = x / (1 + s**2).sqrt()
    torch.testing.assert_close(painter.shown[1], seen, rtol=1e-4, atol=1e-4)


# -- masks -----------------------------------------------------------------------------------------


def half_masked(columns: int = 3) -> Latent:
    mask = torch.zeros(1, 1, 4, 6)
    mask[..., :columns] = 1
    return Latent(PICTURE, mask)


@pytest.mark.parametrize("name", ["euler", "euler_ancestral", "ddpm", "ddim"])
def test_what_the_mask_keeps_is_kept_and_the_rest_is_made(desk: Desk, name: str) -> None:
    model = painted_model(Painter(), scale=0.25)

    done = run(desk, model, half_masked(), levels(model, 999, 500), sampler=Sampler(name))

    torch.testing.assert_close(done.latent.samples[..., 3:], PICTURE[..., 3:], rtol=1e-3, atol=1e-3)
    made = done.latent.samples[..., :3]
    torch.testing.assert_close(made, torch.full_like(made, 8.0), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("name", "seed"), [("euler", SEED), ("ddim", SEED + 1)])
def test_the_kept_part_is_shown_under_its_noise_which_ddim_draws_anew(
    desk: Desk, name: str, seed: int
) -> None:
    painter = Painter()
    model = painted_model(painter)
    sigmas = levels(model, 400, 100)

    run(desk, model, half_masked(), sigmas, sampler=Sampler(name))

    for step, sigma in enumerate(sigmas[:2]):
        x = PICTURE + initial_noise(SHAPE, seed) * sigma
        expected = (x / (1 + sigma**2).sqrt())[..., 3:]
        torch.testing.assert_close(painter.shown[step][..., 3:], expected)


def test_a_grey_mask_of_any_size_blends(desk: Desk) -> None:
    model = painted_model(Painter())
    latent = Latent(PICTURE, torch.full((1, 1, 50, 70), 0.25))

    done = run(desk, model, latent, levels(model, 400, 100))

    torch.testing.assert_close(done.estimate.samples, 2.0 * 0.25 + PICTURE * 0.75)


def test_each_image_has_its_own_mask(desk: Desk) -> None:
    model = painted_model(Painter())
    latent = Latent(PICTURE, torch.stack([torch.zeros(1, 4, 6), torch.ones(1, 4, 6)]))

    done = run(desk, model, latent, levels(model, 400, 100))

    torch.testing.assert_close(done.latent.samples[0], PICTURE[0])
    torch.testing.assert_close(done.latent.samples[1], torch.full((4, 4, 6), 2.0))


def test_an_inpainting_network_is_shown_mask_and_latent_at_each_call(desk: Desk) -> None:
    painter = Painter()
    model = painted_model(painter, inputs=9, scale=0.25)

    run(desk, model, half_masked(), levels(model, 400, 100), cfg=4.0)

    for seen in painter.shown:
        assert seen.shape == (4, 9, 4, 6)
        assert seen[3, 4, 0].tolist() == [1, 1, 1, 0, 0, 0]
        torch.testing.assert_close(seen[:, 5:], torch.cat([PICTURE, PICTURE]) * 0.25)


# -- keeping the picture in range ------------------------------------------------------------------


def test_clipping_keeps_the_picture_between_minus_one_and_one(desk: Desk) -> None:
    model = painted_model(Painter())

    done = run(
        desk,
        model,
        Latent(torch.zeros(SHAPE)),
        levels(model, 999, 500),
        sampler=Sampler("ddim", clipping="clip"),
    )

    torch.testing.assert_close(done.latent.samples, torch.ones(SHAPE), rtol=1e-4, atol=1e-4)


def test_dynamic_thresholding_divides_by_the_percentile_of_the_values(desk: Desk) -> None:
    ramp = torch.linspace(0, 4, 96).view(1, 4, 4, 6)
    model = painted_model(Painter(picture=lambda x, _: ramp))

    done = run(
        desk,
        model,
        Latent(torch.zeros(1, 4, 4, 6)),
        levels(model, 999),
        sampler=Sampler("ddim", clipping="dynamic", percentile=0.5),
    )

    torch.testing.assert_close(done.estimate.samples, ramp.clamp(max=2) / 2, rtol=1e-3, atol=1e-3)


# -- watching and stopping -------------------------------------------------------------------------


def test_every_step_is_reported(desk: Desk) -> None:
    model = painted_model(Painter())

    run(desk, model, Latent(torch.zeros(SHAPE)), levels(model, 999, 500, 100), cfg=3.0)

    assert desk.progress == [(1, 3), (2, 3), (3, 3)]


def test_every_step_offers_its_estimate_as_a_preview(desk: Desk) -> None:
    model = painted_model(Painter(), scale=0.25)
    seen: list[LatentPreview] = []
    context = replace(desk.context, on_preview=seen.append)

    done = run(desk, model, Latent(torch.zeros(SHAPE)), levels(model, 999, 500), context=context)

    assert len(seen) == 2
    assert seen[-1].model is model
    samples = seen[-1].samples
    torch.testing.assert_close(samples, torch.full(SHAPE, 2.0))  # in the model's scale
    torch.testing.assert_close(done.estimate.samples, samples / 0.25)


def test_a_cancelled_run_stops_within_the_step_and_gives_the_model_back(desk: Desk) -> None:
    def answer(x: Tensor, t: Tensor) -> Tensor:
        if float(t[0]) == 500:
            desk.cancel.cancel()
        return torch.zeros_like(x)

    painter = Painter(picture=answer)
    model = painted_model(painter)

    with pytest.raises(Cancelled):
        run(desk, model, Latent(torch.zeros(SHAPE)), levels(model, 999, 500, 300, 200, 100))

    assert len(painter.shown) == 2
    assert desk.progress == [(1, 5)]
    assert not any(model.leases for model in desk.models.stats().devices["cpu"].models)


# -- levels, samplers, numbers ---------------------------------------------------------------------


def test_an_unknown_sampler_is_refused_with_those_there_are(desk: Desk) -> None:
    model = painted_model(Painter())

    with pytest.raises(NodeGraphError, match=r"no sampler 'eulr'.*euler, euler_cfg_pp"):
        run(desk, model, Latent(PICTURE), levels(model, 400), sampler=Sampler("eulr"))


def test_a_plugins_sampler_is_used_by_its_name(desk: Desk) -> None:
    def straight(x: Tensor, sigmas: Tensor, _: object, *, times: int) -> object:
        predicted = yield x, float(sigmas[0])
        return predicted.denoised * times

    model = painted_model(Painter())
    context = replace(desk.context, extensions={"samplers": {"straight": straight}})

    done = run(
        desk,
        model,
        Latent(PICTURE),
        levels(model, 400),
        sampler=Sampler("straight", (("times", 3),)),
        context=context,
    )

    torch.testing.assert_close(done.latent.samples, torch.full(SHAPE, 6.0))


def times_of(model: Model, sigmas: Tensor) -> list[int]:
    return [model.sampling.schedule.sigma_to_t(float(sigma)) for sigma in sigmas if sigma > 0]


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [
        ("leading", [750, 500, 250, 0]),
        ("linspace", [999, 666, 333, 0]),
        ("trailing", [999, 749, 499, 249]),
    ],
)
def test_a_spacing_replaces_the_levels_by_as_many_times(spacing: str, expected: list[int]) -> None:
    model = painted_model(Painter())

    walked = respaced(Sampler("ddim", spacing=spacing), levels(model, 999, 800, 30, 7), model)

    assert times_of(model, walked) == expected
    assert walked[-1] == 0


def test_a_spacing_over_a_part_of_the_range_stays_in_it_and_ends_where_it_ended() -> None:
    model = painted_model(Painter())
    part = levels(model, 600, 500, 400, 300)[:-1]

    walked = respaced(Sampler("ddim", spacing="linspace"), part, model)

    assert times_of(model, walked) == [600, 451, 301, 300]
    assert walked[-1] == part[-1]


def test_levels_as_given_are_not_touched() -> None:
    model = painted_model(Painter())
    given = levels(model, 600, 500)

    assert respaced(EULER, given, model) is given


def test_more_steps_than_there_are_times_become_one_each() -> None:
    model = painted_model(Painter())
    given = torch.linspace(float(levels(model, 3)[0]), 0, 9)

    walked = respaced(Sampler("ddim", spacing="linspace"), given, model)

    assert times_of(model, walked) == [3, 2, 1, 0]


def test_a_half_network_is_given_halves_and_answers_in_float32() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1, dtype=torch.float16), requires_grad=False)

        def forward(self, x: Tensor, t: Tensor, tokens: Tensor | None) -> Tensor:
            assert x.dtype == torch.float16
            assert t.dtype == torch.float32
            assert tokens is None or tokens.dtype == torch.float16
            return x * self.weight

    network = network_of(Half())
    x = torch.full((1, 1, 1, 1), 1 / 3)

    for tokens in (None, torch.ones(1, 2, 3)):
        answer = network(x, torch.zeros(1), tokens)
        assert answer.dtype == torch.float32
        assert math.isclose(float(answer), 1 / 3, rel_tol=1e-3)
        assert float(answer) != 1 / 3
