"""Entries of conditioning: when they count, how much, and what they add to the input."""

import pytest
import torch

from nodes.diffusion.condition import Condition, weighted_mean

X = torch.zeros(3, 2, 2, 2)


def test_an_entry_is_active_between_its_levels_both_included() -> None:
    entry = Condition(start_sigma=5.0, end_sigma=2.0)

    assert [entry.active(s) for s in (5.1, 5.0, 3.0, 2.0, 1.9)] == [False, True, True, True, False]
    assert Condition().active(1e9)
    assert Condition().active(1e-9)


def test_the_mean_is_weighted_by_strength() -> None:
    values = [torch.tensor([1.0]), torch.tensor([5.0])]

    assert weighted_mean(values, [3.0, 1.0]).item() == 2


def test_a_mask_weights_each_place() -> None:
    left = Condition(mask=torch.tensor([[1.0, 0.0], [1.0, 0.0]]), strength=2.0, mask_strength=0.5)
    everywhere = Condition()
    one, five = torch.full_like(X, 1.0), torch.full_like(X, 5.0)

    mean = weighted_mean([one, five], [left.weight(X), everywhere.weight(X)])

    assert mean[0, 0].tolist() == [[3, 5], [3, 5]]
    assert mean.shape == X.shape


def test_where_no_entry_counts_the_mean_is_zero() -> None:
    left = Condition(mask=torch.tensor([[1.0, 0.0], [1.0, 0.0]]))

    mean = weighted_mean([torch.full_like(X, 7.0)], [left.weight(X)])

    assert mean[0, 0].tolist() == [[7, 0], [7, 0]]


def test_a_mask_is_resized_to_the_latent() -> None:
    mask = torch.zeros(16, 16)
    mask[:, :8] = 1

    weight = Condition(mask=mask).weight(X)

    assert isinstance(weight, torch.Tensor)
    assert weight[2, 1].tolist() == [[1, 0], [1, 0]]


def test_one_entry_of_full_strength_is_passed_on_as_it_is() -> None:
    value = torch.rand(4)

    assert weighted_mean([value], [1.0]) is value


def test_the_mean_keeps_the_precision_of_the_values() -> None:
    value, mask = torch.ones(2, 2).bfloat16(), torch.ones(2, 2)

    assert weighted_mean([value, value], [mask, 0.5]).dtype == torch.bfloat16


def test_tokens_and_channels_are_repeated_over_the_batch() -> None:
    entry = Condition(context=torch.arange(4.0).reshape(2, 2, 1), concat=torch.ones(1, 5, 2, 2))

    tokens = entry.tokens(X)

    assert tokens is not None
    assert tokens[:, :, 0].tolist() == [[0, 1], [2, 3], [0, 1]]
    assert entry.network_input(X).shape == (3, 7, 2, 2)
    assert bool((entry.network_input(X)[:, 2:] == 1).all())
    assert Condition().tokens(X) is None
    assert Condition().network_input(X) is X


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="context: expected"):
        Condition(context=torch.ones(2, 2))
    with pytest.raises(ValueError, match=r"concat: expected \(batch"):
        Condition(concat=torch.ones(2, 2, 2))
    with pytest.raises(ValueError, match="expected the size of the latent"):
        Condition(concat=torch.ones(1, 2, 4, 4)).network_input(X)


def test_classes_are_repeated_over_the_batch() -> None:
    asked = Condition(y=torch.tensor([4, 7])).ask(X, 5, 1.0, 0, 3)

    assert asked.y is not None
    assert asked.y.tolist() == [4, 7, 4]
    assert Condition().ask(X, 5, 1.0, 0, 3).y is None
