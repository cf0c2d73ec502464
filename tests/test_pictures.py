"""What counts as a picture, and how it is laid out for whoever watches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nodegraph.outputs import Sent
from nodegraph.pictures import Picturable, as_picture, best_grid, showable


class Made:
    """Becomes a picture when asked; remembers how it was asked."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.asked: list[tuple[int, str]] = []

    def picture(self, longest: int, mode: str) -> Any:
        self.asked.append((longest, mode))
        return self.value


def plain(count: int, height: int, width: int, value: float = 0.5, channels: int = 3) -> Any:
    return torch.full((count, height, width, channels), value)


def shown(value: Any, longest: int = 64) -> Image.Image:
    picture = as_picture(value, longest, "auto")
    assert picture is not None
    return picture


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (torch.rand(1, 4, 4, 3), True),
        (torch.rand(2, 4, 4, 1), True),
        (torch.rand(1, 4, 4, 4).half(), True),
        (Image.new("RGB", (3, 3)), True),
        (Made(None), True),
        (torch.rand(1, 4, 16, 16), False),  # a latent as it is
        (torch.rand(4, 4, 3), False),
        (torch.rand(0, 4, 4, 3), False),
        (torch.zeros(1, 4, 4, 3, dtype=torch.uint8), False),
        (Sent(b""), False),
        ("picture", False),
        (None, False),
    ],
)
def test_pictures_are_image_tensors_pil_images_and_what_can_become_one(
    value: Any, expected: bool
) -> None:
    assert showable(value) is expected


def test_a_tensor_s_values_are_what_is_seen() -> None:
    image = (
        torch.tensor([0.0, 0.2, 1.0, 2.0, -1.0, float("nan")])
        .view(1, 1, 6, 1)
        .expand(-1, -1, -1, 3)
    )

    picture = shown(image, 6)

    assert np.asarray(picture)[0, :, 0].tolist() == [0, 51, 255, 255, 0, 0]
    assert picture.mode == "RGB"


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_one_channel_is_grey_and_four_have_alpha(channels: int, mode: str) -> None:
    assert shown(plain(1, 4, 4, channels=channels)).mode == mode


@pytest.mark.parametrize(
    ("size", "expected"),
    [((16, 16), (64, 64)), ((200, 100), (64, 32)), ((10, 40), (16, 64)), ((1000, 1), (64, 1))],
)
def test_the_longer_side_is_as_asked_and_the_aspect_stays(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert shown(Image.new("RGB", size)).size == expected
    assert shown(plain(1, size[1], size[0])).size == expected


def test_a_picture_of_the_right_size_is_left_alone() -> None:
    image = Image.new("RGB", (64, 32))

    assert shown(image) is image


def test_a_palette_is_resolved_before_it_is_scaled() -> None:
    image = Image.new("P", (2, 2))
    image.putpalette([10, 20, 30])

    assert shown(image).getpixel((5, 5)) == (10, 20, 30)


@pytest.mark.parametrize(
    ("count", "width", "height", "expected"),
    [
        (1, 8, 8, (1, 1)),
        (2, 8, 8, (2, 1)),
        (3, 8, 8, (2, 2)),
        (4, 8, 8, (2, 2)),
        (2, 24, 8, (1, 2)),
        (4, 8, 32, (4, 1)),
    ],
)
def test_a_batch_is_laid_out_so_that_each_picture_is_the_largest(
    count: int, width: int, height: int, expected: tuple[int, int]
) -> None:
    assert best_grid(count, width, height) == expected


def test_a_batch_is_read_like_text_and_no_picture_bleeds_into_another() -> None:
    batch = torch.cat([plain(1, 4, 4, value / 255) for value in (10, 90, 170, 250)])

    picture = np.asarray(shown(batch))[..., 0]

    assert picture.shape == (64, 64)
    quarters = [picture[:32, :32], picture[:32, 32:], picture[32:, :32], picture[32:, 32:]]
    assert [(int(q.min()), int(q.max())) for q in quarters] == [(v, v) for v in (10, 90, 170, 250)]


def test_of_a_large_batch_the_first_four_are_seen() -> None:
    batch = torch.cat([plain(4, 4, 4, 0.0), plain(96, 4, 4, 1.0)])

    picture = shown(batch)

    assert picture.size == (64, 64)
    assert not np.asarray(picture).any()


def test_what_becomes_a_picture_is_told_how_it_is_shown() -> None:
    made = Made(plain(1, 4, 4))

    picture = as_picture(made, 32, "latent2rgb")

    assert picture is not None
    assert picture.size == (32, 32)
    assert made.asked == [(32, "latent2rgb")]


def test_what_has_nothing_to_show_gives_no_picture() -> None:
    assert as_picture(Made(None), 32, "auto") is None


@pytest.mark.parametrize("value", [7, torch.rand(1, 4, 16, 16), Made(7)])
def test_what_is_no_picture_is_refused_by_what_it_is(value: Any) -> None:
    with pytest.raises(
        TypeError, match=r"an IMAGE tensor or a PIL image, not a (int|Tensor of sh)"
    ):
        as_picture(value, 32, "auto")


def test_the_protocol_is_one_method() -> None:
    assert isinstance(Made(1), Picturable)
    assert not isinstance(object(), Picturable)
