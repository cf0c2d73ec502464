"""The linear map from latents to colours: exact where a VAE is linear, refused if damaged."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
import torch
from linear_vae import B, LinearVAE, W
from torch import nn

from nodes.models.latent_rgb import LatentRGB, fit, in_grey, least_squares, swatches
from nodes.models.vae import VAE


def fitted(vae: nn.Module) -> LatentRGB:
    return fit(cast(VAE, vae))


@pytest.mark.parametrize("factor", [1, 4, 8, 16])
def test_the_map_of_a_linear_vae_is_the_vae(factor: int) -> None:
    found = fitted(LinearVAE(factor))

    torch.testing.assert_close(found.weight, W, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.bias, B, rtol=0, atol=1e-5)


def test_a_map_gives_each_cell_its_colour() -> None:
    z = torch.randn(2, 4, 3, 5)

    rgb = LatentRGB(W, B)(z)

    assert rgb.shape == (2, 3, 3, 5)
    torch.testing.assert_close(rgb[1, :, 2, 4], W @ z[1, :, 2, 4] + B)


def test_equal_vaes_have_equal_maps() -> None:
    one, other = fitted(LinearVAE()), fitted(LinearVAE())

    assert torch.equal(one.weight, other.weight)
    assert torch.equal(one.bias, other.bias)


def test_channels_that_say_nothing_do_no_harm() -> None:
    z = torch.randn(1, 2, 8, 8).repeat(1, 2, 1, 1)  # two of the four repeat the others
    z[:, 3] = 7.0
    rgb = torch.cat([z[:, :1], z[:, 1:2], z[:, :1] - z[:, 1:2]], dim=1)

    found = least_squares(z, rgb)

    torch.testing.assert_close(found(z), rgb, rtol=0, atol=1e-4)
    assert float(found.weight.abs().max()) <= 1.0 + 1e-4


def test_a_half_precision_vae_is_fitted_as_well() -> None:
    found = fitted(LinearVAE().bfloat16())

    torch.testing.assert_close(found.weight, W, rtol=0, atol=0.01)


def test_a_vae_that_decodes_to_no_numbers_has_no_map() -> None:
    vae = LinearVAE()
    vae.weight.data[0, 0] = float("nan")

    with pytest.raises(ValueError, match="decodes are not numbers"):
        fitted(vae)


def test_what_is_decoded_beyond_white_and_black_counts_as_those() -> None:
    glaring = LinearVAE()
    glaring.weight.data *= 100

    found = fitted(glaring)

    z = glaring.encode(swatches(8, 64) * 2 - 1).mean
    assert float(found(z).abs().max()) < 3


def test_swatches_are_the_same_every_time_and_of_all_colours() -> None:
    pictures = swatches(8, 64)

    assert torch.equal(pictures, swatches(8, 64))
    assert pictures.shape == (8, 3, 64, 64)
    assert 0.0 == float(pictures.min()) < float(pictures.max()) == 1.0
    spread = torch.linalg.eigvalsh(torch.cov(pictures.movedim(1, 0).flatten(1)))
    assert float(spread.min()) > 0.02  # no direction among colours is left out


# -- on disk ---------------------------------------------------------------------------------------


def test_a_map_comes_back_from_its_text_bit_by_bit() -> None:
    found = LatentRGB(torch.randn(3, 16), torch.randn(3))

    back = LatentRGB.from_json(found.as_json())

    assert torch.equal(back.weight, found.weight)
    assert torch.equal(back.bias, found.bias)
    assert back.weight.dtype == torch.float32


def changed(**parts: Any) -> str:
    return json.dumps({**json.loads(LatentRGB(W, B).as_json()), **parts})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        b"\xff\xfe\x00",
        LatentRGB(W, B).as_json()[:40],
        changed(format=2),
        changed(weight=[[1.0, 2.0]]),
        changed(weight=[[], [], []]),
        changed(weight=[[1.0], [2.0, 3.0], [4.0]]),
        changed(weight=3.0),
        changed(weight="abc"),
        changed(bias=[1.0]),
        changed(bias=[1.0, 2.0, float("nan")]),
        changed(weight=[[1e999] * 4] * 3),
        changed(bias=None),
        "[" * 100_000,
    ],
)
def test_a_damaged_text_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match="no map from latents to colours"):
        LatentRGB.from_json(text)


# -- without a vae ---------------------------------------------------------------------------------


def test_latents_of_an_unknown_vae_are_seen_in_grey_along_what_varies_most() -> None:
    ramp = torch.linspace(-1, 1, 64).view(1, 1, 8, 8)
    direction = torch.tensor([0.5, 4.0, -1.0, 0.2]).view(1, 4, 1, 1)
    z = ramp * direction + torch.tensor([9.0, 0.0, -3.0, 1.0]).view(1, 4, 1, 1)

    grey = in_grey(z)

    assert grey.shape == (1, 3, 8, 8)
    assert torch.equal(grey[:, 0], grey[:, 1])
    assert torch.equal(grey[:, 0], grey[:, 2])
    light = grey[:, :1] * (2 * float(ramp.square().mean()) ** 0.5)
    torch.testing.assert_close(light, ramp, rtol=0, atol=1e-4)


def test_the_light_end_is_the_same_in_all_pictures_of_a_batch() -> None:
    ramp = torch.linspace(-1, 1, 16).view(1, 1, 4, 4)
    z = torch.cat([ramp, -ramp]).repeat(1, 4, 1, 1)

    grey = in_grey(z)

    torch.testing.assert_close(grey[0], -grey[1])


@pytest.mark.parametrize("value", [0.0, 5.0, float("nan")])
def test_where_nothing_varies_there_is_plain_grey(value: float) -> None:
    assert torch.equal(in_grey(torch.full((2, 4, 3, 3), value)), torch.zeros(2, 3, 3, 3))
