"""Pictures, depth and segmentation maps on their way into a patch encoder."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nodes.models.encoders import (
    PatchConfig,
    SegmentationConfig,
    as_depth,
    as_picture,
    one_hot_map,
)
from nodes.models.errors import ArchitectureError

CONFIG = PatchConfig(width=8, size=(8, 12), patch=4, inner=8, layers=1, heads=2, mlp=8)
RED, GREEN, BLUE = (255, 0, 0), (0, 200, 0), (10, 20, 255)
SEGMENTS = SegmentationConfig(
    width=8,
    size=(8, 12),
    patch=4,
    inner=8,
    layers=1,
    heads=2,
    mlp=8,
    classes=3,
    palette=(RED, GREEN, BLUE),
)


def painted(labels: Tensor) -> Tensor:
    """A map in the palette's colours."""
    return torch.tensor(SEGMENTS.palette)[labels] / 255


# -- pictures and depth ----------------------------------------------------------------------------


def test_a_picture_of_the_trained_size_is_only_scaled() -> None:
    image = torch.rand(2, 8, 12, 4)

    found = as_picture(image, CONFIG)

    assert torch.equal(found, image[..., :3].movedim(-1, 1) * 2 - 1)


@pytest.mark.parametrize(
    ("resolution", "sides", "expected"),
    [
        ("trained", (30, 7), (8, 12)),
        ("given", (30, 7), (32, 8)),
        ("given", (1, 13), (4, 12)),
        ("given", (16, 20), (16, 20)),
    ],
)
def test_pictures_are_made_to_fit_whole_patches(
    resolution: str, sides: tuple[int, int], expected: tuple[int, int]
) -> None:
    found = as_picture(torch.full((1, *sides, 3), 0.75), CONFIG, resolution)  # type: ignore[arg-type]

    assert found.shape == (1, 3, *expected)
    torch.testing.assert_close(found, torch.full_like(found, 0.5))


def test_shrinking_averages() -> None:
    stripes = (torch.arange(12 * 4) % 4 == 0).float()  # one column of each four
    image = stripes[None, None, :, None].expand(1, 32, 48, 3)

    found = (as_picture(image, CONFIG) + 1) / 2

    torch.testing.assert_close(found[..., 1:-1].mean(), torch.tensor(0.25), atol=0.02, rtol=0)


def test_depth_is_stretched_picture_by_picture() -> None:
    near = torch.linspace(0.2, 0.4, 96).view(1, 8, 12)
    maps = torch.cat([near, near * 2])

    found = as_depth(maps, CONFIG)

    expected = torch.linspace(-1, 1, 96).view(1, 1, 8, 12).expand(2, 1, 8, 12)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(as_depth(maps, CONFIG, normalise=False), maps[:, None] * 2 - 1)


def test_a_flat_depth_map_is_far_away_everywhere() -> None:
    assert torch.equal(as_depth(torch.full((1, 8, 12), 0.3), CONFIG), -torch.ones(1, 1, 8, 12))


def test_a_grey_picture_is_the_same_depth_as_a_mask() -> None:
    mask = torch.rand(2, 8, 12)
    image = mask[..., None].expand(2, 8, 12, 3)

    torch.testing.assert_close(as_depth(image, CONFIG), as_depth(mask, CONFIG))


