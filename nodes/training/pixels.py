"""Batches of pictures, and of the hints beside them, cut and mirrored alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from nodes.imaging.errors import PictureError
from nodes.imaging.files import decode
from nodes.training.buckets import Size, covering, nearest_size
from nodes.training.chance import Chance
from nodes.training.dataset import Dataset, DatasetError, Source
from nodes.training.framing import Framing, Views
from nodes.training.keeping import Kept
from nodes.training.order import Order

KEPT_BYTES = 2 << 30
STEPPED = ("segmentation",)  # hints whose colours are names, and must not be mixed
BLACK = (0.0, 0.0, 0.0)
MOST_COLOURS = 256  # of a segmentation

Key: TypeAlias = tuple[str, int]  # ("" or a hint's name, example)


@dataclass(frozen=True, eq=False)
class Pixels:
    """The pictures of a data set as a framing shows them.

    kept:   bytes of scaled pictures (uint8) that are kept; the longest unused go first.
    device: where they are kept, and where batches come from.
    """

    dataset: Dataset
    framing: Framing
    kept: int = KEPT_BYTES
    device: str = "cpu"

    @cached_property
    def sizes(self) -> tuple[Size, ...]:
        """The size each example is brought to."""
        sizes = self.framing.sizes
        return tuple(nearest_size(example.size, sizes) for example in self.dataset.examples)

    @cached_property
    def buckets(self) -> dict[Size, tuple[int, ...]]:
        """The numbers of the examples of each size, in the order of sizes."""
        found: dict[Size, list[int]] = {size: [] for size in self.framing.sizes}
        for number, size in enumerate(self.sizes):
            found[size].append(number)
        return {size: tuple(numbers) for size, numbers in found.items() if numbers}

    def order(self, batch: int, seed: int) -> Order:
        """Which examples come when; those of a batch have one size."""
        return Order(tuple(self.buckets.values()), batch, seed)

    def views(self, examples: Sequence[int], chance: Chance) -> Views:
        """The views that `batch` and `hint` take with this chance."""
        return Views.drawn(self.framing, len(examples), chance)

    def batch(self, examples: Sequence[int], chance: Chance) -> Tensor:
        """(B, 3, H, W) in [-1, 1]. Raises DatasetError for examples of several sizes."""
        return self.shown(examples, self.views(examples, chance))

    def pictures(self, examples: Sequence[int], chance: Chance) -> Tensor:
        """The pictures that `batch` gives, which are the same: see `Latents`."""
        return self.batch(examples, chance)

    def hint(self, name: str, examples: Sequence[int], chance: Chance) -> Tensor:
        """(B, 3, H, W) in [0, 1], cut and mirrored as the `batch` of the same chance.

        Raises DatasetError where an example has no such hint.
        """
        return self.shown_hint(name, examples, self.views(examples, chance))

    def shown(self, examples: Sequence[int], views: Views) -> Tensor:
        """The pictures as these views show them, (B, 3, H, W) in [-1, 1]."""
        return self._cut("", examples, views).float().div_(127.5).sub_(1)

    def shown_hint(self, name: str, examples: Sequence[int], views: Views) -> Tensor:
        """The hints as these views show them, (B, 3, H, W) in [0, 1]."""
        return self._cut(name, examples, views).float().div_(255)

    def _cut(self, name: str, examples: Sequence[int], views: Views) -> Tensor:
        """(B, 3, H, W) uint8."""
        sizes = {self.sizes[number] for number in examples}
        if len(sizes) != 1:
            raise DatasetError(f"a batch holds examples of one size, not of {sorted(sizes)}")
        width, height = sizes.pop()
        cut = []
        placed = zip(examples, views.x.tolist(), views.y.tolist(), strict=True)
        for number, x, y in placed:
            whole = self._scaled((name, number))
            left = _offset(whole.shape[2] - width, x)
            top = _offset(whole.shape[1] - height, y)
            cut.append(whole[:, top : top + height, left : left + width])
        pictures = torch.stack(cut)
        if not views.mirrored.any():
            return pictures
        mirrored = views.mirrored.to(pictures.device).view(-1, 1, 1, 1)
        return torch.where(mirrored, pictures.flip(-1), pictures)

    @cached_property
    def _pictures(self) -> Kept[Key]:
        return Kept(self.kept, self._make)

    def _scaled(self, key: Key) -> Tensor:
        return self._pictures.get(key)

    def _make(self, key: Key) -> Tensor:
        """(3, H, W) uint8: a picture scaled until it covers its size. A hint is as large."""
        name, number = key
        example = self.dataset.examples[number]
        size = covering(example.size, self.sizes[number])
        source = example.hint(name) if name else example.image
        background = BLACK if name else self.framing.background
        scale = stepped if name in STEPPED else smooth
        return scale(opened(source, example.name, background), size).to(self.device)


Scale: TypeAlias = Callable[[Tensor, Size], Tensor]


def opened(source: Source, name: str, background: tuple[float, float, float]) -> Tensor:
    """(1, 3, H, W) in [0, 1], the way up it is seen, laid on the background, first frame alone.

    Raises DatasetError where the file is gone or damaged by now.
    """
    try:
        picture = decode(source)
    except PictureError as error:
        raise DatasetError(f"{name} can no longer be read: {error}") from error
    image = picture.image[:1].movedim(-1, 1)
    if picture.mask.shape[1:] != picture.image.shape[1:3] or not picture.mask[:1].any():
        return image
    alpha = 1 - picture.mask[:1, None]
    return image * alpha + image.new_tensor(background).view(1, 3, 1, 1) * (1 - alpha)


def smooth(picture: Tensor, size: Size) -> Tensor:
    """(1, 3, H, W) in [0, 1] -> (3, h, w) uint8, bicubic, smoothed before it is made smaller."""
    width, height = size
    if picture.shape[2:] != (height, width):
        picture = interpolate(picture, (height, width), mode="bicubic", antialias=True)
    return (picture[0] * 255).round().clamp(0, 255).to(torch.uint8)


def stepped(picture: Tensor, size: Size) -> Tensor:
    """The same, with no colours but those there were."""
    width, height = size
    picture = interpolate(picture, (height, width), mode="nearest-exact")
    return (picture[0] * 255).round().to(torch.uint8)


def _offset(slack: int, place: float) -> int:
    """Where `place` of [0, 1] is among the slack + 1 offsets there are."""
    return min(int(place * (slack + 1)), slack)


def palette_of(dataset: Dataset, hint: str) -> tuple[tuple[int, int, int], ...]:
    """The colours of all hints of a name, red, green and blue of 0 to 255, in ascending order.

    Raises DatasetError where an example has no such hint, or there are more than 256 colours.
    """
    found: set[tuple[int, int, int]] = set()
    for example in dataset.examples:
        shown = stepped(opened(example.hint(hint), example.name, BLACK), example.size)
        colours = torch.unique(shown.flatten(1), dim=1).T.tolist()
        found.update((red, green, blue) for red, green, blue in colours)
        if len(found) > MOST_COLOURS:
            raise DatasetError(
                f"the hints {hint!r} have more than {MOST_COLOURS} colours: a segmentation "
                "is drawn in few flat ones, without smooth edges and not as a JPEG"
            )
    return tuple(sorted(found))
