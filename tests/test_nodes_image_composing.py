"""Nodes that make canvases, lay pictures on one another, and handle alpha and batches."""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import interpolate

import nodes
from nodegraph import Engine, Settings
from nodes.image_composing import (
    PorterDuffMode,
    empty_image,
    image_composite_masked,
    image_crop,
    image_from_batch,
    image_pad_for_outpaint,
    image_scale_to_total_pixels,
    join_image_with_alpha,
    porter_duff_image_composite,
    rebatch_images,
    repeat_image_batch,
    split_image_with_alpha,
)
from nodes.imaging.blending import BLENDS, SHARES
from nodes.imaging.resize import resize_images
from nodes.types import Image, Mask


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def picture(*shape: int, seed: int = 0) -> Image:
    return Image(random(*shape, seed=seed))


# -- canvases --------------------------------------------------------------------------------------


def test_an_empty_image_has_one_colour() -> None:
    image = empty_image(5, 4, 2, 0xFF8000)

    assert image.shape == (2, 4, 5, 3)
    assert image.reshape(-1, 3).unique(dim=0).tolist() == [[1, pytest.approx(128 / 255), 0]]


@pytest.mark.parametrize(("width", "height"), [(64, 64), (100, 50), (3, 7)])
@pytest.mark.parametrize("megapixels", [0.01, 0.25])
def test_a_picture_gets_the_wanted_number_of_pixels_with_its_aspect(
    width: int, height: int, megapixels: float
) -> None:
    image = picture(1, height, width, 3)

    scaled = image_scale_to_total_pixels(image, "bilinear", megapixels)

    factor = math.sqrt(int(megapixels * 2**20) / (width * height))
    wide, high = round(width * factor), round(height * factor)
    assert torch.equal(scaled, resize_images(image, wide, high, "bilinear"))
    assert abs(wide * high - megapixels * 2**20) < wide + high


def test_a_line_of_pixels_keeps_at_least_one_row() -> None:
    assert image_scale_to_total_pixels(picture(1, 1, 9999, 3), "area", 0.01).shape[1] == 1


def test_a_canvas_for_outpainting_comes_with_its_mask() -> None:
    image = picture(2, 24, 24, 3)

    padded, mask = image_pad_for_outpaint(image, 8, 0, 0, 16, 4)

    assert padded.shape == (2, 40, 32, 3)
    assert mask.shape == (1, 40, 32)
    assert torch.equal(padded[:, :24, 8:], image)
    assert mask[0, 10, 8:13].tolist() == [1, 9 / 16, 1 / 4, 1 / 16, 0]


# -- one picture on another ------------------------------------------------------------------------


def test_a_picture_lies_where_it_is_put_and_what_overhangs_is_cut() -> None:
    below, above = picture(1, 6, 8, 3), picture(1, 4, 4, 3, seed=1)

    result = image_composite_masked(below, above, 5, 3)

    assert torch.equal(result[:, 3:, 5:], above[:, :3, :3])
    untouched = torch.ones(6, 8, dtype=torch.bool)
    untouched[3:, 5:] = False
    assert torch.equal(result[:, untouched], below[:, untouched])


def test_a_picture_beyond_the_other_changes_nothing() -> None:
    below = picture(1, 6, 8, 3)

    for x, y in ((8, 0), (0, 6), (5000, 5000)):
        assert torch.equal(image_composite_masked(below, picture(1, 4, 4, 3), x, y), below)


def test_a_mask_of_another_size_is_stretched_over_the_source() -> None:
    below, above, mask = picture(2, 9, 9, 3), picture(2, 6, 6, 3, seed=1), random(3, 2)

    result = image_composite_masked(below, above, 2, 1, False, Mask(mask))

    m = interpolate(mask[None, None], (6, 6), mode="bilinear")[0, 0, ..., None]
    expected = m * above + (1 - m) * below[:, 1:7, 2:8]
    torch.testing.assert_close(result[:, 1:7, 2:8], expected)


def test_a_source_can_be_stretched_to_the_destination() -> None:
    below, above = picture(1, 9, 7, 3), picture(1, 3, 2, 3, seed=1)

    result = image_composite_masked(below, above, 0, 0, True)

    assert torch.equal(result, resize_images(above, 7, 9, "bilinear"))


