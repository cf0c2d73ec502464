"""Nodes that say how good a network is."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from node_support import Desk
from torch import Tensor
from training_desk import (
    SIZE,
    context_of,
    small_clip,
    small_unet,
    small_vae,
    squares,
)

from nodegraph import NodeGraphError
from nodes.diffusion.prediction import ModelSampling
from nodes.diffusion.schedule import NoiseSchedule, linear
from nodes.evaluating import autoencoder_figures, bits_of_model, validation_loss
from nodes.new_encoders import new_condition_encoder
from nodes.training.chance import Chance
from nodes.training.dataset import Dataset
from nodes.training.figures import psnr, ssim
from nodes.training.framing import Framing
from nodes.training.pixels import Pixels
from nodes.training.simple_loss import Draw
from nodes.training.variational import bits_per_dimension
from nodes.types import Model, Vae

FEW = 8  # times, where the bound asks about each


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return squares(tmp_path_factory.mktemp("squares"))


def unconditional(desk: Desk, **changes: Any) -> Model:
    """An untrained model on pixels, which answers 0, with few times."""
    made = small_unet(desk, context_width=0, **changes)
    sampling = ModelSampling(NoiseSchedule(linear(FEW, 1e-2, 0.9)), made.sampling.kind)
    return replace(made, sampling=sampling)


def pixels(dataset: Dataset) -> Tensor:
    return Pixels(dataset, Framing(SIZE, 8)).batch([0, 1, 2], Chance(0))


# -- bits per dimension ----------------------------------------------------------------------------


@pytest.mark.parametrize("variance", ["beta", "beta_tilde"])
def test_the_bits_are_the_bound_of_the_networks_answers(
    desk: Desk, dataset: Dataset, variance: Any
) -> None:
    model = unconditional(desk)
    x_0 = pixels(dataset)

    made = bits_of_model(model, dataset, SIZE, 3, 16, variance, 5, context=context_of(desk, "bits"))

    zero = lambda x_t, t: torch.zeros_like(x_t)  # noqa: E731
    bound = bits_per_dimension(zero, model.sampling, x_0, Chance(5, (0,)), variance)
    assert made.bits == pytest.approx(bound.total.mean().item(), rel=1e-5)
    first, zeroth, between, last = made.report.splitlines()
    assert first.startswith(f"{made.bits:.4f} bits per dimension, of 3 pictures")
    assert zeroth == f"L_0: {bound.terms[:, 0].mean():.4f}"
    assert between == f"L_1 to L_(T-1): {bound.terms[:, 1:].sum(1).mean():.4f}"
    assert last == f"L_T: {bound.prior.mean():.6f}"


def test_pictures_count_alike_whatever_the_batch_and_each_time_is_told(
    desk: Desk, dataset: Dataset
) -> None:
    model = unconditional(desk, learned_variance=True)
    told: list[tuple[int, int]] = []
    context = context_of(
        desk, "bits", on_progress=lambda value, total, _: told.append((value, total))
    )

    bits_of_model(model, dataset, SIZE, 3, 2, context=context)

    assert told == [(n, 2 * FEW) for n in range(1, 2 * FEW + 1)]


def test_the_bits_of_latents_are_refused(desk: Desk, dataset: Dataset) -> None:
    model = small_unet(desk, latent_channels=4)
    with pytest.raises(NodeGraphError, match="those of pixels: this model makes latents"):
        bits_of_model(model, dataset, SIZE, context=context_of(desk, "bits"))


def test_a_model_with_captions_needs_them(desk: Desk, dataset: Dataset) -> None:
    model = replace(small_unet(desk), sampling=unconditional(desk).sampling)
    with pytest.raises(NodeGraphError, match="connect a text encoder"):
        bits_of_model(model, dataset, SIZE, context=context_of(desk, "bits"))
    made = bits_of_model(
        model, dataset, SIZE, clip=small_clip(desk), context=context_of(desk, "bits")
    )
    assert math.isfinite(made.bits)


# -- validation loss -------------------------------------------------------------------------------


def test_a_network_that_answers_0_has_the_noises_own_size_as_its_loss(
    desk: Desk, dataset: Dataset
) -> None:
    model = small_unet(desk, context_width=0)

    made = validation_loss(model, dataset, SIZE, 3, 2, 4, context=context_of(desk, "loss"))

    assert made.loss == pytest.approx(1.0, abs=0.06)
    head, *parts = made.report.splitlines()
    assert head.startswith(f"{made.loss:.5f} over all times, of 3 pictures")
    assert [line.partition(":")[0] for line in parts] == [
        "times 0 to 249", "times 250 to 499", "times 500 to 749", "times 750 to 999",
    ]  # fmt: skip
    values = [float(line.partition(": ")[2]) for line in parts]
    x_0 = pixels(dataset)
    for part, value in enumerate(values):  # pictures count alike, in batches of 2 and of 1
        drawn = [
            Draw.of(some, 250, Chance(0, (number,)).at(part)).eps.square().flatten(1).mean(1)
            for number, some in enumerate((x_0[:2], x_0[2:]))
        ]
        assert value == pytest.approx(torch.cat(drawn).mean().item(), abs=2e-5)
    assert sum(values) / 4 == pytest.approx(made.loss, abs=1e-4)
    assert made.curve.shape == (1, 480, 960, 3)


def test_equal_seeds_give_equal_losses_and_conditions_are_told(
    desk: Desk, dataset: Dataset
) -> None:
    encoder = new_condition_encoder("class", 64, dataset=dataset, context=context_of(desk, "new"))
    model, clip, vae = small_unet(desk, latent_channels=4), small_clip(desk), small_vae(desk)

    def loss(**options: Any) -> float:
        return validation_loss(
            model, dataset, SIZE, 3, 3, 2, vae=vae, context=context_of(desk, "loss"), **options
        ).loss

    assert loss(clip=clip) == loss(clip=clip)
    assert loss(clip=clip, seed=1) != loss(clip=clip)
    assert math.isfinite(loss(encoder=encoder))
    assert math.isfinite(loss(clip=clip, encoder=encoder))


# -- autoencoders ----------------------------------------------------------------------------------


def test_the_figures_are_those_of_pictures_that_came_back(desk: Desk, dataset: Dataset) -> None:
    vae = small_vae(desk)
    assert vae.source is not None
    network = vae.source.load()
    x = pixels(dataset)
    with torch.no_grad():
        back = network.decode(network.encode(x).mean).clamp(-1, 1)  # type: ignore[operator]

    made = autoencoder_figures(vae, dataset, SIZE, 3, 2, context=context_of(desk, "vae"))

    x, back = (x + 1) / 2, (back + 1) / 2
    assert made.psnr == pytest.approx(psnr(x, back).mean().item(), rel=1e-4)
    assert made.ssim == pytest.approx(ssim(x, back).mean().item(), abs=1e-4)
    assert made.report.startswith(f"PSNR {made.psnr:.2f} dB, SSIM {made.ssim:.4f}: 3 pictures")


def test_pixels_have_no_figures(desk: Desk, dataset: Dataset) -> None:
    with pytest.raises(NodeGraphError, match="gives every picture back"):
        autoencoder_figures(Vae(None, 1, 3), dataset, SIZE, context=context_of(desk, "vae"))
