"""Resizing: torch's methods as torch does them, lanczos as Pillow does, bislerp by its geometry."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.nn import functional

from nodes.imaging.resize import Method, bislerp, resize, resize_images

METHODS: tuple[Method, ...] = get_args(Method)
sides = st.integers(1, 12)


def random(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def ramp(width: int) -> Tensor:
    """(1, 1, 1, width) of 0, 1, 2, ..."""
    return torch.arange(width, dtype=torch.float32)[None, None, None]


@pytest.mark.parametrize("mode", ["nearest-exact", "bilinear", "area", "bicubic"])
@pytest.mark.parametrize("size", [(5, 11), (16, 4), (3, 3)])
def test_torch_methods_are_torch_interpolation_without_smoothing(
    mode: Method, size: tuple[int, int]
) -> None:
    samples = random(2, 4, 8, 6)

    resized = resize(samples, size[1], size[0], mode)

    assert torch.equal(resized, functional.interpolate(samples, size, mode=mode))


@pytest.mark.parametrize(
    ("method", "values"),
    [
        ("nearest-exact", [1, 4]),
        ("bilinear", [1, 4]),
        ("area", [1, 4]),
        ("bicubic", [1, 4]),
        ("bislerp", [1, 4]),
    ],
)
def test_a_third_of_the_width_takes_the_value_at_the_middle_of_three_cells(
    method: Method, values: list[float]
) -> None:
    assert resize(ramp(6), 2, 1, method)[0, 0, 0].tolist() == pytest.approx(values)


@pytest.mark.parametrize(
    ("method", "values"),
    [
        ("nearest-exact", [0, 0, 4, 4]),
        ("bilinear", [0, 1, 3, 4]),
        ("area", [0, 0, 4, 4]),
        ("bislerp", [0, 1, 3, 4]),
    ],
)
def test_twice_the_width_of_a_step(method: Method, values: list[float]) -> None:
    step = torch.tensor([[[[0.0, 4.0]]]])

    assert resize(step, 4, 1, method)[0, 0, 0].tolist() == pytest.approx(values)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
@pytest.mark.parametrize("size", [(5, 11), (16, 4)])
def test_lanczos_is_pillow_on_floored_bytes(
    channels: int, mode: str, size: tuple[int, int]
) -> None:
    samples = random(2, channels, 8, 6)

    resized = resize(samples, *size, "lanczos")

    for picture, result in zip(samples, resized, strict=True):
        values = (picture * 255).floor().to(torch.uint8).movedim(0, -1).numpy()
        image = Image.fromarray(values if channels > 1 else values[..., 0])
        assert image.mode == mode
        expected = np.array(image.resize(size, Image.Resampling.LANCZOS), dtype=np.float32) / 255
        assert torch.equal(result.movedim(0, -1).squeeze(-1), torch.from_numpy(expected))


def test_lanczos_takes_any_number_of_channels_as_separate_greys() -> None:
    samples = random(1, 5, 8, 8)

    together = resize(samples, 5, 5, "lanczos")

    apart = [resize(samples[:, i : i + 1], 5, 5, "lanczos") for i in range(5)]
    assert torch.equal(together, torch.cat(apart, dim=1))


# --- bislerp ------------------------------------------------------------------------------------


def test_halfway_between_orthogonal_unit_vectors_is_a_unit_vector_at_45_degrees() -> None:
    samples = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).reshape(1, 2, 1, 2)

    middle = bislerp(samples, 1, 1)[0, :, 0, 0]

    assert middle.tolist() == pytest.approx([math.sqrt(0.5), math.sqrt(0.5)])


def test_a_quarter_of_the_way_is_a_quarter_of_the_angle_and_of_the_length() -> None:
    angle = math.radians(120)
    ends = torch.tensor([[2.0, 0.0], [6 * math.cos(angle), 6 * math.sin(angle)]])

    quarter = bislerp(ends.T.reshape(1, 2, 1, 2), 4, 1)[0, :, 0, 1]

    length = 0.75 * 2 + 0.25 * 6
    expected = [length * math.cos(angle / 4), length * math.sin(angle / 4)]
    assert quarter.tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("size", [(3, 5), (13, 9)])
def test_vectors_of_one_direction_are_interpolated_like_their_lengths(
    size: tuple[int, int],
) -> None:
    lengths = random(1, 1, 6, 7) + 0.5
    direction = functional.normalize(torch.tensor([3.0, -1.0, 2.0, 0.5]), dim=0)

    resized = bislerp(lengths * direction[:, None, None], *size)

    expected = functional.interpolate(lengths, size[::-1], mode="bilinear")
    assert torch.allclose(resized, expected * direction[:, None, None], atol=1e-5)


@given(sides, sides, st.integers(1, 30), st.integers(1, 30), st.integers(2, 5))
@settings(max_examples=50, deadline=None)
def test_unit_vectors_stay_unit_vectors(H: int, W: int, height: int, width: int, C: int) -> None:
    generator = torch.Generator().manual_seed(H * 100 + W)
    # in the positive cone, so that no two are opposite
    units = functional.normalize(torch.rand(1, C, H, W, generator=generator) + 0.01, dim=1)

    lengths = bislerp(units, width, height).norm(dim=1)

    assert torch.allclose(lengths, torch.ones_like(lengths), atol=1e-5)


def test_slightly_different_directions_keep_their_length_too() -> None:
    for angle in (1e-1, 1e-2, 4.6e-3, 4e-3, 1e-3, 1e-5):
        ends = torch.tensor([[1.0, math.cos(angle)], [0.0, math.sin(angle)]])

        middle = bislerp(ends.reshape(1, 2, 1, 2), 1, 1)[0, :, 0, 0]

        expected = [math.cos(angle / 2), math.sin(angle / 2)]
        assert middle.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_opposite_and_zero_vectors_are_joined_by_a_straight_line() -> None:
    opposite = torch.tensor([[1.0, -3.0], [0.0, 0.0]]).reshape(1, 2, 1, 2)
    from_zero = torch.tensor([[0.0, 3.0], [0.0, 4.0]]).reshape(1, 2, 1, 2)

    assert bislerp(opposite, 1, 1)[0, :, 0, 0].tolist() == [-1, 0]
    assert bislerp(from_zero, 1, 1)[0, :, 0, 0].tolist() == pytest.approx([1.5, 2])
    assert torch.equal(bislerp(torch.zeros(1, 4, 3, 3), 7, 5), torch.zeros(1, 4, 5, 7))


def test_the_width_is_interpolated_before_the_height() -> None:
    corners = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])

    middle = bislerp(corners.T.reshape(1, 3, 2, 2), 1, 1)[0, :, 0, 0]

    # (1, 1, 0) / sqrt 2 of the upper row, then halfway to (0, 0, 1) of the lower
    assert middle.tolist() == pytest.approx([0.5, 0.5, math.sqrt(0.5)])


def test_half_precision_latents_stay_in_half_precision() -> None:
    samples = random(1, 4, 8, 8) - 0.5

    resized = bislerp(samples.half(), 12, 12)

    assert resized.dtype == torch.float16
    assert torch.allclose(resized.float(), bislerp(samples, 12, 12), atol=3e-3)


# --- sizes and crop -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "height", "shape"),
    [
        (0, 0, (30, 20)),
        (0, 15, (15, 10)),
        (10, 0, (15, 10)),
        (0, 1, (1, 1)),
        (7, 0, (10, 7)),
        (0, 7, (7, 5)),
        (9, 0, (14, 9)),
    ],
)
def test_a_size_of_zero_follows_from_the_aspect(
    width: int, height: int, shape: tuple[int, int]
) -> None:
    assert resize(random(1, 1, 30, 20), width, height, "bilinear").shape[-2:] == shape


def test_both_sizes_zero_change_nothing() -> None:
    samples = random(1, 3, 4, 5)

    assert torch.equal(resize(samples, 0, 0, "lanczos", "center"), samples)


def test_a_centre_crop_trims_the_longer_side_equally_at_both_ends() -> None:
    wide = ramp(10).expand(1, 1, 4, 10)

    cropped = resize(wide, 4, 4, "nearest-exact", "center")

    assert cropped[0, 0, 0].tolist() == [3, 4, 5, 6]
    assert resize(wide.mT, 4, 4, "nearest-exact", "center")[0, 0, :, 0].tolist() == [3, 4, 5, 6]


def test_an_uneven_crop_is_rounded_to_whole_cells() -> None:
    # 7 to 4 leaves 3: 1.5 at each end, rounded to the even 2, so 3 cells are stretched to 4
    cropped = resize(ramp(7).expand(1, 1, 4, 7), 4, 4, "nearest-exact", "center")

    assert cropped[0, 0, 0].tolist() == [2, 3, 3, 4]


def test_without_a_crop_the_picture_is_stretched() -> None:
    assert resize(ramp(8), 4, 1, "nearest-exact")[0, 0, 0].tolist() == [1, 3, 5, 7]


@given(
    sides,
    sides,
    st.integers(0, 40),
    st.integers(0, 40),
    st.sampled_from(METHODS),
    st.sampled_from(["disabled", "center"]),
)
@settings(max_examples=100, deadline=None)
def test_any_size_to_any_size_keeps_a_constant_picture_constant(
    H: int, W: int, height: int, width: int, method: Method, crop: str
) -> None:
    colour = torch.tensor([51, 102, 204]).div(255)[:, None, None]

    resized = resize(colour.expand(2, 3, H, W), width, height, method, crop)  # type: ignore[arg-type]

    assert width in (0, resized.shape[-1])
    assert height in (0, resized.shape[-2])
    assert torch.allclose(resized, colour.expand_as(resized), atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_an_empty_batch_stays_empty(method: Method) -> None:
    assert resize(torch.zeros(0, 3, 4, 4), 6, 5, method).shape == (0, 3, 5, 6)


def test_images_are_resized_like_samples_with_the_channels_last() -> None:
    images = random(2, 6, 4, 3)

    resized = resize_images(images, 8, 0, "bicubic")

    expected = functional.interpolate(images.permute(0, 3, 1, 2), (12, 8), mode="bicubic")
    assert torch.equal(resized, expected.permute(0, 2, 3, 1))
    assert resized.is_contiguous()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((8, 8, "cubic"), "nearest-exact, bilinear, area, .* not by 'cubic'"),
        ((8, 8, "area", "left"), "crop is disabled or center, not 'left'"),
        ((-1, 8, "area"), "at least 0, not -1 x 8"),
    ],
)
def test_a_wrong_argument_is_named(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resize(torch.zeros(1, 3, 4, 4), *arguments)  # type: ignore[arg-type]


def test_what_is_no_batch_of_pictures_is_refused() -> None:
    with pytest.raises(ValueError, match=r"is \(B, C, H, W\), not \(3, 4, 4\)"):
        resize(torch.zeros(3, 4, 4), 8, 8, "area")
