"""Blur and sharpening against their sums, morphology against scipy, edges of known shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kornia
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from nodes.imaging.filters import blur, canny, morphology, sharpen

OPERATIONS = ("erode", "dilate", "open", "close", "gradient", "top_hat", "bottom_hat")


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def gaussian(radius: int, sigma: float) -> Tensor:
    """exp(-(x^2 + y^2) / 2 sigma^2), x and y from -1 to 1, divided by its sum."""
    x = torch.linspace(-1, 1, 2 * radius + 1, dtype=torch.float64)
    kernel = torch.exp(-(x[:, None] ** 2 + x**2) / (2 * sigma**2))
    return kernel / kernel.sum()


def convolved(image: Tensor, kernel: Tensor) -> Tensor:
    """The picture's channels convolved by numpy and scipy, mirrored beyond the border."""
    result = ndimage.convolve(
        image.double().numpy(), kernel.numpy()[None, :, :, None], mode="mirror"
    )
    return torch.from_numpy(result).float()


# -- blur and sharpening ---------------------------------------------------------------------------


@pytest.mark.parametrize(("radius", "sigma"), [(1, 1.0), (3, 0.5), (5, 10.0), (4, 0.1), (31, 0.3)])
def test_a_blur_is_the_convolution_with_a_gaussian_measured_in_radii(
    radius: int, sigma: float
) -> None:
    image = random(2, 40, 33, 4)

    blurred = blur(image, radius, sigma)

    torch.testing.assert_close(
        blurred, convolved(image, gaussian(radius, sigma)), atol=1e-6, rtol=0
    )
    assert blurred.is_contiguous()


def test_sharpening_is_the_convolution_with_its_one_kernel() -> None:
    image, radius, alpha = random(1, 20, 24, 3), 2, 0.1
    kernel = gaussian(radius, 0.7) * -10 * alpha
    kernel[radius, radius] += 1 - kernel.sum()

    sharp = sharpen(image, radius, 0.7, alpha)

    torch.testing.assert_close(sharp, convolved(image, kernel).clamp(0, 1), atol=1e-5, rtol=0)
    assert float((sharp - image).abs().mean()) > 0.05


def test_an_alpha_of_zero_leaves_the_picture() -> None:
    image = random(1, 6, 6, 3)

    torch.testing.assert_close(sharpen(image, 3, 1.0, 0.0), image)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 31))
@settings(max_examples=30, deadline=None)
def test_a_picture_smaller_than_the_radius_is_mirrored_again_and_again(
    height: int, width: int, radius: int
) -> None:
    image = random(1, height, width, 1, seed=radius)

    blurred = blur(image, radius, 0.6)

    padded = np.pad(image[0, :, :, 0].double().numpy(), radius, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * radius + 1,) * 2)
    expected = np.einsum("ijkl,kl->ij", windows, gaussian(radius, 0.6).numpy())
    np.testing.assert_allclose(blurred[0, :, :, 0].numpy(), expected, atol=1e-6)


# -- morphology ------------------------------------------------------------------------------------


def by_scipy(image: Tensor, operation: str, size: int) -> Tensor:
    """The definitions on scipy's filters of maxima and minima; beyond the border is nothing."""
    # scipy reaches size // 2 back where a dilation reaches that far ahead: of an even size the
    # cell too many lies on the other side
    ahead = -1 if size % 2 == 0 else 0

    def dilate(x: Any) -> Any:
        return ndimage.maximum_filter(
            x, (1, size, size, 1), mode="constant", cval=-9, origin=(0, ahead, ahead, 0)
        )

    def erode(x: Any) -> Any:
        return ndimage.minimum_filter(x, (1, size, size, 1), mode="constant", cval=9)

    functions: dict[str, Callable[[Any], Any]] = {
        "erode": erode,
        "dilate": dilate,
        "open": lambda x: dilate(erode(x)),
        "close": lambda x: erode(dilate(x)),
        "gradient": lambda x: dilate(x) - erode(x),
        "top_hat": lambda x: x - dilate(erode(x)),
        "bottom_hat": lambda x: erode(dilate(x)) - x,
    }
    return torch.from_numpy(functions[operation](image.numpy()))


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("size", [3, 7, 25])
def test_morphology_is_made_of_maxima_and_minima_under_a_square(operation: str, size: int) -> None:
    image = random(2, 14, 17, 3)

    assert torch.equal(morphology(image, operation, size), by_scipy(image, operation, size))


@pytest.mark.parametrize(
    ("operation", "theirs"),
    [
        ("erode", kornia.morphology.erosion),
        ("dilate", kornia.morphology.dilation),
        ("open", kornia.morphology.opening),
        ("close", kornia.morphology.closing),
        ("gradient", kornia.morphology.gradient),
        ("top_hat", kornia.morphology.top_hat),
        ("bottom_hat", kornia.morphology.bottom_hat),
    ],
)
@pytest.mark.parametrize("size", [3, 4, 9])
def test_a_row_after_a_column_is_kornia_s_square(operation: str, theirs: Any, size: int) -> None:
    image = random(1, 12, 15, 4)

    expected = theirs(image.movedim(-1, 1), torch.ones(size, size)).movedim(1, -1)

    assert torch.equal(morphology(image, operation, size), expected)


def test_the_largest_square_sees_the_whole_picture() -> None:
    image = random(1, 20, 30, 3)

    grown = morphology(image, "dilate", 999)

    assert torch.equal(grown, image.amax(dim=(1, 2), keepdim=True).expand_as(grown))


def test_an_unknown_operation_is_named() -> None:
    with pytest.raises(ValueError, match="no operation 'melt'"):
        morphology(torch.zeros(1, 3, 3, 3), "melt", 3)


# -- edges -----------------------------------------------------------------------------------------


def square(level: float = 1.0) -> Tensor:
    image = torch.zeros(1, 32, 32, 3)
    image[:, 8:24, 8:24] = level
    return image


def test_the_edge_of_a_square_is_a_line_around_it_and_nothing_else() -> None:
    lines = canny(square(), 0.4, 0.8)[0]

    assert lines.shape == (32, 32, 3)
    assert set(lines.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(lines[..., 0], lines[..., 2])
    assert not lines[10:22, 10:22].any()
    assert not lines[:6].any()
    assert lines[12:20, 6:10, 0].sum(dim=1).tolist() == [1] * 8  # one pixel wide


def test_an_edge_begins_above_the_higher_threshold_alone() -> None:
    weak = square(0.2)  # its gradient is about 0.2 * 2.6

    assert canny(weak, 0.4, 0.5).any()
    assert not canny(weak, 0.4, 0.8).any()


def test_a_weak_edge_goes_on_from_a_strong_one() -> None:
    image = torch.zeros(1, 40, 16, 3)  # a step that rises from 0.2 to 1 from top to bottom
    image[:, :, 8:] = torch.linspace(0.2, 1, 40)[:, None, None]

    strong, both = canny(image, 0.9, 0.9)[0, ..., 0], canny(image, 0.4, 0.9)[0, ..., 0]

    assert not strong[2:6].any()
    assert both[2:38].sum(dim=1).eq(1).all()


@pytest.mark.parametrize("channels", [1, 4])
def test_greys_have_edges_and_alpha_has_none(channels: int) -> None:
    image = square()[..., :1].repeat(1, 1, 1, channels)
    if channels == 4:
        image[..., 3] = random(1, 32, 32)

    assert torch.equal(canny(image, 0.4, 0.8), canny(square(), 0.4, 0.8))
