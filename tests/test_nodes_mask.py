"""Nodes that load, make, convert and combine masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from node_support import Desk
from PIL import Image as Pillow

from nodegraph import FileMissing, NodeGraphError
from nodes.mask import (
    crop_mask,
    feather_mask,
    grow_mask,
    image_color_to_mask,
    image_to_mask,
    invert_mask,
    load_image_mask,
    mask_composite,
    mask_to_image,
    solid_mask,
    threshold_mask,
)
from nodes.types import Image, Mask

PIXELS = np.array([[[0, 51, 255, 255], [102, 0, 204, 51]]], np.uint8)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    Pillow.fromarray(PIXELS).save(made.place("input", "clear.png"))
    Pillow.fromarray(PIXELS[..., :3]).save(made.place("input", "opaque.png"))
    return made


def ramp(height: int = 4, width: int = 6, count: int = 1) -> Mask:
    return Mask(torch.arange(count * height * width).view(count, height, width) / 100)


# -- loading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "values"),
    [
        ("red", [0.0, 0.4]),
        ("green", [0.2, 0.0]),
        ("blue", [1.0, 0.8]),
        ("alpha", [0.0, 0.8]),
    ],
)
def test_a_channel_of_a_file_is_a_mask(desk: Desk, channel: str, values: list[float]) -> None:
    mask = load_image_mask("clear.png", channel, context=desk.context)  # type: ignore[arg-type]

    torch.testing.assert_close(mask, torch.tensor([[values]]))


def test_the_alpha_of_an_opaque_file_is_a_black_mask_of_its_size(desk: Desk) -> None:
    assert load_image_mask("opaque.png", "alpha", context=desk.context).tolist() == [[[0.0, 0.0]]]


def test_a_mask_file_that_is_not_there_is_named(desk: Desk) -> None:
    with pytest.raises(FileMissing, match=r"'cleer.png'.*nearest: 'clear.png'"):
        load_image_mask("cleer.png", "red", context=desk.context)


# -- pictures and masks ----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4, 6), (2, 4, 6), (2, 1, 4, 6)])
def test_a_mask_of_any_shape_becomes_grey_pictures(shape: tuple[int, ...]) -> None:
    mask = Mask(torch.rand(shape))

    image = mask_to_image(mask)

    assert image.shape == (mask.numel() // 24, 4, 6, 3)
    for channel in range(3):
        assert torch.equal(image[..., channel], mask.reshape(-1, 4, 6))


@pytest.mark.parametrize(("channel", "index"), [("red", 0), ("green", 1), ("blue", 2)])
def test_a_channel_of_a_picture_is_a_mask(channel: str, index: int) -> None:
    image = Image(torch.rand(2, 3, 4, 3))

    mask = image_to_mask(image, channel)  # type: ignore[arg-type]

    assert torch.equal(mask, image[..., index])
    assert mask.untyped_storage().nbytes() == mask.nbytes  # not the whole picture's memory


def test_alpha_is_a_mask_as_it_is_and_white_where_there_is_none() -> None:
    image = Image(torch.rand(2, 3, 4, 4))

    assert torch.equal(image_to_mask(image, "alpha"), image[..., 3])
    assert torch.equal(image_to_mask(Image(image[..., :3]), "alpha"), torch.ones(2, 3, 4))


def test_a_picture_made_of_a_mask_gives_the_mask_again() -> None:
    mask = ramp(count=2)

    assert torch.equal(image_to_mask(mask_to_image(mask), "green"), mask)


def test_a_colour_is_a_mask_whatever_the_alpha() -> None:
    pixels = torch.tensor([[255, 128, 0, 9], [255, 128, 1, 9]])[None, None] / 255

    assert image_color_to_mask(Image(pixels), 0xFF8000).tolist() == [[[1.0, 0.0]]]
    assert image_color_to_mask(Image(torch.zeros(1, 1, 1, 1)), 0).item() == 1


# -- making and changing ---------------------------------------------------------------------------


def test_a_solid_mask_has_one_value() -> None:
    assert torch.equal(solid_mask(0.25, 3, 2), torch.full((1, 2, 3), 0.25))


def test_an_inverted_mask_is_one_minus_it() -> None:
    mask = ramp()

    assert torch.equal(invert_mask(mask), 1 - mask)
    assert invert_mask(Mask(mask[0])).shape == (1, 4, 6)


def test_a_crop_is_as_large_as_the_mask_allows() -> None:
    mask = ramp()

    assert torch.equal(crop_mask(mask, 1, 2, 3, 1), mask[:, 2:3, 1:4])
    assert torch.equal(crop_mask(mask, 4, 3, 512, 512), mask[:, 3:, 4:])


@pytest.mark.parametrize(("x", "y"), [(6, 0), (0, 4), (600, 400)])
def test_a_crop_outside_the_mask_says_where_the_mask_ends(x: int, y: int) -> None:
    with pytest.raises(
        NodeGraphError, match=rf"begins at \({x}, {y}\), outside the mask of 6 x 4.*x below 6"
    ):
        crop_mask(ramp(), x, y, 2, 2)


def test_masks_are_combined_where_they_lie_on_one_another() -> None:
    combined = mask_composite(
        Mask(torch.ones(1, 2, 3)), Mask(torch.ones(1, 1)), 1, 1, operation="subtract"
    )

    assert combined.tolist() == [[[1, 1, 1], [1, 0, 1]]]


def test_a_mask_fades_out_at_the_borders_that_are_named() -> None:
    faded = feather_mask(solid_mask(1.0, 4, 4), 0, 0, 2, 4)

    assert faded[0, 0].tolist() == [1, 1, 1, 0.5]
    assert faded[0, :, 0].tolist() == [1, 0.75, 0.5, 0.25]


def test_a_mask_grows_with_slanting_or_square_corners_and_shrinks() -> None:
    point = torch.zeros(1, 5, 5)
    point[0, 2, 2] = 1

    assert grow_mask(Mask(point), 1)[0].sum() == 5
    assert grow_mask(Mask(point), 1, False)[0].sum() == 9
    assert not grow_mask(Mask(point), -1).any()
    assert torch.equal(grow_mask(grow_mask(Mask(point), 1), -1), point)


def test_a_threshold_is_exclusive() -> None:
    mask = Mask(torch.tensor([[[0.0, 0.5, 0.500001, 1.0]]]))

    assert threshold_mask(mask, 0.5).tolist() == [[[0, 0, 1, 1]]]
    assert not threshold_mask(mask, 1.0).any()
