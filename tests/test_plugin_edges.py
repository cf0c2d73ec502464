"""Edges: of pictures whose edges are known, and what holds for all pictures."""

from __future__ import annotations

import pytest
import torch
from example_plugins import function, module, registered
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

lines = module("edges", "lines")
edges = module("edges", "edges")
NODES = ("EdgesCanny", "EdgesSobel", "EdgesSoft", "EdgesScribble")


def square(side: int = 32, begin: int = 8, end: int = 24) -> Tensor:
    """A white square on black, (1, side, side, 3)."""
    image = torch.zeros(1, side, side, 3)
    image[:, begin:end, begin:end] = 1
    return image


def far_from_border(distance: int) -> Tensor:
    """Places of `square` more than so many pixels from its border, (32, 32)."""
    place = torch.arange(32)
    nearest = torch.minimum((place - 7.5).abs(), (place - 23.5).abs())
    inside = (place >= 8) & (place < 24)
    y, x = nearest[:, None], nearest[None, :]
    within = inside[:, None] & inside[None, :]
    outside_y = torch.where(inside, torch.zeros(32), nearest)
    gap = torch.maximum(outside_y[:, None], outside_y[None, :])
    return torch.where(within, torch.minimum(y, x), gap) > distance


@pytest.mark.parametrize("name", NODES)
@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_a_constant_picture_has_no_edges(name: str, value: float) -> None:
    made = function("edges", name)(torch.full((2, 20, 30, 3), value))

    assert made.shape == (2, 20, 30, 3)
    assert float(made.max()) < 1e-5


@pytest.mark.parametrize("name", NODES)
@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_inverted_it_is_white(name: str, value: float) -> None:
    made = function("edges", name)(torch.full((1, 8, 8, 3), value), invert=True)

    assert float(made.min()) > 1 - 1e-5


def test_canny_draws_a_square_s_border_one_pixel_wide_and_closed() -> None:
    made = edges.edges_canny(square(), blur=0.0)[0, ..., 0]

    assert set(made.unique().tolist()) == {0.0, 1.0}
    assert not made[far_from_border(1)].any()
    # each row and column through the middle of the square meets two lines of one pixel
    assert (made[10:22].sum(dim=1) == 2).all()
    assert (made[:, 10:22].sum(dim=0) == 2).all()


def test_canny_s_thresholds_are_slopes_of_which_a_full_step_has_four() -> None:
    step = torch.zeros(1, 9, 8, 3)
    step[:, :, 4:] = 0.5

    assert lines.canny(step, 1.0, 1.9, 0.0).any()
    assert not lines.canny(step, 1.0, 2.1, 0.0).any()


def test_weak_lines_stay_only_where_a_strong_one_goes_on() -> None:
    image = torch.zeros(1, 24, 32, 3)
    image[:, :12, 8:] = 1.0  # strong above
    image[:, 12:, 8:] = 0.3  # weak below, going on from it
    alone = torch.zeros(1, 24, 32, 3)
    alone[:, :, 8:] = 0.3

    together = lines.canny(image, 0.5, 3.0, 0.0)[0]

    assert (together[:, 6:10].sum(dim=1) >= 1).all()
    assert not lines.canny(alone, 0.5, 3.0, 0.0).any()


