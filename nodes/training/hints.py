"""Hints that are made from the pictures themselves: silhouettes, edges, depth, segments.

A picture is (1, H, W, 3) in [0, 1], on its background; a hint (1, H, W) or (1, H, W, 3) in [0, 1].
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nodes.imaging.files import encode_png
from nodes.imaging.filters import canny
from nodes.imaging.silhouette import silhouette
from nodes.training.dataset import Dataset, DatasetError, Example, digest
from nodes.training.framing import WHITE
from nodes.training.pixels import opened

LOW, HIGH = 0.4, 0.8  # thresholds of the edges

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class HintMaker:
    """A kind of hint. version: raise it when equal pictures get other hints, or old ones are used.

    make: picture -> hint, as this module says.
    """

    make: Callable[[Tensor], Tensor]
    version: int = 1


def depth(image: Tensor) -> Tensor:
    """The silhouette as a relief: how far each place is from its edge, the farthest 1 (nearest)."""
    relief = distances(silhouette(image))
    return relief / relief.max().clamp_min(1)


def distances(inside: Tensor) -> Tensor:
    """For each cell of (B, H, W) that is 1 the way to the nearest that is 0, in cells.

    Along rows first, then d^2(y) = min_y' (row(y')^2 + (y - y')^2) down the columns (Saito and
    Toriwaki, New algorithms for Euclidean distance transformation, 1994). Without any 0 it is
    H + W everywhere.
    """
    height, width = inside.shape[1:]
    far = height + width
    column = torch.arange(width).expand_as(inside)
    left = torch.where(inside == 0, column, -far).cummax(dim=2).values
    right = -torch.where(inside == 0, -column, -(far + width)).flip(2).cummax(dim=2).values.flip(2)
    row = torch.minimum(column - left, right - column).clamp(max=far).square()
    best = row.clone()
    for step in range(1, height):
        if step**2 >= best.max():
            break
        best[:, step:] = torch.minimum(best[:, step:], row[:, :-step] + step**2)
        best[:, :-step] = torch.minimum(best[:, :-step], row[:, step:] + step**2)
    return best.float().sqrt()


def edges(image: Tensor) -> Tensor:
    """White lines along the edges, on black (Canny). LibraryMissing without kornia."""
    return canny(image, LOW, HIGH)


# Red, green and blue of 255: the colours that a child would name.
COLOURS: Mapping[str, tuple[int, int, int]] = {
    "black": (0, 0, 0),
    "grey": (128, 128, 128),
    "white": (255, 255, 255),
    "red": (220, 30, 30),
    "orange": (250, 140, 20),
    "yellow": (250, 210, 50),
    "green": (70, 160, 50),
    "turquoise": (40, 180, 180),
    "sky": (120, 200, 250),
    "blue": (40, 80, 200),
    "purple": (140, 60, 180),
    "pink": (250, 150, 190),
    "brown": (120, 70, 40),
}


def segmentation(image: Tensor) -> Tensor:
    """Each pixel as the nearest of `COLOURS`, by squared distance: a map of flat regions."""
    palette = image.new_tensor(list(COLOURS.values())) / 255
    apart = (image[..., None, :] - palette).square().sum(dim=-1)  # (1, H, W, colours)
    return palette[apart.argmin(dim=-1)]


MAKERS: Mapping[str, HintMaker] = {
    "silhouette": HintMaker(silhouette),
    "edges": HintMaker(edges),
    "depth": HintMaker(depth),
    "segmentation": HintMaker(segmentation),
}


def add_hints(
    dataset: Dataset,
    name: str,
    kind: str,
    maker: HintMaker,
    folder: Path,
    on_progress: Progress,
) -> Dataset:
    """The data set with hints of a kind, called `name`; their files are below `folder`.

    A hint that is there from before is used. on_progress is told how many there are, of how many.
    Raises DatasetError for a maker whose hint is no picture of the size, or a name that is taken.
    """
    taken = [e.name for e in dataset.examples if name in e.hints]
    if taken:
        raise DatasetError(f"{taken[0]} has a hint {name!r} already: choose another name")
    place = folder / digest([kind, maker.version])
    paths, keys = [], []
    for number, example in enumerate(dataset.examples, start=1):
        path = place / f"{example.picture}.png"
        if not (path.is_file() and path.stat().st_size):
            _write(path, example, kind, maker)
        paths.append(path)
        keys.append(digest([kind, maker.version, example.picture]))
        on_progress(number, len(dataset))
    return dataset.with_hint(name, paths, keys)


@torch.no_grad()
def _write(path: Path, example: Example, kind: str, maker: HintMaker) -> None:
    image = opened(example.image, example.name, WHITE).movedim(1, -1).contiguous()
    hint = maker.make(image)
    if hint.ndim == image.ndim - 1:
        hint = hint[..., None].expand_as(image)
    if hint.shape != image.shape:
        raise DatasetError(
            f"the hint {kind!r} of {example.name} has shape {tuple(hint.shape)}; expected "
            f"{tuple(image.shape[:3])} or {tuple(image.shape)}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    # not brought to the disk one by one: there are thousands, and each can be made again
    partial.write_bytes(encode_png(hint[0].float().contiguous(), compress_level=1))
    partial.replace(path)
