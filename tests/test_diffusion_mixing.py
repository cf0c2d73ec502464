"""Latents between latents: shares, directions and lengths."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nodes.diffusion.mixing import blend, interpolate


def normal(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 4, 3, 5, generator=generator, dtype=torch.float64)


def test_a_blend_is_the_weighted_mean() -> None:
    a, b = normal(0), normal(1)

    torch.testing.assert_close(blend(a, b, 0.25), b + (a - b) / 4)


@given(seed=st.integers(0, 999), share=st.floats(0, 1))
def test_lengths_between_are_the_weighted_mean_of_both(seed: int, share: float) -> None:
    a, b = normal(seed), normal(seed + 1000)

    length = interpolate(a, b, share).norm(dim=1)

    torch.testing.assert_close(length, share * a.norm(dim=1) + (1 - share) * b.norm(dim=1))


@given(seed=st.integers(0, 999), share=st.floats(0, 1), scale=st.floats(0.1, 10))
def test_the_direction_does_not_depend_on_the_lengths(
    seed: int, share: float, scale: float
) -> None:
    a, b = normal(seed), normal(seed + 1000)

    one, other = interpolate(a, b, share), interpolate(a * scale, b, share)

    cos = torch.nn.functional.cosine_similarity(one, other, dim=1)
    torch.testing.assert_close(cos, torch.ones_like(cos))


def test_the_direction_halfway_is_the_bisector() -> None:
    a, b = normal(0), normal(1)

    middle = interpolate(a, b, 0.5)

    similarity = torch.nn.functional.cosine_similarity
    torch.testing.assert_close(similarity(middle, a), similarity(middle, b))


def test_a_cell_of_zeros_has_no_direction_to_give() -> None:
    a, b = normal(0), torch.zeros(2, 4, 3, 5, dtype=torch.float64)

    torch.testing.assert_close(interpolate(a, b, 0.5), a / 2)
    assert not interpolate(b, b, 0.3).any()
