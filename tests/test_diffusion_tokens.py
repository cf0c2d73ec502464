"""Tokens of two prompts put together, against the equations in plain torch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nodes.diffusion.tokens import averaged, averaged_pooled, joined


def tokens(batch: int, length: int, width: int = 3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, length, width, generator=generator)


def test_joined_tokens_stand_one_after_the_other() -> None:
    one, other = tokens(1, 4), tokens(1, 2, seed=1)

    assert torch.equal(joined(one, other), torch.cat([one, other], dim=1))


def test_a_short_batch_is_repeated_whichever_side_it_stands_on() -> None:
    one, three = tokens(1, 4), tokens(3, 2, seed=1)

    assert torch.equal(joined(one, three)[:, :4], one.expand(3, 4, 3))
    assert torch.equal(joined(three, one)[:, 2:], one.expand(3, 4, 3))
    torch.testing.assert_close(averaged(one, tokens(3, 4), 0.5), 0.5 * (one + tokens(3, 4)))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_average_of_equally_many_tokens(share: float) -> None:
    to, source = tokens(1, 4), tokens(1, 4, seed=1)

    torch.testing.assert_close(averaged(to, source, share), share * to + (1 - share) * source)


def test_fewer_tokens_are_filled_up_with_zeros() -> None:
    to, source = tokens(1, 4), tokens(1, 3, seed=1)

    found = averaged(to, source, 0.25)

    torch.testing.assert_close(found[:, :3], 0.25 * to[:, :3] + 0.75 * source)
    torch.testing.assert_close(found[:, 3:], 0.25 * to[:, 3:])


def test_more_tokens_are_cut_to_those_of_the_first() -> None:
    to, source = tokens(1, 2), tokens(1, 5, seed=1)

    torch.testing.assert_close(averaged(to, source, 0.25), 0.25 * to + 0.75 * source[:, :2])


def test_pooled_vectors_are_averaged_and_a_missing_one_is_the_others() -> None:
    to, source = torch.rand(1, 5), torch.rand(2, 5)

    found = averaged_pooled(to, source, 0.25)

    assert found is not None
    torch.testing.assert_close(found, 0.25 * to + 0.75 * source)
    assert averaged_pooled(None, source, 0.25) is source
    assert averaged_pooled(to, None, 0.25) is to
    assert averaged_pooled(None, None, 0.25) is None


def test_what_comes_in_is_left_as_it_is() -> None:
    to, source = tokens(1, 4), tokens(1, 3, seed=1)
    before = to.clone(), source.clone()

    joined(to, source).zero_()
    averaged(to, source, 1.0).zero_()

    assert torch.equal(to, before[0])
    assert torch.equal(source, before[1])


def test_tokens_of_different_widths_are_refused() -> None:
    for combine in (joined, lambda a, b: averaged(a, b, 0.5)):
        with pytest.raises(ValueError, match="width 3 and of width 4"):
            combine(tokens(1, 2), tokens(1, 2, width=4))
