"""The changes of weights against their equations, written out element by element."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from nodes.models.adapters import (
    Full,
    Hadamard,
    Kronecker,
    LowRank,
    Orthogonal,
    Scale,
    cayley,
    change,
    composed,
)


def rand(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_lora_is_the_scaled_product_of_its_factors() -> None:
    B, A = torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0, 4.0, 5.0]])

    plain = LowRank(B, A).product()
    scaled = LowRank(B, A, scale=Scale(0.5)).product()

    assert plain.tolist() == [[3, 4, 5], [6, 8, 10]]
    assert scaled.tolist() == [[1.5, 2, 2.5], [3, 4, 5]]


@pytest.mark.parametrize(("stabilised", "expected"), [(False, 2.0), (True, 4.0)])
def test_alpha_is_divided_by_the_rank_or_its_root(stabilised: bool, expected: float) -> None:
    assert Scale(8.0, stabilised).over(4) == expected


def test_a_convolutions_factors_are_flattened() -> None:
    up, down, W = rand(5, 2, 1, 1), rand(2, 3, 3, 3), torch.zeros(5, 3, 3, 3)

    found = change(W, LowRank(up, down), None, 0, 1)

    for o, i, h, w in itertools.product(range(5), range(3), range(3), range(3)):
        near(found[o, i, h, w], sum(up[o, r, 0, 0] * down[r, i, h, w] for r in range(2)))


def test_a_middle_weight_is_composed_first() -> None:
    up, mid, down = rand(5, 2, 1, 1), rand(2, 2, 3, 3), rand(2, 4, 1, 1)

    found = change(torch.zeros(5, 4, 3, 3), LowRank(up, down, mid, Scale(3.0)), None, 0, 1)

    for o, i in itertools.product(range(5), range(4)):
        terms = (up[o, m, 0, 0] * mid[m, n] * down[n, i, 0, 0] for m in range(2) for n in range(2))
        near(found[o, i], 1.5 * sum(terms))


def test_loha_multiplies_two_products_element_by_element() -> None:
    a1, b1, a2, b2 = rand(4, 2), rand(2, 6), rand(4, 2) + 1, rand(2, 6) - 1

    found = Hadamard(a1, b1, a2, b2, scale=Scale(1.0)).product()

    for o, i in itertools.product(range(4), range(6)):
        first = sum(a1[o, r] * b1[r, i] for r in range(2))
        near(found[o, i], 0.5 * first * sum(a2[o, r] * b2[r, i] for r in range(2)))


def test_lohas_cores_join_factors_of_a_convolution() -> None:
    a, b, core = rand(2, 5), rand(2, 4), rand(2, 2, 3, 3)

    found = composed(a, b, core)

    for o, i in itertools.product(range(5), range(4)):
        near(found[o, i], sum(core[m, n] * b[n, i] * a[m, o] for m in range(2) for n in range(2)))


def test_lokr_repeats_the_second_factor_by_the_first() -> None:
    c1, c2 = torch.tensor([[1.0, 2.0], [0.0, -1.0]]), rand(3, 2, 1, 1)

    found = Kronecker(c1, c2, rank=4, scale=Scale(2.0)).product()

    near(found[:3, :2], 0.5 * c2)
    near(found[:3, 2:], c2)
    near(found[3:, :2], torch.zeros(3, 2, 1, 1))
    near(found[3:, 2:], -0.5 * c2)


def test_lokr_of_two_whole_factors_has_no_rank_to_scale_by() -> None:
    c = rand(2, 2)

    near(Kronecker(c, c, None, Scale(7.0)).product(), torch.kron(c, c))


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 2, 2)])
def test_dora_gives_each_row_its_direction_and_the_files_length(shape: tuple[int, ...]) -> None:
    W, delta, m = rand(*shape), rand(*shape).flip(0) * 0.3, rand(4).abs() + 1

    found = change(W, Full(delta), m.reshape(4, 1), 0, 1)

    for row in range(4):
        V = W[row] + delta[row]
        near(found[row], m[row] * V / V.flatten().norm() - W[row])


def test_dora_over_columns_is_told_by_the_shape_of_its_lengths() -> None:
    W, delta, m = rand(4, 3, 2, 2), rand(4, 3, 2, 2).flip(1) * 0.3, rand(3).abs() + 1

    found = change(W, Full(delta), m.reshape(1, 3, 1, 1), 0, 1)

    for column in range(3):
        V = W[:, column] + delta[:, column]
        near(found[:, column], m[column] * V / V.flatten().norm() - W[:, column])


def test_a_row_without_a_direction_stays_where_it_is() -> None:
    W = torch.zeros(2, 3)

    found = change(W, Full(W), torch.ones(2, 1), 0, 1)

    assert torch.equal(found, W)


def test_a_block_of_rows_gets_its_part_of_the_change() -> None:
    W, up, down, m = rand(6, 3), rand(6, 2), rand(2, 3), rand(6).abs() + 1
    adapter = LowRank(up, down)

    for magnitude in (None, m[:, None]):
        whole = change(W, adapter, magnitude, 0, 1)
        parts = [change(W[2 * i : 2 * i + 2], adapter, magnitude, i, 3) for i in range(3)]
        near(torch.cat(parts), whole)


# -- OFT -------------------------------------------------------------------------------------------


def by_numpy(blocks: Tensor, W: Tensor, limit: float) -> Tensor:
    """R_1^T ... R_k^T on the blocks of W's rows, in double precision, with inverses."""
    B = blocks.double().numpy()
    Q = B - B.transpose(0, 2, 1)
    length = np.sqrt((Q**2).sum())
    if 0 < limit < length:
        Q = Q * limit / length
    identity = np.eye(Q.shape[1])
    rows = W.double().numpy().reshape(len(B), len(identity), -1)
    turned = [
        ((identity + q) @ np.linalg.inv(identity - q)).T @ w for q, w in zip(Q, rows, strict=True)
    ]
    return torch.from_numpy(np.stack(turned)).reshape(W.shape).float()


