"""Computing with latents: values by hand, other sizes, and what becomes of masks and indices."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from latents import noise, numbered, seeded
from torch.nn.functional import interpolate as resampled

from nodegraph import NodeGraphError
from nodes.latent import empty_latent_image
from nodes.latent_arithmetic import (
    latent_add,
    latent_blend,
    latent_interpolate,
    latent_multiply,
    latent_subtract,
)
from nodes.types import Latent

Two = Callable[[Latent, Latent], Latent]
PAIRS: list[Two] = [latent_add, latent_subtract, latent_interpolate, latent_blend]


def cells(*values: float) -> Latent:
    """One cell with these channels."""
    return Latent(torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1))


def numbers(latent: Latent) -> list[float]:
    return [round(float(value), 5) for value in latent.samples.flatten()]


def test_sums_differences_and_multiples_are_taken_cell_by_cell() -> None:
    one, other = cells(1, 2, -3, 0), cells(4, 0.5, 3, 1)

    assert numbers(latent_add(one, other)) == [5, 2.5, 0, 1]
    assert numbers(latent_subtract(one, other)) == [-3, 1.5, -6, -1]
    assert numbers(latent_multiply(one, -0.5)) == [-0.5, -1, 1.5, 0]


def test_a_blend_is_the_weighted_mean() -> None:
    assert numbers(latent_blend(cells(4, 0), cells(0, 8), 0.25)) == [1, 6]


def test_between_two_latents_direction_and_length_are_mixed_apart() -> None:
    between = latent_interpolate(cells(2, 0), cells(0, 6), 0.5)

    assert numbers(between) == [round(4 * 0.5**0.5, 5)] * 2  # length (2 + 6) / 2, at 45 degrees


def test_a_length_of_zero_gives_no_direction_and_no_nan() -> None:
    assert numbers(latent_interpolate(cells(0, 0), cells(3, 4), 0.5)) == [1.5, 2]
    assert numbers(latent_interpolate(cells(0, 0), cells(0, 0), 0.5)) == [0, 0]


@pytest.mark.parametrize("node", [latent_interpolate, latent_blend])
def test_the_ratio_is_the_first_ones_share(node: Callable[[Latent, Latent, float], Latent]) -> None:
    one, other = seeded(2, 4, 3, 5), seeded(2, 4, 3, 5, seed=1)

    torch.testing.assert_close(node(one, other, 1.0).samples, one.samples)
    torch.testing.assert_close(node(one, other, 0.0).samples, other.samples)


@pytest.mark.parametrize(("node", "method"), [(latent_add, "bilinear"), (latent_blend, "bicubic")])
def test_a_second_of_another_size_is_trimmed_and_scaled(node: Two, method: str) -> None:
    zero, other = Latent(torch.zeros(1, 4, 4, 4)), seeded(1, 4, 6, 10)

    result = node(zero, other)

    middle = other.samples[..., 2:8]
    expected = resampled(middle, size=(4, 4), mode=method)
    share = 0.5 if node is latent_blend else 1
    torch.testing.assert_close(result.samples, expected * share)


@pytest.mark.parametrize("node", PAIRS)
def test_a_shorter_batch_starts_over_and_a_longer_one_is_cut(node: Two) -> None:
    one, three, four = seeded(3, 4, 2, 2), seeded(2, 4, 2, 2, seed=1), seeded(4, 4, 2, 2, seed=2)

    short, long = node(one, three).samples, node(one, four).samples

    assert len(short) == len(long) == 3
    first = [Latent(latent.samples[:1]) for latent in (one, three)]
    last = Latent(one.samples[2:])
    torch.testing.assert_close(short[:1], node(*first).samples)
    torch.testing.assert_close(short[2:], node(last, first[1]).samples)
    torch.testing.assert_close(long[2:], node(last, Latent(four.samples[2:3])).samples)


@pytest.mark.parametrize("node", PAIRS)
def test_mask_index_and_factor_are_those_of_the_first(node: Two) -> None:
    one = seeded(2, 4, 2, 3, factor=4, noise_mask=torch.ones(1, 1, 8, 12), batch_index=(3, 4))
    other = seeded(2, 4, 2, 3, factor=4, noise_mask=torch.zeros(1, 1, 8, 12), batch_index=(8, 9))

    result = node(one, other)

    assert result.noise_mask is one.noise_mask
    assert result.batch_index == (3, 4)
    assert result.factor == 4


@pytest.mark.parametrize("node", PAIRS)
def test_an_empty_latent_counts_as_zeros_like_the_other(node: Two) -> None:
    empty = empty_latent_image(12, 8)
    pixels = Latent(noise(1, 3, 8, 12), factor=1)
    zeros = Latent(torch.zeros(1, 3, 8, 12), factor=1)

    assert torch.equal(node(pixels, empty).samples, node(pixels, zeros).samples)
    result = node(empty, pixels)
    assert torch.equal(result.samples, node(zeros, pixels).samples)
    assert result.factor == 1
    assert result.pixels is None


@pytest.mark.parametrize("node", PAIRS)
def test_what_is_made_of_nothing_but_empty_latents_is_empty(node: Two) -> None:
    empty = empty_latent_image(64, 32)

    assert node(empty, empty).pixels == (64, 32)
    assert latent_multiply(empty, 3.0).pixels == (64, 32)
    assert not node(empty, empty).samples.any()


@pytest.mark.parametrize("node", PAIRS)
def test_latents_of_different_vaes_are_refused(node: Two) -> None:
    with pytest.raises(NodeGraphError, match="different VAEs"):
        node(numbered(1), seeded(1, 16, 2, 3))
    with pytest.raises(NodeGraphError, match="different VAEs"):
        node(numbered(1), seeded(1, 4, 2, 3, factor=4))


def test_an_empty_latent_smaller_than_a_cell_of_the_other_is_refused() -> None:
    with pytest.raises(
        NodeGraphError, match=r"16 x 32 pixels is smaller than one cell \(32 x 32\)"
    ):
        latent_add(empty_latent_image(16, 32), seeded(1, 4, 2, 3, factor=32))


@pytest.mark.parametrize("node", PAIRS)
def test_neither_input_is_changed(node: Two) -> None:
    one, other = seeded(2, 4, 3, 3), seeded(1, 4, 5, 4, seed=1)

    node(one, other)

    assert torch.equal(one.samples, noise(2, 4, 3, 3))
    assert torch.equal(other.samples, noise(1, 4, 5, 4, seed=1))
