"""Hints made from pictures: silhouettes, relief, edges, and the files they are kept in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_sets import of_arrays
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from nodes.training.chance import Chance
from nodes.training.dataset import DatasetError
from nodes.training.framing import Framing
from nodes.training.hints import (
    COLOURS,
    MAKERS,
    HintMaker,
    add_hints,
    depth,
    distances,
    edges,
    segmentation,
    silhouette,
)
from nodes.training.pixels import Pixels


def silent(_done: int, _total: int) -> None:
    return None


def disc(side: int = 41, radius: float = 15) -> Tensor:
    """1 within the radius of the middle, (side, side)."""
    place = torch.arange(side) - (side - 1) / 2
    return ((place[:, None] ** 2 + place**2).sqrt() <= radius).float()


def painted(shape: Tensor, ground: float = 1.0, ink: float = 0.3) -> Tensor:
    image = torch.where(shape.bool(), ink, ground)
    return image[None, ..., None].repeat(1, 1, 1, 3)


@pytest.mark.parametrize("ground", [0.0, 0.4, 1.0])
def test_a_silhouette_is_what_stands_before_the_background(ground: float) -> None:
    image = painted(disc(), ground, ink=0.7)
    noise = 0.02 * torch.rand(image.shape, generator=torch.Generator().manual_seed(0))

    assert torch.equal(silhouette((image + noise).clamp(0, 1))[0], disc())


def test_what_is_white_within_belongs_to_the_silhouette() -> None:
    ring = disc(radius=15) - disc(radius=8)

    assert torch.equal(silhouette(painted(ring))[0], disc())


def test_what_runs_over_the_border_is_still_in_front_of_it() -> None:
    shape = torch.zeros(20, 20)
    shape[14:, 5:15] = 1

    assert torch.equal(silhouette(painted(shape))[0], shape)


def test_a_bay_is_outside_however_it_winds() -> None:
    walls = torch.ones(31, 31)
    walls[0] = walls[-1] = 0
    walls[:, 0] = walls[:, -1] = 0
    for column in range(2, 29, 4):  # corridors, open at the top and the bottom by turns
        walls[0:29, column] = 0
        walls[2:29, column + 1 : column + 4] = 1
    expected = walls.clone()

    assert torch.equal(silhouette(painted(walls))[0], expected)


def test_a_diagonal_crack_does_not_let_the_background_in() -> None:
    walls = torch.zeros(7, 7)
    for row, column in ((1, 3), (2, 2), (2, 4), (3, 1), (3, 5), (4, 2), (4, 4), (5, 3)):
        walls[row, column] = 1
    filled = silhouette(painted(walls))[0]

    assert filled[3, 3] == 1
    assert filled.sum() == 13  # a diamond


def test_a_blank_picture_has_no_silhouette_and_no_depth() -> None:
    assert silhouette(torch.full((1, 8, 9, 3), 0.5)).sum() == 0
    assert depth(torch.full((1, 8, 9, 3), 0.5)).sum() == 0


@settings(deadline=None)
@given(
    st.integers(1, 9).flatmap(
        lambda width: st.lists(
            st.lists(st.booleans(), min_size=width, max_size=width), min_size=1, max_size=9
        )
    )
)
def test_distances_are_euclid_s(cells: list[list[bool]]) -> None:
    inside = torch.tensor(cells).float()
    if inside.all():
        return

    made = distances(inside[None])[0]

    exact = torch.from_numpy(distance_transform_edt(inside.numpy())).float()
    torch.testing.assert_close(made, exact)


def test_depth_is_the_distance_from_the_edge_as_a_share() -> None:
    shape = disc(side=81, radius=33)
    exact = torch.from_numpy(distance_transform_edt(shape.numpy())).float()

    torch.testing.assert_close(depth(painted(shape))[0], exact / exact.max())


def test_a_picture_without_background_is_all_near() -> None:
    noise = torch.rand(1, 12, 12, 3, generator=torch.Generator().manual_seed(1))

    assert depth(noise).min() == 1


def test_edges_are_lines_at_the_border_of_things() -> None:
    found = edges(painted(disc()))[0, ..., 0]

    inner, outer = disc(radius=12), disc(radius=18)
    assert found[inner.bool()].sum() == 0
    assert found[~outer.bool()].sum() == 0
    assert 60 < float(found.sum()) < 200


def test_segments_have_the_nearest_named_colour_and_no_other() -> None:
    named = torch.tensor(list(COLOURS.values())) / 255
    noise = torch.rand(len(named), 50, 3, generator=torch.Generator().manual_seed(0)) - 0.5
    near = named[:, None] + 0.1 * noise

    assert torch.equal(segmentation(named[None, None])[0, 0], named)
    made = segmentation(near[None])[0]
    assert torch.equal(made, named[:, None].expand_as(made))


def test_segments_keep_their_colours_in_a_data_set(tmp_path: Path) -> None:
    maker = MAKERS["segmentation"]
    noise = np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8)

    dataset = add_hints(of_arrays(noise), "segmentation", "s", maker, tmp_path, silent)

    hint = Pixels(dataset, Framing(32, 8)).hint("segmentation", (0,), Chance(0))
    colours = {tuple(c) for c in (hint * 255).round().int().movedim(1, -1).reshape(-1, 3).tolist()}
    assert colours <= set(COLOURS.values())
    assert len(colours) > 5


def test_there_is_a_maker_for_each_kind() -> None:
    assert set(MAKERS) == {"silhouette", "edges", "depth", "segmentation"}


# -- in a data set ---------------------------------------------------------------------------------


def pictures() -> list[np.ndarray]:
    image = (painted(disc(32, 10))[0] * 255).round().to(torch.uint8).numpy()
    return [image, 255 - image]


def test_a_data_set_gets_hints_of_its_pictures(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    maker = MAKERS["silhouette"]

    dataset = add_hints(
        of_arrays(*pictures()), "mask", "silhouette", maker, tmp_path, lambda *x: told.append(x)
    )

    assert dataset.hints == ("mask",)
    assert told == [(1, 2), (2, 2)]
    hint = Pixels(dataset, Framing(32, 8)).hint("mask", (0, 1), Chance(0))
    assert torch.equal(hint, disc(32, 10).expand(2, 3, 32, 32))


def test_colours_stay_colours(tmp_path: Path) -> None:
    maker = HintMaker(lambda image: 1 - image)

    dataset = add_hints(of_arrays(*pictures()), "n", "negative", maker, tmp_path, silent)

    pixels = Pixels(dataset, Framing(32, 8))
    hint, picture = pixels.hint("n", (0, 1), Chance(0)), pixels.batch((0, 1), Chance(0))
    torch.testing.assert_close(hint, (1 - picture) / 2, atol=1e-2, rtol=0)


def test_hints_are_made_once_for_each_picture_kind_and_version(tmp_path: Path) -> None:
    asked: list[int] = []

    def make(image: Tensor) -> Tensor:
        asked.append(1)
        return torch.zeros(image.shape[:3])

    def add(kind: str, version: int) -> str:
        maker = HintMaker(make, version)
        return add_hints(of_arrays(*pictures()), "h", kind, maker, tmp_path, silent).identity

    identities = [add("a", 1), add("a", 1), add("a", 2), add("b", 1)]

    assert len(asked) == 6
    assert len(set(identities)) == 3


def test_a_file_that_a_crash_left_empty_is_made_again(tmp_path: Path) -> None:
    maker = MAKERS["silhouette"]
    before = add_hints(of_arrays(*pictures()), "m", "s", maker, tmp_path, silent)
    files = sorted(tmp_path.rglob("*.png"))
    whole = files[0].read_bytes()
    files[0].write_bytes(b"")

    assert add_hints(of_arrays(*pictures()), "m", "s", maker, tmp_path, silent) == before
    assert files[0].read_bytes() == whole
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == files


def test_a_name_that_is_taken_and_a_hint_of_another_size_are_refused(tmp_path: Path) -> None:
    dataset = of_arrays(*pictures(), hints={"mask": pictures()[0]})
    maker = HintMaker(lambda image: image[:, 1:])

    with pytest.raises(DatasetError, match="has a hint 'mask' already"):
        add_hints(dataset, "mask", "x", maker, tmp_path, silent)
    with pytest.raises(DatasetError, match=r"hint 'x' of 000 has shape \(1, 31, 32, 3\)"):
        add_hints(dataset, "other", "x", maker, tmp_path, silent)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