def test_the_result_has_the_destinations_pictures_and_channels() -> None:
    below, above = picture(3, 4, 4, 3), picture(2, 4, 4, 4, seed=1)
    masks = Mask(torch.tensor([0.0, 1.0]).view(2, 1, 1).expand(2, 4, 4))

    result = image_composite_masked(below, above, 0, 0, False, masks)

    assert torch.equal(result, torch.stack([below[0], above[1, ..., :3], below[2]]))
    opaque = image_composite_masked(above, below, 0, 0)
    assert torch.equal(opaque[..., 3], torch.ones(2, 4, 4))
    assert torch.equal(opaque[..., :3], below[:2])


def test_pictures_that_come_in_are_not_changed() -> None:
    below, above = picture(1, 4, 4, 3), picture(1, 4, 4, 3, seed=1)
    before = below.clone()

    image_composite_masked(below, above, 1, 1)

    assert torch.equal(below, before)


# -- alpha -----------------------------------------------------------------------------------------


def test_a_picture_is_transparent_where_the_mask_is_white() -> None:
    image, mask = picture(1, 4, 6, 3), Mask(random(1, 4, 6))

    joined = join_image_with_alpha(image, mask)

    assert torch.equal(joined[..., :3], image)
    assert torch.equal(joined[..., 3], 1 - mask)


def test_what_was_joined_is_split_again() -> None:
    image, mask = picture(2, 4, 6, 3), Mask(torch.tensor([0.0, 0.25, 1.0]).repeat(2, 4, 2))

    parts = split_image_with_alpha(join_image_with_alpha(image, mask))

    assert torch.equal(parts.image, image)
    assert torch.equal(parts.mask, mask)


def test_a_mask_of_another_size_or_number_is_fitted() -> None:
    mask = random(2, 3)

    joined = join_image_with_alpha(picture(3, 4, 6, 4), Mask(mask))

    expected = 1 - interpolate(mask[None, None], (4, 6), mode="bilinear")[:, 0]
    torch.testing.assert_close(joined[..., 3], expected.expand(3, -1, -1))
    assert join_image_with_alpha(picture(1, 4, 6, 3), Mask(random(5, 4, 6))).shape[0] == 5


def test_an_opaque_picture_splits_into_itself_and_black() -> None:
    image = picture(2, 3, 3, 3)

    parts = split_image_with_alpha(image)

    assert torch.equal(parts.image, image)
    assert torch.equal(parts.mask, torch.zeros(2, 3, 3))


# -- Porter and Duff -------------------------------------------------------------------------------


def test_every_mode_on_the_port_is_computed() -> None:
    assert set(get_args(PorterDuffMode)) == set(SHARES) | set(BLENDS)


@pytest.mark.parametrize("mode", get_args(PorterDuffMode))
def test_masks_are_transparency_on_both_ends(mode: PorterDuffMode) -> None:
    opaque, clear = Mask(torch.zeros(1, 4, 4)), Mask(torch.ones(1, 4, 4))
    s, d = picture(1, 4, 4, 3), picture(1, 4, 4, 3, seed=1)

    over_nothing = porter_duff_image_composite(s, opaque, d, clear, mode)

    if mode in ("LIGHTEN", "OVERLAY"):  # count the source twice there, by their definition
        torch.testing.assert_close(over_nothing.image, (2 * s).clamp(max=1))
        assert torch.equal(over_nothing.mask, opaque)
    elif mode in ("CLEAR", "DST", "DST_IN", "DST_OUT", "SRC_IN", "SRC_ATOP", "MULTIPLY"):
        assert torch.equal(over_nothing.mask, clear)
        assert not over_nothing.image.any()
    else:
        torch.testing.assert_close(over_nothing.image, s)
        assert torch.equal(over_nothing.mask, opaque)


