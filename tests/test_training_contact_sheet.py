"""Data sets shown: pictures in a grid, and a report in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from picture_sets import of_arrays, png

from nodes.training.contact_sheet import GAP, LINE, LINES, contact_sheet, grid, report
from nodes.training.dataset import Dataset, Entry, Listing, Problem, of_listing
from nodes.training.framing import Framing
from nodes.training.pixels import Pixels


def grey(value: int, width: int = 16, height: int = 16) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_pictures_stand_in_rows_with_room_for_captions() -> None:
    sheet = grid([torch.full((8, 10, 3), i / 5) for i in range(5)], [""] * 5, columns=2)

    width, height = 10 + GAP, 8 + GAP + LINES * LINE
    assert sheet.shape == (1, 3 * height, 2 * width, 3)
    for index in range(5):
        top, left = index // 2 * height, index % 2 * width
        inside = sheet[0, top + 2 : top + 10, left + 2 : left + 12]
        torch.testing.assert_close(inside, torch.full((8, 10, 3), index / 5))
    assert (sheet[0, -height:, -width:] == 1).all()  # the place of the sixth
    assert (sheet[0, 10:height] == 1).all()  # captions that say nothing


def test_captions_are_written_below_and_stay_in_their_cell() -> None:
    blank = grid([torch.ones(40, 40, 3)] * 2, ["", ""], columns=2)
    said = grid([torch.ones(40, 40, 3)] * 2, ["a long caption " * 9, ""], columns=2)

    changed = (blank != said).any(-1)[0]
    rows, columns = changed.nonzero().T
    assert rows.min() >= 40 + GAP
    assert columns.max() < 40 + GAP


def test_a_sheet_shows_pictures_as_batches_see_them() -> None:
    dataset = of_arrays(grey(0, 32), grey(255, 32))

    sheet = contact_sheet(Pixels(dataset, Framing(16, 8)), (1, 0), columns=2)

    row = sheet[0, 2 : 2 + 16]
    assert (row[:, 2:18] == 1).all()
    assert (row[:, 22:38] == 0).all()


def pictures() -> Dataset:
    entries = [
        Entry("a", png(grey(0, 32, 16)), "one", "cat", {"mask": png(grey(1))}),
        Entry("b", png(grey(1)), "one", "dog"),
        Entry("c", png(grey(2, 48, 48)), "", "cat"),
    ]
    problems = [Problem(f"{i:02}.png", "damaged") for i in range(25)]
    return of_listing(Listing(entries, problems), "pets")


def test_the_report_counts_what_there_is() -> None:
    dataset = pictures()

    said = report(Pixels(dataset, Framing(32, 8, square=False))).splitlines()

    assert said[:5] == [
        "pets: 3 pictures",
        "captions: 2 of 3, 1 distinct",
        "classes: 2 (cat 2, dog 1)",
        "hint mask: 1 of 3",
        f"identity: {dataset.identity}",
    ]
    assert said[5:8] == [
        "sides: 16 to 48 pixels",
        "size 32 x 32: 2 pictures, 1 of them smaller than that",
        "size 48 x 24: 1 picture, 1 of them smaller than that",
    ]
    assert said[8:10] == ["25 problems:", "  00.png: damaged"]
    assert said[-1] == "  and 5 more"
    assert len(said) == 30


def test_a_data_set_without_faults_and_an_empty_one_are_reported() -> None:
    fine = replace(pictures(), problems=())

    assert report(Pixels(fine, Framing(32, 8))).endswith("no problems")
    assert report(Pixels(fine.take(()), Framing(32, 8))).startswith("pets: 0 pictures")