def test_sobel_is_one_beside_a_full_step_and_nothing_elsewhere() -> None:
    step = torch.zeros(1, 6, 10, 3)
    step[:, :, 5:] = 1.0

    made = edges.edges_sobel(step)[0, :, :, 0]

    expected = torch.zeros(6, 10)
    expected[:, 4:6] = 1.0
    torch.testing.assert_close(made, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(
        edges.edges_sobel(step * 0.3)[0, :, :, 0], 0.3 * expected, atol=1e-4, rtol=0
    )


def test_soft_edges_are_as_high_as_the_step_and_fade_as_a_gaussian() -> None:
    step = torch.zeros(1, 5, 64, 3)
    step[:, :, 32:] = 0.6

    made = lines.soft(step, scales=(4.0,))[0, 2]

    distance = torch.arange(64) - 31.5
    expected = 0.6 * torch.exp(-(distance**2) / (2 * 4.0**2))
    torch.testing.assert_close(made[8:56], expected[8:56], atol=0.03, rtol=0)


def test_soft_edges_are_the_mean_of_their_scales() -> None:
    image = square()

    each = [lines.soft(image, scales=(scale,)) for scale in lines.SCALES]

    torch.testing.assert_close(lines.soft(image), torch.stack(each).mean(dim=0))


def test_strength_makes_faint_edges_brighter_before_the_threshold() -> None:
    image = square() * 0.2

    for find in (edges.edges_sobel, edges.edges_soft):
        assert not find(image, threshold=0.5).any()
        torch.testing.assert_close(find(image, strength=2.0), 2 * find(image))
        assert find(image, strength=4.0, threshold=0.5).any()
        assert float(find(image, strength=20.0).max()) == 1.0


@pytest.mark.parametrize("thickness", [1, 3, 5, 8])
def test_a_scribble_is_as_thick_as_the_pen(thickness: int) -> None:
    step = torch.zeros(1, 32, 48, 3)
    step[:, :, 24:] = 1.0

    made = edges.edges_scribble(step, thickness=thickness)[0, :, :, 0]

    assert (made.sum(dim=1) == thickness).all()
    assert set(made.unique().tolist()) == {0.0, 1.0}


def test_a_scribble_leaves_fine_detail_out() -> None:
    stripes = torch.zeros(1, 32, 36, 3)
    stripes[:, :, torch.arange(36) % 6 < 3] = 1.0

    assert not edges.edges_scribble(stripes)[:, 8:24, 12:24].any()
    assert edges.edges_scribble(stripes, blur=0.0)[:, 8:24, 12:24].any()
    assert edges.edges_scribble(square(), blur=2.0).any()


def test_what_is_fainter_than_the_threshold_is_left_out() -> None:
    image = square() * 0.5

    for find in (edges.edges_sobel, edges.edges_soft):
        plain, cut = find(image), find(image, threshold=0.3)
        assert torch.equal(cut, torch.where(plain >= 0.3, plain, 0.0))
        assert 0 < int((cut > 0).sum()) < int((plain > 0).sum())


def test_thresholds_in_the_wrong_order_are_refused() -> None:
    check = registered("edges").nodes["EdgesCanny"].check

    assert check is not None
    assert check(low=0.5, high=0.2) == "low (0.5) is above high (0.2): exchange them"
    assert check(low=0.2, high=0.2) is None
    assert check(low=None, high=0.2) is None


PICTURES = st.builds(
    lambda seed, batch, height, width, channels: torch.rand(
        batch, height, width, channels, generator=torch.Generator().manual_seed(seed)
    ),
    st.integers(0, 1000),
    st.integers(1, 2),
    st.integers(1, 20),
    st.integers(1, 20),
    st.sampled_from([3, 4]),
)


@pytest.mark.parametrize("name", NODES)
@given(image=PICTURES)
@settings(max_examples=15, deadline=None)
def test_any_picture_keeps_its_size_and_range_and_is_not_changed(name: str, image: Tensor) -> None:
    before = image.clone()
    find = function("edges", name)

    made, inverted = find(image), find(image, invert=True)

    assert made.shape == (*image.shape[:3], 3)
    assert made.dtype == torch.float32
    assert bool(((made >= 0) & (made <= 1)).all())
    assert torch.equal(image, before)
    torch.testing.assert_close(inverted, 1 - made)


@pytest.mark.parametrize("name", ["EdgesSobel", "EdgesSoft"])
@given(image=PICTURES)
@settings(max_examples=15, deadline=None)
def test_a_mirrored_or_turned_picture_has_mirrored_or_turned_edges(
    name: str, image: Tensor
) -> None:
    find = function("edges", name)

    torch.testing.assert_close(find(image.flip(2)), find(image).flip(2), atol=1e-4, rtol=0)
    turned = find(image.transpose(1, 2))
    torch.testing.assert_close(turned, find(image).transpose(1, 2), atol=1e-4, rtol=0)


@given(seed=st.integers(0, 100))
@settings(max_examples=10, deadline=None)
def test_every_picture_of_a_batch_is_as_it_is_alone(seed: int) -> None:
    batch = torch.rand(3, 12, 12, 3, generator=torch.Generator().manual_seed(seed))

    for name in NODES:
        find = function("edges", name)
        alone = torch.cat([find(one[None]) for one in batch])
        torch.testing.assert_close(find(batch), alone, atol=1e-5, rtol=0)


def test_canny_s_lines_are_as_steep_as_scipy_finds_them() -> None:
    image = torch.rand(1, 32, 32, 3, generator=torch.Generator().manual_seed(4))

    found = lines.canny(image, 0.3, 0.6, 1.0)[0].bool()

    smooth = lines.blurred(lines.grey(image), 1.0)[0, 0].double().numpy()
    across, down = (ndimage.sobel(smooth, axis=axis, mode="nearest") for axis in (0, 1))
    slope = torch.from_numpy((across**2 + down**2) ** 0.5)
    assert 20 < int(found.sum()) < 400
    assert float(slope[found].min()) >= 0.3 - 1e-4
    assert float(slope[found].max()) > 0.6


def test_the_blur_is_scipy_s_gaussian() -> None:
    image = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(5))

    made = lines.blurred(image, 2.0)[0, 0]

    expected = ndimage.gaussian_filter(image[0, 0].numpy(), 2.0, mode="nearest", truncate=3.0)
    torch.testing.assert_close(made, torch.from_numpy(expected), atol=1e-5, rtol=0)
