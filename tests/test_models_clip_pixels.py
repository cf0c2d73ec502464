"""Pictures for the image encoder, against transformers' own preparation of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from nodes.models.clip_pixels import DEVIATION, MEAN, clip_pixels
from nodes.models.errors import ArchitectureError


def picture(height: int, width: int, *, count: int = 1, channels: int = 3) -> Tensor:
    """Smooth colours with some noise, of 8 bits."""
    rows = torch.linspace(0, 3, height)[:, None, None]
    columns = torch.linspace(0, 4, width)[None, :, None]
    waves = torch.sin(rows + columns * torch.arange(1.0, channels + 1)) / 2 + 0.5
    noise = torch.rand(count, 1, 1, channels, generator=torch.Generator().manual_seed(0))
    return ((waves * 0.8 + noise * 0.2) * 255).round() / 255


def levels(pixels: Tensor) -> Tensor:
    """Back to 0 .. 255."""
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, DEVIATION))
    return (pixels * deviation + mean) * 255


@pytest.mark.parametrize(("height", "width"), [(64, 96), (300, 41), (32, 32), (20, 25), (500, 500)])
def test_pictures_are_prepared_as_transformers_does(height: int, width: int) -> None:
    image = picture(height, width)
    size = 32
    theirs = CLIPImageProcessorPil(
        size={"shortest_edge": size}, crop_size={"height": size, "width": size}
    )
    bytes_ = (image[0] * 255).round().to(torch.uint8).numpy()

    found = clip_pixels(image, size, "center")

    expected = torch.from_numpy(np.stack(theirs(bytes_)["pixel_values"]))
    assert found.shape == (1, 3, size, size)
    # Pillow rounds to 8 bits between rows and columns as well, so some values are a level off.
    difference = (levels(found) - levels(expected)).abs()
    assert difference.max() < 1.01
    assert difference.mean() < 0.3


def test_a_picture_of_the_right_size_is_only_normalised() -> None:
    image = picture(8, 8, count=2)

    found = clip_pixels(image, 8, "center")

    mean, deviation = torch.tensor(MEAN), torch.tensor(DEVIATION)
    torch.testing.assert_close(found.movedim(1, -1), (image - mean) / deviation)
    assert torch.equal(clip_pixels(image, 8, "none"), found)


def test_the_centre_is_kept_or_all_of_it_squashed() -> None:
    image = torch.zeros(1, 8, 24, 3)
    image[:, :, 8:16] = 1

    centre, squashed = (levels(clip_pixels(image, 8, crop))[0, 0, 4] for crop in ("center", "none"))

    torch.testing.assert_close(centre, torch.full((8,), 255.0), atol=1e-2, rtol=0)
    assert squashed[0] < 1
    assert squashed[3] > 254


def test_colours_have_8_bits_and_stay_within_them() -> None:
    image = torch.rand(1, 30, 20, 3, generator=torch.Generator().manual_seed(1)).round()

    found = levels(clip_pixels(image, 24, "none"))

    torch.testing.assert_close(found, found.round(), atol=1e-3, rtol=0)
    assert found.min() > -0.01
    assert found.max() < 255.01


def test_alpha_is_left_out() -> None:
    image = picture(20, 30, channels=4)

    assert torch.equal(clip_pixels(image, 16, "center"), clip_pixels(image[..., :3], 16, "center"))


@given(height=st.integers(1, 70), width=st.integers(1, 70), size=st.integers(1, 40))
def test_any_picture_becomes_a_square_of_the_size_asked_for(
    height: int, width: int, size: int
) -> None:
    image = torch.full((1, height, width, 3), 0.4)

    for crop in ("center", "none"):
        found = levels(clip_pixels(image, size, crop))  # type: ignore[arg-type]
        torch.testing.assert_close(found, torch.full((1, 3, size, size), 102.0), atol=1e-2, rtol=0)


@pytest.mark.parametrize("shape", [(1, 8, 8, 1), (8, 8, 3), (1, 0, 8, 3), (0, 8, 8, 3)])
def test_what_is_no_picture_in_colours_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ArchitectureError, match="in red, green and blue, not"):
        clip_pixels(torch.zeros(shape), 8, "center")
