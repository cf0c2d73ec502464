"""Differences as LoRA: the best of a rank, and all of it."""

from __future__ import annotations

import pytest
import torch

from nodes.models.adapters import LowRank
from nodes.models.lora_extract import factors, standard, whole_name


def rand(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("shape", [(6, 9), (6, 2, 3, 3)])
def test_a_difference_of_the_rank_is_found_again(shape: tuple[int, ...]) -> None:
    D = (rand(6, 2) @ rand(2, torch.Size(shape[1:]).numel())).reshape(shape)

    up, down = factors(D, 2)

    assert up.shape == (6, 2, *(1,) * (len(shape) - 2))
    assert down.shape == (2, *shape[1:])
    torch.testing.assert_close(LowRank(up, down).product().reshape(shape), D, atol=1e-5, rtol=1e-5)


def test_what_is_lost_is_the_singular_values_left_out() -> None:
    D = rand(8, 5)
    S = torch.linalg.svdvals(D)

    up, down = factors(D, 3)

    torch.testing.assert_close((D - up @ down).square().sum(), S[3:].square().sum())
    torch.testing.assert_close(up.norm(), down.norm())


def test_the_rank_is_no_more_than_there_are_rows() -> None:
    up, down = factors(rand(3, 7), 100)

    assert (up.shape, down.shape) == ((3, 3), (3, 7))


def test_a_weight_is_stored_as_two_factors_whose_scale_is_one() -> None:
    found = dict(standard("a.b.weight", rand(4, 5), 2, vectors=False))

    assert set(found) == {"a.b.lora_up.weight", "a.b.lora_down.weight", "a.b.alpha"}
    assert found["a.b.lora_up.weight"].dtype == torch.float16
    assert float(found["a.b.alpha"]) == len(found["a.b.lora_down.weight"]) == 2


@pytest.mark.parametrize(
    ("name", "stored"), [("a.norm.weight", "a.norm.diff"), ("a.b.bias", "a.b.diff_b")]
)
def test_vectors_are_stored_whole_or_not_at_all(name: str, stored: str) -> None:
    assert whole_name(name) == stored
    [(found, tensor)] = standard(name, rand(4), 2, vectors=True)
    assert (found, tensor.tolist()) == (stored, rand(4).tolist())
    assert not list(standard(name, rand(4), 2, vectors=False))
