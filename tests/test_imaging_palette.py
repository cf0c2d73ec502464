"""Few colours: as Pillow chooses and dithers them, and by Bayer's matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from nodes.imaging.palette import bayer, reduce_colours

DITHERS = ("none", "floyd-steinberg", "bayer-2", "bayer-4", "bayer-8", "bayer-16")


def colourful(count: int = 1, height: int = 24, width: int = 40) -> Tensor:
    """Smooth colours, which few colours cannot hold."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    picture = torch.stack([x, y, 1 - x], dim=-1)
    return torch.stack([picture.roll(index, -1) for index in range(count)])


def colours_of(picture: Tensor) -> int:
    return len(picture.reshape(-1, 3).unique(dim=0))


@pytest.mark.parametrize("dither", DITHERS)
@pytest.mark.parametrize("colours", [2, 8, 100])
def test_a_picture_has_no_more_colours_than_it_may(dither: str, colours: int) -> None:
    reduced = reduce_colours(colourful(2), colours, dither)

    assert reduced.shape == (2, 24, 40, 3)
    assert all(1 < colours_of(picture) <= colours for picture in reduced)
    assert torch.equal(reduced, (reduced * 255).round() / 255)


@pytest.mark.parametrize("dither", DITHERS)
def test_one_colour_is_a_picture_of_one_colour(dither: str) -> None:
    assert colours_of(reduce_colours(colourful(), 1, dither)[0]) == 1


@pytest.mark.parametrize(
    ("dither", "method"),
    [("none", Image.Dither.NONE), ("floyd-steinberg", Image.Dither.FLOYDSTEINBERG)],
)
def test_the_result_is_pillow_s_for_its_own_palette(dither: str, method: Image.Dither) -> None:
    picture = colourful()
    bytes_ = Image.fromarray((picture[0] * 255).to(torch.uint8).numpy())
    expected = bytes_.quantize(palette=bytes_.quantize(7), dither=method).convert("RGB")

    reduced = reduce_colours(picture, 7, dither)

    assert torch.equal(reduced[0], torch.from_numpy(np.array(expected)) / 255)


def test_dithering_keeps_the_mean_that_rounding_loses() -> None:
    grey = torch.full((1, 32, 32, 3), 0.3)
    grey[:, :8] = 0.0
    grey[:, 8:16] = 1.0
    patch = (slice(None), slice(16, None))

    plain = reduce_colours(grey, 2, "none")[patch]
    errors = [abs(float(reduce_colours(grey, 2, name)[patch].mean()) - 0.3) for name in DITHERS[1:]]

    assert max(errors) < 0.5 * abs(float(plain.mean()) - 0.3)


def test_alpha_is_kept_and_a_grey_becomes_a_colour() -> None:
    alpha = torch.rand(1, 24, 40, 1)
    picture = torch.cat([colourful(), alpha], dim=-1)

    reduced = reduce_colours(picture, 4, "bayer-4")

    assert torch.equal(reduced[..., 3:], alpha)
    assert torch.equal(reduced[..., :3], reduce_colours(colourful(), 4, "bayer-4"))
    assert reduce_colours(colourful()[..., :1], 4, "none").shape == (1, 24, 40, 3)


# -- Bayer's matrices ------------------------------------------------------------------------------


def test_the_matrix_of_two_is_known() -> None:
    assert (bayer(2) * 8).tolist() == [[-3, 1], [3, -1]]


@pytest.mark.parametrize("side", [2, 4, 8, 16])
def test_a_matrix_holds_every_threshold_once_around_zero(side: int) -> None:
    ranks = np.sort(bayer(side).ravel()) * side**2

    expected = np.arange(side**2) - (side**2 - 1) / 2
    assert ranks.tolist() == expected.tolist()


@pytest.mark.parametrize("side", [4, 8, 16])
def test_each_quarter_has_every_fourth_threshold(side: int) -> None:
    matrix = bayer(side)
    h = side // 2

    for rows, columns in ((0, 0), (0, h), (h, 0), (h, h)):
        quarter = np.sort(matrix[rows : rows + h, columns : columns + h].ravel())
        assert np.allclose(np.diff(quarter) * side**2, 4)


@pytest.mark.parametrize("level", [40, 80])
def test_ordered_dithering_adds_the_matrix_before_the_nearest_colour_is_taken(level: int) -> None:
    # two colours are half of 512 apart: s = 256, and 256 * (-3, 1, 3, -1) / 8 is added
    picture = torch.zeros(1, 4, 8, 3)
    picture[:, :, 4:] = 1.0
    picture[:, 2:, :4] = level / 255
    low, high = (reduce_colours(picture, 2, "none") * 255).unique().tolist()
    values = torch.tensor([[level - 96, level + 32], [level + 96, level - 32]]).repeat(1, 2)

    reduced = reduce_colours(picture, 2, "bayer-2")[0, 2:, :4, 0] * 255

    expected = torch.where(values > (low + high) / 2, high, low)
    torch.testing.assert_close(reduced, expected)
    assert len(expected.unique()) == 2


@pytest.mark.parametrize("side", [2, 4, 16])
def test_thresholds_repeat_over_the_picture_and_values_are_rounded(side: int) -> None:
    picture, colours = colourful(height=23, width=39), 100
    bytes_ = (picture[0] * 255).to(torch.uint8).numpy()
    palette = Image.fromarray(bytes_).quantize(colours)
    spread = 512 / (len(palette.getpalette()) // 3)
    threshold = np.tile(spread * bayer(side), (12, 20))[:23, :39, None]
    values = np.floor(np.clip(bytes_ + threshold + 0.5, 0, 255)).astype(np.uint8)
    expected = Image.fromarray(values).quantize(palette=palette, dither=Image.Dither.NONE)

    reduced = reduce_colours(picture, colours, f"bayer-{side}")[0]

    assert torch.equal(reduced, torch.from_numpy(np.array(expected.convert("RGB"))) / 255)