@pytest.mark.parametrize("limit", [0.0, 0.5, 100.0])
@pytest.mark.parametrize("shape", [(6, 4), (6, 2, 3, 3)])
def test_oft_turns_blocks_of_rows(shape: tuple[int, ...], limit: float) -> None:
    W, blocks = rand(*shape), 0.4 * rand(2, 3, 3)

    found = change(W, Orthogonal(blocks, limit), None, 0, 1)

    near(W + found, by_numpy(blocks, W, limit))
    assert found.abs().max() > 0.05
    for rows in (slice(0, 3), slice(3, 6)):  # every angle and length between rows' columns stays
        before, after = W[rows].flatten(1), (W + found)[rows].flatten(1)
        near(after.T @ after, before.T @ before)


def test_a_limit_is_one_for_all_blocks_together() -> None:
    blocks = rand(2, 3, 3)
    Q = blocks - blocks.mT

    R = cayley(blocks, 0.25)

    back = torch.linalg.solve(R + torch.eye(3), R - torch.eye(3))  # Q of R
    near(back, 0.25 * Q / torch.linalg.vector_norm(Q))


def test_oft_of_zeros_changes_nothing_to_the_bit() -> None:
    W = rand(6, 4)

    assert not change(W, Orthogonal(torch.zeros(2, 3, 3), 1.0), None, 0, 1).any()


def test_oft_may_scale_each_row_as_well() -> None:
    W, scale = rand(6, 2, 3, 3), rand(6, 1, 1, 1)

    found = change(W, Orthogonal(torch.zeros(2, 3, 3), 0.0, scale), None, 0, 1)

    near(found, scale * W - W)


def test_a_part_of_the_rows_is_turned_as_it_is_in_the_whole() -> None:
    W, adapter = rand(12, 3), Orthogonal(rand(6, 2, 2), 2.0, rand(12, 1))

    whole = change(W, adapter, None, 0, 1)

    parts = [change(W[4 * i : 4 * i + 4], adapter, None, i, 3) for i in range(3)]
    near(torch.cat(parts), whole)
