"""A function of a picture, applied to overlapping tiles and blended without seams.

Tiles of h x w cells start every h - overlap (w - overlap) cells; the last of a row or column is
moved back so that it ends with the picture, hence every tile has its full size unless the picture
is smaller. Over the f cells that two neighbours share, the weight of one rises 1/(f+1), 2/(f+1),
..., f/(f+1) while the other's falls; elsewhere, and towards the ends of the picture, it is 1. A
cell's value is the weighted mean over the tiles that hold it, taken as a running one,

    out <- out + (v - out) w_k / (w_1 + ... + w_k),

so it needs no second buffer, and where all tiles agree it gives their value to the last bit. The
weights are products of one for the row and one for the column, so their sums are too.

What a function computes from the whole of what it sees (a group norm, attention) it computes from
a tile here: such a result is not the untiled one, only close to it. A function of a neighbourhood
gives the untiled result wherever the neighbourhood lies inside all the tiles that hold the cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

Progress = Callable[[int, int], None]


def tiled(
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    tile: tuple[int, int],
    overlap: int,
    scale: float | Fraction,
    out_channels: int,
    on_tile: Progress | None = None,
    three_shapes: bool = False,
) -> Tensor:
    """function(x), (B, C, H, W) -> (B, out_channels, H scale, W scale) on the host.

    `function` gets one picture's tile (1, C, <= h, <= w), where x is, and returns
    (1, out_channels, h scale, w scale), anywhere; `tile` (h, w) and `overlap` are in cells of x,
    `scale` is a whole number or one over a whole number q, and then all sides are multiples of q.
    `on_tile(i, n)` is called after the i-th of n tiles; what it raises ends the work.
    `three_shapes` averages over the tile (h, w) and the two of half the height and twice the
    width and the reverse, so that what hangs on a tile's place is averaged out: three times the
    work, two result buffers instead of one. Half precisions are blended in float32.

    Raises ValueError if the sides do not fit, or overlap is not less than the (halved) tile.
    """
    ratio = _ratio(scale)
    shapes = _three(tile, ratio.denominator) if three_shapes else [tile]
    _check(x, shapes, overlap, ratio.denominator)
    plans = [Grid.over(x.shape[-2:], shape, overlap, ratio) for shape in shapes]
    count = x.shape[0] * sum(len(plan.rows) * len(plan.columns) for plan in plans)
    ticks = iter(range(1, count + 1))

    def done() -> None:
        if on_tile is not None:
            on_tile(next(ticks), count)

    mean = _empty(x, out_channels, ratio)
    for index, plan in enumerate(plans):
        # the running mean over shapes; the first is written in place
        result = mean if index == 0 else _empty(x, out_channels, ratio)
        for picture in range(x.shape[0]):
            _blend(function, x[picture : picture + 1], result[picture : picture + 1], plan, done)
        if index > 0:
            mean.lerp_(result, 1 / (index + 1))
    return mean


@dataclass(frozen=True)
class Span:
    """A tile's place along one axis, in cells of x and of the result, with its weights there.

    `own` (n) is the tile's weight along the axis, `until` the sum of the weights of the tiles up
    to and with this one, `before` that without this one, and `all` that of every tile.
    """

    source: slice
    target: slice
    own: Tensor
    before: Tensor
    until: Tensor
    all: Tensor


@dataclass(frozen=True)
class Grid:
    """The tiles over a picture: every one of `rows` with every one of `columns`."""

    rows: list[Span]
    columns: list[Span]

    @classmethod
    def over(cls, sides: torch.Size, tile: tuple[int, int], overlap: int, ratio: Fraction) -> Grid:
        rows, columns = (
            _spans(side, length, overlap, ratio) for side, length in zip(sides, tile, strict=True)
        )
        return cls(rows, columns)

    def __iter__(self) -> Iterator[tuple[Span, Span]]:
        return ((row, column) for row in self.rows for column in self.columns)


def _blend(
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    result: Tensor,
    grid: Grid,
    done: Callable[[], None],
) -> None:
    """Fill `result` (1, out_channels, H scale, W scale), which is zeros, from the tiles of x."""
    for row, column in grid:
        value = function(x[..., row.source, column.source])
        place = result[..., row.target, column.target]
        if value.shape != place.shape:
            raise ValueError(
                f"the tiled function gave {tuple(value.shape)} for a tile that asks for "
                f"{tuple(place.shape)}: check scale and out_channels"
            )
        own = row.own[:, None] * column.own
        seen = row.before[:, None] * column.all + row.own[:, None] * column.until
        place.lerp_(value.to(result), (own / seen).to(result))
        done()


def _spans(side: int, length: int, overlap: int, ratio: Fraction) -> list[Span]:
    stride, length = length - overlap, min(length, side)
    starts = [*range(0, side - length, stride), side - length]
    cells = [(_times(start, ratio), _times(start + length, ratio)) for start in starts]
    total = torch.zeros(_times(side, ratio))
    partial = []
    for begin, end in cells:
        own = _ramp(begin, end, len(total), _times(overlap, ratio))
        before = total[begin:end].clone()
        total[begin:end] += own
        partial.append((own, before, total[begin:end].clone()))
    return [
        Span(slice(start, start + length), slice(b, e), own, before, until, total[b:e])
        for start, (b, e), (own, before, until) in zip(starts, cells, partial, strict=True)
    ]


def _ramp(begin: int, end: int, side: int, overlap: int) -> Tensor:
    """1/(f+1), ..., f/(f+1), 1, ..., 1, f/(f+1), ..., 1/(f+1) with f = overlap.

    It stays 1 towards an end of the picture: a last tile that fell there while it shares cells
    with its neighbour up to the end would leave the neighbour's own end a step.
    """
    rising = torch.arange(1, end - begin + 1) / (overlap + 1)
    weights = torch.ones(end - begin)
    if begin > 0:
        weights = torch.minimum(weights, rising)
    return torch.minimum(weights, rising.flip(0)) if end < side else weights


def _three(tile: tuple[int, int], q: int) -> list[tuple[int, int]]:
    """The tile, and the two of half one side (still a multiple of q) and twice the other."""
    h, w = tile
    return [(h, w), (h // 2 // q * q, w * 2), (h * 2, w // 2 // q * q)]


def _empty(x: Tensor, channels: int, ratio: Fraction) -> Tensor:
    H, W = (_times(side, ratio) for side in x.shape[-2:])
    dtype = torch.promote_types(x.dtype, torch.float32)
    return torch.zeros(x.shape[0], channels, H, W, dtype=dtype, device="cpu")


def _ratio(scale: float | Fraction) -> Fraction:
    ratio = Fraction(scale).limit_denominator(4096)
    if ratio <= 0 or 1 not in (ratio.numerator, ratio.denominator):
        raise ValueError(f"the scale is a whole number or one over a whole number, not {scale}")
    return ratio


def _check(x: Tensor, shapes: list[tuple[int, int]], overlap: int, q: int) -> None:
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise ValueError(f"what is tiled is (B, C, H, W), not {tuple(x.shape)}")
    shortest = min(min(shape) for shape in shapes)
    if not 0 <= overlap < shortest:
        raise ValueError(
            f"an overlap of {overlap} does not fit tiles of {shapes}: it is at least 0 and less "
            "than their shortest side"
        )
    sides = {"picture": tuple(x.shape[-2:]), "tile": shapes[0], "overlap": (overlap,)}
    for name, lengths in sides.items():
        if any(length % q for length in lengths):
            raise ValueError(
                f"the {name} ({' x '.join(map(str, lengths))}) is not a multiple of {q}, "
                f"which a scale of 1/{q} asks for"
            )


def _times(cells: int, ratio: Fraction) -> int:
    return cells * ratio.numerator // ratio.denominator
