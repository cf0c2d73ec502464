"""Tiling: the weights make agreement exact, tiles are bounded, seams do not show."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from nodes.imaging.tiling import tiled


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def identity(x: Tensor) -> Tensor:
    return x


@st.composite
def layouts(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[int, int], int]:
    """Sides of a picture, of a tile, and an overlap that fits, also for the halved tiles."""
    h, w = draw(st.integers(2, 12)), draw(st.integers(2, 12))
    overlap = draw(st.integers(0, min(h, w) // 2 - 1))
    return (draw(st.integers(1, 40)), draw(st.integers(1, 40))), (h, w), overlap


@given(layouts(), st.booleans(), st.sampled_from([torch.float32, torch.float64, torch.float16]))
@settings(max_examples=80, deadline=None)
def test_the_identity_is_reproduced_to_the_last_bit(
    layout: tuple[tuple[int, int], tuple[int, int], int], three_shapes: bool, dtype: torch.dtype
) -> None:
    (H, W), tile, overlap = layout
    x = random(2, 3, H, W).to(dtype)

    result = tiled(
        identity,
        x,
        tile=tile,
        overlap=overlap,
        scale=1,
        out_channels=3,
        three_shapes=three_shapes,
    )

    assert torch.equal(result, x.to(torch.promote_types(dtype, torch.float32)))


@given(layouts(), st.sampled_from([1, 2, 3, 8]), st.booleans())
@settings(max_examples=50, deadline=None)
def test_enlarging_every_cell_is_reproduced_to_the_last_bit(
    layout: tuple[tuple[int, int], tuple[int, int], int], scale: int, three_shapes: bool
) -> None:
    (H, W), tile, overlap = layout
    x = random(1, 2, H, W)

    def enlarged(x: Tensor) -> Tensor:
        return x.repeat_interleave(scale, -1).repeat_interleave(scale, -2)

    result = tiled(
        enlarged,
        x,
        tile=tile,
        overlap=overlap,
        scale=scale,
        out_channels=2,
        three_shapes=three_shapes,
    )

    assert torch.equal(result, enlarged(x))


@given(layouts(), st.sampled_from([2, 8]), st.booleans())
@settings(max_examples=50, deadline=None)
def test_shrinking_blocks_of_cells_is_reproduced_to_the_last_bit(
    layout: tuple[tuple[int, int], tuple[int, int], int], q: int, three_shapes: bool
) -> None:
    (H, W), (h, w), overlap = layout
    x = random(1, 2, H * q, W * q)

    def shrunk(x: Tensor) -> Tensor:
        return x[..., ::q, ::q]

    result = tiled(
        shrunk,
        x,
        tile=(h * q, w * q),
        overlap=overlap * q,
        scale=1 / q,
        out_channels=2,
        three_shapes=three_shapes,
    )

    assert torch.equal(result, shrunk(x))


def test_the_weights_ramp_linearly_over_the_overlap() -> None:
    values = iter([0.0, 1.0])

    def numbered(x: Tensor) -> Tensor:
        return torch.full_like(x, next(values))

    result = tiled(
        numbered, torch.zeros(1, 1, 4, 9), tile=(4, 6), overlap=3, scale=1, out_channels=1
    )

    expected = torch.tensor([0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1])
    assert torch.allclose(result[0, 0], expected.expand(4, 9))


def test_the_result_is_the_mean_of_the_tiles_by_their_weights() -> None:
    """Against the plain definition: sum of weight times value over sum of weights."""
    x, seen = torch.zeros(1, 1, 14, 17), []
    tile, overlap, scale = (6, 8), 3, 2

    def numbered(x: Tensor) -> Tensor:
        seen.append(random(1, 1, 2 * x.shape[-2], 2 * x.shape[-1]) + len(seen))
        return seen[-1]

    result = tiled(numbered, x, tile=tile, overlap=overlap, scale=scale, out_channels=1)

    def weights(start: int, n: int, side: int) -> Tensor:
        feather = overlap * scale + 1
        rising = [1 if start == 0 else (i + 1) / feather for i in range(n)]
        falling = [1 if start + n == side else (n - i) / feather for i in range(n)]
        return torch.tensor([min(1, r, f) for r, f in zip(rising, falling, strict=True)])

    total, weight = torch.zeros(28, 34), torch.zeros(28, 34)
    corners = [(y, x) for y in (0, 6, 12, 16) for x in (0, 10, 18)]
    assert len(seen) == len(corners)
    for value, (y, left) in zip(seen, corners, strict=True):
        own = weights(y, 12, 28)[:, None] * weights(left, 16, 34)
        total[y : y + 12, left : left + 16] += own * value[0, 0]
        weight[y : y + 12, left : left + 16] += own
    assert torch.allclose(result[0, 0], total / weight, atol=1e-5)


def test_a_function_of_a_neighbourhood_is_the_untiled_one_away_from_the_seams() -> None:
    """A 3 x 3 mean with zero padding errs in the cells at a tile's border only.

    So wherever a cell is inside all its tiles by more than one cell the result is exact, and at
    the borders, where the weight is least (1 / 9), the error is at most that share of it.
    """
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(48.0), indexing="ij")
    smooth = (2 + torch.sin(x / 7) + torch.cos(y / 5))[None, None]
    kernel = torch.full((1, 1, 3, 3), 1 / 9)

    def blurred(x: Tensor) -> Tensor:
        return functional.conv2d(x, kernel, padding=1)

    result = tiled(blurred, smooth, tile=(16, 16), overlap=8, scale=1, out_channels=1)

    inside = torch.ones(40, 48, dtype=torch.bool)
    for start in (8, 16, 24, 32):
        inside[[start, start + 7]] = False
        inside[:, [start, start + 7]] = False
    error = (result - blurred(smooth))[0, 0].abs()
    assert inside.sum() > 32 * 40 // 2
    assert error[inside].max() < 1e-5
    assert 0.05 < error.max() < 2 * (1 / 9) * (3 / 9) * 4  # rows and columns, weight, missing


@pytest.mark.parametrize("width", [34, 80, 81, 85, 97, 100])
def test_no_seam_shows_where_tiles_disagree(width: int) -> None:
    """Neighbouring tiles differ by 1: the blend has no step larger than the ramp's 1 / (f + 1).

    At width 34 the only two tiles share nearly everything, at 85 the last two do.
    """
    offsets = itertools.cycle([0.0, 1.0])

    def offset(x: Tensor) -> Tensor:
        return torch.full_like(x, next(offsets))

    x = torch.zeros(1, 1, 32, width)
    result = tiled(offset, x, tile=(32, 32), overlap=15, scale=1, out_channels=1)

    assert (result.min(), result.max()) == (0, 1)
    assert result[0, 0].diff(dim=-1).abs().max() <= 1 / 16 + 1e-6


@given(layouts(), st.booleans())
@settings(max_examples=50, deadline=None)
def test_the_function_sees_full_tiles_or_the_whole_side_and_covers_everything(
    layout: tuple[tuple[int, int], tuple[int, int], int], three_shapes: bool
) -> None:
    (H, W), (h, w), overlap = layout
    x = torch.arange(float(H * W)).reshape(1, 1, H, W)
    shapes, cells = [], torch.zeros(H * W, dtype=torch.bool)

    def watched(x: Tensor) -> Tensor:
        shapes.append(tuple(x.shape[-2:]))
        cells[x.long().flatten()] = True
        return x

    tiled(
        watched,
        x,
        tile=(h, w),
        overlap=overlap,
        scale=1,
        out_channels=1,
        three_shapes=three_shapes,
    )

    tiles = [(h, w)]
    if three_shapes:
        tiles += [(h // 2, w * 2), (h * 2, w // 2)]
    assert set(shapes) == {(min(a, H), min(b, W)) for a, b in tiles}
    assert cells.all()


def test_pictures_of_a_batch_are_taken_one_at_a_time() -> None:
    sizes = []

    def watched(x: Tensor) -> Tensor:
        sizes.append(x.shape[0])
        return x

    tiled(watched, random(3, 1, 8, 8), tile=(8, 8), overlap=2, scale=1, out_channels=1)

    assert sizes == [1, 1, 1]


def test_three_shapes_are_averaged_equally() -> None:
    values = {(4, 4): 0.0, (2, 8): 3.0, (8, 2): 9.0}

    def by_shape(x: Tensor) -> Tensor:
        return torch.full_like(x, values[x.shape[-2], x.shape[-1]])

    result = tiled(
        by_shape,
        torch.zeros(1, 1, 16, 16),
        tile=(4, 4),
        overlap=1,
        scale=1,
        out_channels=1,
        three_shapes=True,
    )

    assert torch.allclose(result, torch.full_like(result, 4.0))


@pytest.mark.parametrize(("three_shapes", "count"), [(False, 2 * 4), (True, 2 * (4 + 6 + 6))])
def test_progress_counts_every_tile_of_every_picture(three_shapes: bool, count: int) -> None:
    ticks = []

    tiled(
        identity,
        random(2, 1, 14, 14),
        tile=(8, 8),
        overlap=2,
        scale=1,
        out_channels=1,
        on_tile=lambda i, n: ticks.append((i, n)),
        three_shapes=three_shapes,
    )

    assert ticks == [(i, count) for i in range(1, count + 1)]


def test_an_error_in_the_progress_call_stops_the_work() -> None:
    calls = []

    def cancel(i: int, n: int) -> None:
        calls.append(i)
        if i == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        tiled(
            identity,
            random(1, 1, 30, 30),
            tile=(8, 8),
            overlap=2,
            scale=1,
            out_channels=1,
            on_tile=cancel,
        )

    assert calls == [1, 2]


def test_the_channels_and_the_precision_may_change() -> None:
    def decoded(x: Tensor) -> Tensor:
        return functional.interpolate(x[:, :3], scale_factor=8, mode="nearest").bfloat16()

    x = torch.ones(1, 4, 10, 10, dtype=torch.float16)

    result = tiled(decoded, x, tile=(6, 6), overlap=2, scale=8, out_channels=3)

    assert result.dtype == torch.float32
    assert torch.equal(result, torch.ones(1, 3, 80, 80))


def test_an_empty_batch_gives_an_empty_result() -> None:
    result = tiled(
        identity, torch.zeros(0, 4, 8, 8), tile=(8, 8), overlap=2, scale=8, out_channels=3
    )

    assert result.shape == (0, 3, 64, 64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overlap": 8}, r"overlap of 8 does not fit tiles of \[\(8, 8\)\]"),
        ({"overlap": -1}, "overlap of -1 does not fit"),
        ({"overlap": 4, "three_shapes": True}, r"overlap of 4 .*\(4, 16\)"),
        ({"tile": (0, 8)}, "overlap of 2 does not fit"),
        ({"scale": 1.5}, "one over a whole number, not 1.5"),
        ({"scale": 0}, "one over a whole number, not 0"),
        ({"scale": Fraction(1, 3)}, r"picture \(16 x 16\) is not a multiple of 3"),
        ({"scale": 1 / 4}, r"overlap \(2\) is not a multiple of 4"),
        ({"scale": 1 / 2, "tile": (8, 7)}, r"tile \(8 x 7\) is not a multiple of 2"),
        ({"scale": 2}, r"gave \(1, 1, 8, 8\) for a tile that asks for \(1, 1, 16, 16\)"),
        ({"out_channels": 3}, r"gave \(1, 1, 8, 8\) for a tile that asks for \(1, 3, 8, 8\)"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(
    options: dict[str, object], message: str
) -> None:
    arguments = {"tile": (8, 8), "overlap": 2, "scale": 1, "out_channels": 1} | options

    with pytest.raises(ValueError, match=message):
        tiled(identity, torch.zeros(1, 1, 16, 16), **arguments)  # type: ignore[arg-type]


def test_what_is_no_batch_of_pictures_is_refused() -> None:
    with pytest.raises(ValueError, match=r"is \(B, C, H, W\), not \(4, 8, 8\)"):
        tiled(identity, torch.zeros(4, 8, 8), tile=(8, 8), overlap=2, scale=1, out_channels=4)
