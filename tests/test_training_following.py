"""How a picture follows its hint: cases that are counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nodes.training.following import edge_f1, overlap


def column(*places: int, rows: int = 8) -> Tensor:
    """(1, 8, 8): vertical lines, of so many rows from the top."""
    mask = torch.zeros(1, 8, 8, dtype=torch.bool)
    for x in places:
        mask[:, :rows, x] = True
    return mask


EMPTY = column()


@pytest.mark.parametrize(
    ("found", "wanted", "tolerance", "f1"),
    [
        (column(3), column(3), 1, 1.0),
        (column(4), column(3), 1, 1.0),  # one pixel beside
        (column(5), column(3), 1, 0.0),
        (column(5), column(3), 2, 1.0),
        (column(4), column(3), 0, 0.0),
        (column(3, 6), column(3), 1, 2 / 3),  # P 1/2, R 1
        (column(3, rows=4), column(3), 1, 2 * 5 / 8 / (1 + 5 / 8)),  # P 1, R 5/8: the end reaches
        (EMPTY, EMPTY, 1, 1.0),
        (EMPTY, column(3), 1, 0.0),
        (column(3), EMPTY, 1, 0.0),
    ],
)
def test_edges_are_met_within_the_tolerance(
    found: Tensor, wanted: Tensor, tolerance: int, f1: float
) -> None:
    assert edge_f1(found, wanted, tolerance).item() == pytest.approx(f1)


def test_a_diagonal_neighbour_is_within_one_pixel() -> None:
    found, wanted = EMPTY.clone(), EMPTY.clone()
    found[0, 2, 2] = wanted[0, 3, 3] = True

    assert edge_f1(found, wanted).item() == 1.0


@pytest.mark.parametrize(
    ("found", "wanted", "share"),
    [
        (column(1, 2), column(1, 2), 1.0),
        (column(1, 2), column(2, 3), 1 / 3),
        (column(1), column(5), 0.0),
        (column(1), EMPTY, 0.0),
        (EMPTY, EMPTY, 1.0),
    ],
)
def test_overlap_is_intersection_over_union(found: Tensor, wanted: Tensor, share: float) -> None:
    assert overlap(found, wanted).item() == pytest.approx(share)


def test_each_picture_of_a_batch_is_judged_alone() -> None:
    found, wanted = torch.cat([column(1), column(1)]), torch.cat([column(1), column(5)])

    assert edge_f1(found, wanted).tolist() == [1.0, 0.0]
    assert overlap(found, wanted).tolist() == [1.0, 0.0]
