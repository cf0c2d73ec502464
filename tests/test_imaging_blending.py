"""Blend modes by their laws, and composition by what Porter and Duff's regions show."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops
from torch import Tensor

from nodes.imaging.blending import BLENDS, MODES, SHARES, blend, porter_duff

# What is seen where only the source is, where only the destination is, and where both are
# (Porter and Duff 1984, the table): S the source, D the destination, - nothing.
REGIONS = {
    "CLEAR": "---",
    "SRC": "S-S",
    "DST": "-DD",
    "SRC_OVER": "SDS",
    "DST_OVER": "SDD",
    "SRC_IN": "--S",
    "DST_IN": "--D",
    "SRC_OUT": "S--",
    "DST_OUT": "-D-",
    "SRC_ATOP": "-DS",
    "DST_ATOP": "S-D",
    "XOR": "SD-",
}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def value(mode: str, a: float, b: float, factor: float = 1.0) -> float:
    return float(blend(torch.tensor(a), torch.tensor(b), factor, mode))


# -- blend modes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "a", "b", "expected"),
    [
        ("normal", 0.2, 0.7, 0.7),
        ("multiply", 0.5, 0.6, 0.3),
        ("screen", 0.5, 0.6, 0.8),
        ("overlay", 0.25, 0.6, 0.3),
        ("overlay", 0.75, 0.6, 0.8),
        ("soft_light", 0.4, 0.25, 0.28),
        ("soft_light", 0.25, 0.75, 0.375),
        ("soft_light", 0.36, 1.0, 0.6),
        ("soft_light", 0.64, 1.0, 0.8),
        ("difference", 0.7, 0.2, 0.5),
        ("difference", 0.2, 0.7, 0.0),
    ],
)
def test_two_values_blend_to_a_known_one(mode: str, a: float, b: float, expected: float) -> None:
    assert value(mode, a, b) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("mode", "pillow"),
    [
        ("multiply", ImageChops.multiply),
        ("screen", ImageChops.screen),
        ("overlay", ImageChops.overlay),
        ("difference", ImageChops.subtract),
    ],
)
def test_blending_is_that_of_pillow_to_its_eight_bits(mode: str, pillow: object) -> None:
    pictures = (random(2, 16, 16, 3) * 255).to(torch.uint8)
    below, above = (Image.fromarray(picture.numpy()) for picture in pictures)

    blended = blend(pictures[0] / 255, pictures[1] / 255, 1.0, mode)

    expected = np.asarray(pillow(below, above)) / 255  # type: ignore[operator]
    assert np.abs(blended.numpy() - expected).max() < 2.1 / 255


@pytest.mark.parametrize("mode", MODES)
@given(a=st.floats(0, 1), b=st.floats(0, 1), factor=st.floats(0, 1))
def test_a_factor_goes_from_the_first_to_the_blend(
    mode: str, a: float, b: float, factor: float
) -> None:
    assert value(mode, a, b, 0.0) == pytest.approx(a)
    whole = float(MODES[mode](torch.tensor(a), torch.tensor(b)))
    mixed = min(max(a + factor * (whole - a), 0), 1)
    assert value(mode, a, b, factor) == pytest.approx(mixed, abs=1e-6)


def test_a_half_in_soft_light_changes_nothing_and_its_branches_meet() -> None:
    a = random(100)

    torch.testing.assert_close(blend(a, torch.full_like(a, 0.5), 1.0, "soft_light"), a)
    for b in (0.6, 1.0):
        below, above = value("soft_light", 0.25, b), value("soft_light", 0.250001, b)
        assert below == pytest.approx(above, abs=1e-5)


# -- composition -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", REGIONS)
def test_an_operator_shows_in_each_region_what_its_table_says(mode: str) -> None:
    s, d, sa, da = random(2, 4, 4, 3), random(2, 4, 4, 3, seed=1), random(2, 4, 4), random(2, 4, 4)
    only_source, only_destination, both = (sa * (1 - da), da * (1 - sa), sa * da)
    alpha, colours = torch.zeros_like(sa), torch.zeros_like(s)
    regions = (only_source, only_destination, both)
    for weight, seen in zip(regions, REGIONS[mode], strict=True):
        if seen != "-":
            alpha = alpha + weight
            colours = colours + weight[..., None] * (s if seen == "S" else d)

    got_colours, got_alpha = porter_duff(s, sa, d, da, mode)

    torch.testing.assert_close(got_alpha, alpha)
    torch.testing.assert_close(got_colours * alpha[..., None], colours, atol=1e-5, rtol=1e-5)


def test_source_over_is_pillow_s_alpha_composite() -> None:
    layers = (random(2, 16, 16, 4) * 255).to(torch.uint8)
    below, above = (Image.fromarray(layer.numpy()) for layer in layers)
    s, d = layers[1:] / 255, layers[:1] / 255

    colours, alpha = porter_duff(s[..., :3], s[..., 3], d[..., :3], d[..., 3], "SRC_OVER")

    expected = torch.from_numpy(np.array(Image.alpha_composite(below, above)) / 255).float()
    result = torch.cat([colours, alpha[..., None]], dim=-1)[0]
    assert (result - expected).abs().max() < 2.1 / 255


@pytest.mark.parametrize(
    ("mode", "colour", "alpha"),
    [  # of s = 0.8 with alpha 0.5 on d = 0.4 with alpha 0.75: s = 0.4, d = 0.3 times alpha
        ("ADD", 0.7, 1.0),
        ("DARKEN", (0.25 * 0.4 + 0.5 * 0.3 + 0.3) / 0.875, 0.875),
        ("LIGHTEN", (0.25 * 0.4 + 0.5 * 0.3 + 0.4) / 0.875, 0.875),
        ("MULTIPLY", 0.12 / 0.375, 0.375),
        ("SCREEN", 0.58 / 0.875, 0.875),
        ("OVERLAY", 0.24 / 0.875, 0.875),
    ],
)
def test_the_further_modes_give_known_values(mode: str, colour: float, alpha: float) -> None:
    s, d = torch.full((1, 1, 1, 3), 0.8), torch.full((1, 1, 1, 3), 0.4)

    colours, got = porter_duff(s, torch.full((1, 1, 1), 0.5), d, torch.full((1, 1, 1), 0.75), mode)

    assert got.item() == pytest.approx(alpha)
    assert colours.flatten().tolist() == pytest.approx([colour] * 3)


@pytest.mark.parametrize(
    ("mode", "blend_mode"),
    [("MULTIPLY", "multiply"), ("SCREEN", "screen"), ("OVERLAY", "overlay")],
)
def test_opaque_layers_compose_as_they_blend(mode: str, blend_mode: str) -> None:
    s, d, opaque = random(1, 8, 8, 3), random(1, 8, 8, 3, seed=1), torch.ones(1, 8, 8)

    colours, alpha = porter_duff(s, opaque, d, opaque, mode)

    torch.testing.assert_close(colours, blend(d, s, 1.0, blend_mode))
    assert torch.equal(alpha, opaque)


@pytest.mark.parametrize("mode", [*SHARES, *BLENDS])
def test_what_nobody_covers_is_transparent_and_black(mode: str) -> None:
    nothing = torch.zeros(1, 2, 2)

    colours, alpha = porter_duff(random(1, 2, 2, 3), nothing, random(1, 2, 2, 3), nothing, mode)

    assert not alpha.any()
    assert not colours.any()


@pytest.mark.parametrize("mode", [*SHARES, *BLENDS])
def test_colours_and_alpha_stay_between_0_and_1(mode: str) -> None:
    s, d, sa, da = random(1, 9, 9, 3), random(1, 9, 9, 3, seed=1), random(1, 9, 9), random(1, 9, 9)

    for values in porter_duff(s, sa, d, da, mode):
        assert 0 <= float(values.min()) <= float(values.max()) <= 1 + 1e-6