def test_all_layers_take_the_size_of_the_destination() -> None:
    s, d = picture(1, 12, 8, 3), picture(2, 4, 4, 4, seed=1)

    composed = porter_duff_image_composite(
        s, Mask(torch.zeros(3, 5)), d, Mask(torch.zeros(1, 9, 9)), "SRC"
    )

    expected = resize_images(s, 4, 4, "bicubic", "center").clamp(0, 1)
    torch.testing.assert_close(composed.image, expected.expand(2, -1, -1, -1))
    assert composed.mask.shape == (2, 4, 4)
    assert 0 <= float(composed.mask.min()) <= float(composed.mask.max()) <= 1


def test_a_mask_does_not_overshoot_where_it_is_enlarged() -> None:
    step = Mask(torch.tensor([0.0, 0.0, 1.0, 1.0]).repeat(1, 4, 1))
    image = picture(1, 16, 16, 3)

    for mode in ("SRC", "DST"):
        mask = porter_duff_image_composite(image, step, image, step, mode).mask
        assert (float(mask.min()), float(mask.max())) == (0, 1)
        assert mask.unique().numel() > 2


# -- batches ---------------------------------------------------------------------------------------


def test_pictures_are_put_into_batches_of_a_size() -> None:
    all_of_them = picture(7, 2, 2, 3)

    batches = rebatch_images([Image(all_of_them[:5]), Image(all_of_them[5:])], 3)

    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert torch.equal(torch.cat([*batches]), all_of_them)


def test_a_new_batch_begins_where_the_size_changes() -> None:
    images = [picture(2, 2, 2, 3), picture(1, 2, 3, 3), picture(3, 2, 2, 3)]

    assert [batch.shape[:3] for batch in rebatch_images(images, 4)] == [
        (2, 2, 2),
        (1, 2, 3),
        (3, 2, 2),
    ]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.integers(1, 6))
@effort(max_examples=30, deadline=None)
def test_no_picture_is_lost_or_moved(counts: list[int], size: int) -> None:
    images = [picture(count, 1, 1, 3, seed=count) for count in counts]

    batches = rebatch_images(images, size)

    assert torch.equal(torch.cat([*batches]), torch.cat([*images]))
    assert all(len(batch) == size for batch in batches[:-1])


def test_a_graph_rebatches_a_list(tmp_path: Path) -> None:
    graph = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 5}},
        "2": {"class_type": "RebatchImages", "inputs": {"images": ["1", 0], "batch_size": 2}},
        "3": {"class_type": "RebatchImages", "inputs": {"images": ["2", 0], "batch_size": 4}},
    }
    places = {name: tmp_path / name for name in ("input", "output", "temp", "cache")}
    settings = Settings(plugins=(), device="cpu", disk_cache_bytes=0, **places)
    with Engine(nodes.modules(), settings) as engine:
        result = engine.run(graph, targets=["2", "3"]).require()

    assert [len(batch) for batch in result["2"][0].items] == [2, 2, 1]
    assert [len(batch) for batch in result["3"][0].items] == [4, 1]


# -- parts and repetitions -------------------------------------------------------------------------


def test_pictures_of_a_batch_are_taken_from_where_there_are_some() -> None:
    images = picture(5, 3, 4, 3)
    assert torch.equal(image_from_batch(images, 1, 2), images[1:3])
    assert torch.equal(image_from_batch(images, 3, 100), images[3:])
    assert torch.equal(image_from_batch(images, 99, 2), images[4:])


def test_a_batch_is_repeated_whole() -> None:
    images = picture(2, 3, 4, 3)
    assert torch.equal(repeat_image_batch(images, 3), torch.cat([images, images, images]))


def test_a_crop_is_the_rectangle_asked_for_as_far_as_the_picture_reaches() -> None:
    images = picture(2, 8, 10, 4)
    assert torch.equal(image_crop(images, 4, 3, 2, 1), images[:, 1:4, 2:6])
    assert torch.equal(image_crop(images, 100, 100, 7, 5), images[:, 5:, 7:])
    assert torch.equal(image_crop(images, 4, 4, 50, 0), images[:, :4, 9:])


def test_parts_share_no_memory_with_what_they_are_of() -> None:
    images = picture(2, 8, 10, 3)
    for part in (image_from_batch(images), image_crop(images, 2, 2), repeat_image_batch(images)):
        assert part.untyped_storage().data_ptr() != images.untyped_storage().data_ptr()