@given(scale=st.floats(0.1, 1), shift=st.floats(0, 0.5), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_stretched_depth_does_not_depend_on_its_scale(
    scale: float, shift: float, seed: int
) -> None:
    depth = torch.rand(1, 8, 12, generator=torch.Generator().manual_seed(seed))

    found = as_depth(depth * scale * 0.5 + shift, CONFIG)

    torch.testing.assert_close(found, as_depth(depth, CONFIG), atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", [(8, 12), (1, 8, 12, 2), (0, 8, 12, 3), (1, 1, 8, 12, 3)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected a picture"):
        as_picture(torch.zeros(shape), CONFIG)


def test_what_is_no_depth_map_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a depth map .* got \(8, 12\)"):
        as_depth(torch.zeros(8, 12), CONFIG)


# -- segmentation ----------------------------------------------------------------------------------


def test_colours_and_numbers_give_the_one_hot_map() -> None:
    labels = torch.randint(3, (2, 8, 12))

    by_colour, by_number = (one_hot_map(m, SEGMENTS) for m in (painted(labels), labels / 255))

    assert by_colour.shape == (2, 3, 8, 12)
    assert torch.equal(by_colour, by_number)
    assert torch.equal(by_colour.argmax(dim=1), labels)
    assert torch.equal(by_colour.sum(dim=1), torch.ones(2, 8, 12))


@given(seed=st.integers(0, 999), height=st.integers(1, 20), width=st.integers(1, 20))
@settings(max_examples=30, deadline=None)
def test_a_resized_map_is_one_hot_and_has_no_class_it_had_not(
    seed: int, height: int, width: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (1, height, width), generator=generator)

    for resolution in ("trained", "given"):
        found = one_hot_map(painted(labels), SEGMENTS, resolution)
        assert torch.equal(found.sum(dim=1), torch.ones_like(found[:, 0]))
        assert set(found.argmax(dim=1).unique().tolist()) <= set(labels.unique().tolist())


def test_a_smaller_map_takes_the_pixels_in_the_middle() -> None:
    labels = torch.randint(3, (1, 24, 36))

    found = one_hot_map(painted(labels), SEGMENTS)

    assert torch.equal(found, one_hot_map(painted(labels[:, 1::3, 1::3]), SEGMENTS))


def test_unknown_colours_are_listed() -> None:
    image = painted(torch.zeros(1, 8, 12, dtype=torch.long))
    image[0, 0, 0] = torch.tensor([254, 0, 1]) / 255
    image[0, 5, 5] = torch.tensor([0, 0, 0]) / 255

    with pytest.raises(ValueError, match=r"#000000, #fe0001, which are not .*: #ff0000, #00c800"):
        one_hot_map(image, SEGMENTS)


def test_many_unknown_colours_are_counted() -> None:
    image = torch.rand(1, 8, 12, 3, generator=torch.Generator().manual_seed(1))

    with pytest.raises(ValueError, match=r"and 88 more, which are not in the palette"):
        one_hot_map(image, SEGMENTS)


def test_unknown_colours_are_the_nearest_where_that_is_asked() -> None:
    image = torch.rand(1, 8, 12, 3)

    found = one_hot_map(image, SEGMENTS, unknown="nearest").argmax(dim=1)

    away = (image * 255).round()[..., None, :] - torch.tensor(SEGMENTS.palette)
    assert torch.equal(found, away.square().sum(dim=-1).argmin(dim=-1))


def test_class_numbers_beyond_the_last_are_listed() -> None:
    mask = torch.tensor([0.0, 3, 7, 2]).view(1, 1, 4) / 255

    with pytest.raises(ValueError, match="class numbers 3, 7, but there are classes 0 to 2"):
        one_hot_map(mask, SEGMENTS)


def test_every_number_of_an_8_bit_picture_is_itself() -> None:
    config = SegmentationConfig(width=8, size=(16, 16), patch=8, classes=256)
    numbers = torch.arange(256).view(1, 16, 16)

    for error in (0, 1e-5, -1e-5):  # what arithmetic leaves
        found = one_hot_map(numbers / 255 + error, config)
        assert torch.equal(found.argmax(dim=1), numbers)


def test_colours_need_a_palette() -> None:
    plain = SegmentationConfig(width=8, classes=2)

    with pytest.raises(ValueError, match="has no palette: give class numbers as a mask"):
        one_hot_map(torch.zeros(1, 8, 8, 3), plain)


def test_what_is_no_map_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a picture .* or a mask .* got \(1, 8, 8, 1\)"):
        one_hot_map(torch.zeros(1, 8, 8, 1), SEGMENTS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"palette": (RED,)}, "palette: expected 2, one for each class, got 1"),
        ({"names": ("a", "b", "c")}, "names: expected 2"),
        ({"palette": (RED, RED)}, "two classes have the same colour"),
        ({"palette": (RED, (0, 0, 256))}, "palette: expected 0 to 255, got 256"),
        ({"patch": 5}, "no multiple of a patch"),
    ],
)
def test_a_palette_that_does_not_fit_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        SegmentationConfig(width=8, classes=2, **options)  # type: ignore[arg-type]
