"""Batches of pixels: sizes, crops, mirror images; hints that go along; what is kept in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_sets import coordinates, flat, levels, of_arrays, png, save
from PIL import Image
from torch import Tensor

from nodes.training.buckets import bucket_sizes, covering, nearest_size
from nodes.training.chance import Chance
from nodes.training.dataset import Dataset, DatasetError, Entry, Listing, of_listing, read_dataset
from nodes.training.framing import Framing, Views
from nodes.training.image_folder import read_image_folder
from nodes.training.keeping import Kept
from nodes.training.pixels import Pixels

RANDOM = Framing(resolution=16, step=8, crop="random", flip=0.5)


def squares(*values: int, size: tuple[int, int] = (16, 16)) -> list[np.ndarray[Any, Any]]:
    return [np.full((size[1], size[0], 3), value, np.uint8) for value in values]


# -- buckets ---------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(cells=st.integers(2, 24), step=st.sampled_from([8, 16, 32, 64]), widest=st.floats(1, 4))
def test_sizes_are_multiples_of_the_step_with_about_the_area(
    cells: int, step: int, widest: float
) -> None:
    resolution = cells * step

    sizes = bucket_sizes(resolution, step, widest)

    assert (resolution, resolution) in sizes
    assert {(h, w) for w, h in sizes} == set(sizes)
    for width, height in sizes:
        assert width % step == height % step == 0
        assert max(width, height) <= widest * min(width, height)
        assert abs(width * height - resolution**2) <= max(width, height) * step / 2
    aspects = [width / height for width, height in sizes]
    assert aspects == sorted(aspects)


def test_the_sizes_of_a_known_case() -> None:
    wide = ((80, 48), (96, 48))
    assert bucket_sizes(64, 16, 2.0) == ((48, 96), (48, 80), (64, 64), *wide)
    assert bucket_sizes(128, 64, 2.0) == ((128, 128),)


def test_a_resolution_that_the_step_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a multiple of the step, 64, got 100"):
        bucket_sizes(100, 64)


def test_each_picture_goes_to_the_nearest_aspect() -> None:
    sizes = bucket_sizes(64, 16, 1.7)

    assert nearest_size((300, 300), sizes) == (64, 64)
    assert nearest_size((1000, 500), sizes) == (80, 48)
    assert nearest_size((10, 100), sizes) == (48, 80)
    # halfway between two aspects by ratio, not by difference
    between = (5 / 3) ** 0.5
    assert nearest_size((round(1000 * between) - 2, 1000), sizes) == (64, 64)
    assert nearest_size((round(1000 * between) + 2, 1000), sizes) == (80, 48)


@settings(max_examples=100, deadline=None)
@given(st.tuples(st.integers(1, 500), st.integers(1, 500)))
def test_a_scaled_picture_just_covers_its_size(size: tuple[int, int]) -> None:
    width, height = covering(size, (48, 80))

    assert width >= 48
    assert height >= 80
    assert width == 48 or height == 80


def test_batches_hold_examples_of_one_size() -> None:
    dataset = of_arrays(*squares(1, 2), *squares(3, 4, 5, size=(32, 16)))
    pixels = Pixels(dataset, Framing(32, 8, square=False))
    order = pixels.order(2, seed=0)

    batches = [order.examples(number) for number in range(order.per_pass)]

    assert {pixels.sizes[0], pixels.sizes[2]} == {(32, 32), (48, 24)}
    assert {number for batch in batches for number in batch} == {0, 1, 2, 3, 4}
    for batch in batches:
        (width, height), *others = {pixels.sizes[number] for number in batch}
        assert not others
        assert pixels.batch(batch, Chance(0)).shape == (2, 3, height, width)
    with pytest.raises(DatasetError, match="of one size"):
        pixels.batch((0, 2), Chance(0))


def test_squares_are_asked_for() -> None:
    dataset = of_arrays(*squares(1, size=(40, 16)), *squares(2))

    pixels = Pixels(dataset, Framing(16, 8, square=True))

    assert pixels.buckets == {(16, 16): (0, 1)}


# -- values ----------------------------------------------------------------------------------------


def test_values_go_from_minus_one_to_one() -> None:
    pixels = Pixels(of_arrays(*squares(0, 51, 255)), Framing(16, 8))

    batch = pixels.batch((2, 0, 1), Chance(0))

    assert batch.shape == (3, 3, 16, 16)
    expected = torch.tensor([1.0, -1.0, -0.6]).view(3, 1, 1, 1).expand_as(batch)
    torch.testing.assert_close(batch, expected)


def test_a_smaller_picture_is_smoothed_and_is_nearly_pillow_s() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    pixels = Pixels(of_arrays(noise), Framing(16, 8))

    made = levels(pixels.batch((0,), Chance(0)))[0].movedim(0, -1).numpy()

    theirs = np.asarray(Image.fromarray(noise).resize((16, 16), Image.Resampling.BICUBIC))
    assert np.abs(made - theirs.astype(int)).max() <= 1
    assert made.std() < noise.std() / 2


def test_transparent_pictures_are_laid_on_white_or_a_given_colour() -> None:
    half = np.zeros((16, 16, 4), np.uint8)
    half[..., 0], half[..., 3] = 255, 51
    dataset = of_arrays(half)

    white = levels(Pixels(dataset, Framing(16, 8)).batch((0,), Chance(0)))
    blue = levels(
        Pixels(dataset, Framing(16, 8, background=(0.0, 0.0, 1.0))).batch((0,), Chance(0))
    )

    assert white[0, :, 0, 0].tolist() == [255, 204, 204]
    assert blue[0, :, 0, 0].tolist() == [51, 0, 204]


def test_deep_turned_and_moving_pictures_are_read(tmp_path: Path) -> None:
    save(tmp_path / "deep.png", np.full((16, 16), 65535 // 5, np.uint16))
    exif = Image.Exif()
    exif[0x0112] = 6
    stripe = np.zeros((16, 16, 3), np.uint8)
    stripe[:, :8] = 255
    Image.fromarray(stripe).save(tmp_path / "turned.png", exif=exif)
    frames = [Image.fromarray(x) for x in squares(255, 0)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    pixels = Pixels(read_dataset(tmp_path, read_image_folder), Framing(16, 8))

    deep, moving, turned = levels(pixels.batch((0, 1, 2), Chance(0)))

    assert set(deep.flatten().tolist()) == {51}
    assert set(moving.flatten().tolist()) == {255}
    assert turned[0, :8].min() == 255
    assert turned[0, 8:].max() == 0


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    file = flat(tmp_path / "a.png", size=(16, 16))
    pixels = Pixels(read_dataset(tmp_path, read_image_folder), Framing(16, 8))
    file.unlink()

    with pytest.raises(DatasetError, match=r"a\.png can no longer be read: .*no such file"):
        pixels.batch((0,), Chance(0))


# -- views -----------------------------------------------------------------------------------------


def test_the_middle_is_cut_from_what_stands_out() -> None:
    pixels = Pixels(of_arrays(coordinates(24, 16)), Framing(16, 8))

    cut = levels(pixels.batch((0,), Chance(3)))[0]

    assert cut[0, 0].tolist() == list(range(4, 20))
    assert cut[1, :, 0].tolist() == list(range(16))


def test_random_crops_reach_both_ends_and_everything_between() -> None:
    pixels = Pixels(of_arrays(coordinates(19, 16)), Framing(16, 8, crop="random"))

    starts = [int(levels(pixels.batch((0,), Chance(i)))[0, 0, 0, 0]) for i in range(200)]

    counts = [starts.count(start) for start in range(4)]
    assert sum(counts) == 200
    assert min(counts) > 25  # 50 are expected of each, give or take 6


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.25, 60, 140), (1.0, 400, 400)])
def test_a_share_of_the_pictures_is_mirrored(share: float, low: int, high: int) -> None:
    pixels = Pixels(of_arrays(coordinates(16, 16)), Framing(16, 8, flip=share))

    batch = levels(pixels.batch((0,) * 400, Chance(1)))

    mirrored = batch[:, 0, 0, 0] == 15
    assert low <= int(mirrored.sum()) <= high
    assert torch.equal(batch[:, 0, 0, 0], torch.where(mirrored, 15, 0))
    assert torch.equal(batch[:, 0, 0, 15], torch.where(mirrored, 0, 15))


def test_equal_chance_gives_equal_batches_and_another_gives_others() -> None:
    pixels = Pixels(of_arrays(coordinates(32, 16), coordinates(32, 16)), RANDOM)

    first, again, other = (pixels.batch((0, 1, 0, 1), Chance(5).at(step)) for step in (7, 7, 8))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[2])  # the same example twice, seen differently


def test_hints_are_cut_and_mirrored_like_their_pictures() -> None:
    picture = coordinates(32, 16)
    pixels = Pixels(of_arrays(picture, hints={"mask": 255 - picture}), RANDOM)
    examples, chance = (0,) * 20, Chance(2).at(9)

    batch, hint = pixels.batch(examples, chance), pixels.hint("mask", examples, chance)

    assert hint.shape == (20, 3, 16, 16)
    assert torch.equal(levels(batch), 255 - (hint * 255).round().long())


def test_a_hint_of_another_size_is_brought_to_that_of_the_picture() -> None:
    picture = np.zeros((16, 32, 3), np.uint8)
    picture[:, 20:] = 255
    small = picture[::4, ::4, 0]
    pixels = Pixels(of_arrays(picture, hints={"segmentation": small}), RANDOM)

    batch = pixels.batch((0,) * 20, Chance(2))
    hint = pixels.hint("segmentation", (0,) * 20, Chance(2))

    assert torch.equal(hint, (batch + 1) / 2)


def test_segmentations_get_no_colours_between_and_other_hints_do() -> None:
    checks = np.random.default_rng(0).integers(0, 2, (31, 31), np.uint8) * 255
    hints = {"segmentation": checks, "edges": checks}
    pixels = Pixels(of_arrays(*squares(0), hints=hints), Framing(16, 8))

    segments = pixels.hint("segmentation", (0,), Chance(0))
    edges = pixels.hint("edges", (0,), Chance(0))

    assert set(segments.unique().tolist()) == {0.0, 1.0}
    assert len(edges.unique()) > 2
    assert float(edges.min()) >= 0
    assert float(edges.max()) <= 1


def test_a_transparent_hint_lies_on_black() -> None:
    ghost = np.full((16, 16, 4), 255, np.uint8)
    ghost[..., 3] = 0
    pixels = Pixels(of_arrays(*squares(0), hints={"mask": ghost}), Framing(16, 8))

    assert float(pixels.hint("mask", (0,), Chance(0)).max()) == 0


def test_a_hint_that_is_not_there_is_told() -> None:
    with pytest.raises(DatasetError, match="has no hint 'depth'; it has none"):
        Pixels(of_arrays(*squares(0)), RANDOM).hint("depth", (0,), Chance(0))


@pytest.mark.parametrize(
    "options",
    [{"crop": "left"}, {"flip": 1.5}, {"background": (0.0, 2.0, 0.0)}, {"step": 48}, {"widest": 0}],
)
def test_a_framing_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Framing(**options)


def test_the_middle_view_is_the_same_for_all() -> None:
    views = Views.middle(2, mirrored=True)

    assert (views.x.tolist(), views.y.tolist()) == ([0.5, 0.5], [0.5, 0.5])
    assert views.mirrored.tolist() == [True, True]


# -- what is kept ----------------------------------------------------------------------------------


def test_scaled_pictures_are_kept_within_bytes_and_the_longest_unused_go() -> None:
    made: list[str] = []

    def make(key: str) -> Tensor:
        made.append(key)
        return torch.zeros(int(key[1:]), dtype=torch.uint8)

    kept = Kept(100, make)
    for key in ("a40", "b40", "a40", "c40", "a40", "b40"):
        assert len(kept.get(key)) == 40
        assert kept.nbytes <= 100
    assert made == ["a40", "b40", "c40", "b40"]
    kept.get("d200")
    kept.get("d200")
    assert made[-2:] == ["d200", "d200"]
    assert kept.nbytes == 80


def test_pictures_are_decoded_once_while_they_are_kept(tmp_path: Path) -> None:
    file = flat(tmp_path / "a.png", (7, 7, 7), (16, 16))
    dataset = read_dataset(tmp_path, read_image_folder)
    kept, forgetful = Pixels(dataset, Framing(16, 8)), Pixels(dataset, Framing(16, 8), kept=0)
    before = kept.batch((0,), Chance(0))
    forgetful.batch((0,), Chance(0))
    flat(file, (200, 7, 7), (16, 16))

    assert torch.equal(kept.batch((0,), Chance(0)), before)
    assert not torch.equal(forgetful.batch((0,), Chance(0)), before)


def test_a_batch_does_not_change_what_is_kept() -> None:
    pixels = Pixels(of_arrays(*squares(9)), Framing(16, 8))

    pixels.batch((0,), Chance(0)).zero_()

    assert int(levels(pixels.batch((0,), Chance(0))).max()) == 9


def test_pictures_in_memory_need_no_files() -> None:
    dataset: Dataset = of_listing(Listing([Entry("a", png(squares(3)[0]))]), "memory")

    assert int(levels(Pixels(dataset, Framing(16, 8)).batch((0,), Chance(0))).max()) == 3
