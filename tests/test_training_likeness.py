"""Likeness by features: known colours, ramps with one direction, and a set that knows itself."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from nodes.training.likeness import Gallery, hog, lab, thumbnails


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def flat(*colours: tuple[float, float, float], side: int = 32) -> Tensor:
    return torch.tensor(colours, dtype=torch.float32).view(-1, 3, 1, 1).expand(-1, 3, side, side)


@pytest.mark.parametrize(
    ("colour", "wanted"),
    [  # the usual table, D65
        ((1, 1, 1), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((1, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 1, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 1), (32.30, 79.19, -107.86)),
        ((0.02, 0.02, 0.02), (0.02 / 12.92 * 29**3 / 27, 0, 0)),  # where both curves are lines
    ],
)
def test_lab_of_known_colours(
    colour: tuple[float, float, float], wanted: tuple[float, ...]
) -> None:
    assert lab(flat(colour))[0, :, 0, 0].tolist() == pytest.approx(wanted, abs=0.02)


def test_a_thumbnail_has_the_mean_colours_of_its_places() -> None:
    picture = flat((0.5, 0.5, 0.5)).clone()
    picture[:, :, :2, :2] = flat((1.0, 0.0, 0.0))[:, :, :2, :2]
    picture[:, :, 10, 10:12], picture[:, :, 11, 10:12] = 0.1, 0.9

    found = thumbnails(picture).view(3, 16, 16)

    assert found[:, 0, 0].tolist() == pytest.approx([53.24, 80.09, 67.20], abs=0.02)
    assert found[:, 5, 5].tolist() == pytest.approx([53.39, 0, 0], abs=0.02)
    assert found[:, 6, 6].tolist() == pytest.approx([53.39, 0, 0], abs=0.02)


@pytest.mark.parametrize(
    ("across", "down", "bins"),
    [  # 20 degrees each, from 0; a gradient between two is shared by them
        (1, 0, {0: 1.0}),
        (0, 1, {4: 0.5, 5: 0.5}),
        (1, 1, {2: 0.75, 3: 0.25}),
        (-1, 1, {6: 0.25, 7: 0.75}),
        (-1, math.tan(math.pi / 36), {8: 0.25, 0: 0.75}),
    ],
)
def test_a_ramp_s_gradients_all_fall_into_its_direction(
    across: float, down: float, bins: dict[int, float]
) -> None:
    ramp = torch.arange(64) / 200
    picture = (ramp[None] * across + ramp[:, None] * down).expand(1, 3, 64, 64)

    blocks = hog(picture).view(4, 9, 7, 7)[:, :, 3, 3]

    wanted = torch.zeros(9)
    for place, value in bins.items():
        wanted[place] = value
    wanted = wanted.expand(4, 9) / wanted.expand(4, 9).norm()
    assert torch.allclose(blocks, wanted, atol=2e-3)


def test_gradients_do_not_see_brightness_nor_which_side_is_dark() -> None:
    picture = noise(1, 3, 64, 64)

    assert torch.allclose(hog(picture / 2 + 0.3), hog(picture), atol=1e-3)
    assert torch.allclose(hog(1 - picture), hog(picture), atol=1e-3)
    assert not torch.allclose(hog(picture.flip(-1)), hog(picture), atol=0.1)


def test_a_set_recalls_itself_and_a_shifted_one_by_its_neighbours() -> None:
    pictures = noise(12, 3, 64, 64)
    names = [f"n{i}" for i in range(12)]
    gallery = Gallery.of(pictures, names)

    assert gallery.recall(pictures, names) == 1
    assert gallery.recall(pictures, names[1:] + names[:1], count=1) == 0
    half = [*names[:6], *names[7:], names[6]]
    assert gallery.recall(pictures, half) == 0.5
    assert gallery.recall(pictures, names[1:] + names[:1], count=12) == 1


def test_both_kinds_of_features_count_alike_and_either_can_tell() -> None:
    pictures = noise(8, 3, 64, 64)
    gallery = Gallery.of(pictures, ["x"] * 8)

    colours, gradients = gallery.features[:, :768], gallery.features[:, 768:]
    for part in (colours, gradients):
        assert part.square().sum(1).mean().item() == pytest.approx(1, abs=1e-4)
        assert part.mean(0).abs().max() < 1e-5
    red, green = flat((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), side=64).split(1)
    stripes = (torch.arange(64) % 16 < 8).float().expand(1, 3, 64, 64)
    named = Gallery.of(
        torch.cat([red, green, stripes, stripes.transpose(2, 3)]), ["red", "green", "|", "-"]
    )
    shown = torch.cat([red * 0.9, green * 0.9, stripes * 0.8 + 0.1])
    assert named.nearest(shown, 1) == [("red",), ("green",), ("|",)]


def test_pictures_of_any_size_are_compared() -> None:
    large = noise(3, 3, 128, 128)
    small = torch.nn.functional.interpolate(large, size=(64, 64), mode="area")

    assert torch.allclose(hog(large), hog(small), atol=1e-5)
    assert Gallery.of(small, "abc").recall(large, "abc") == 1
    with pytest.raises(ValueError, match="expected 3 captions, got 2"):
        Gallery.of(small, "ab")
