"""Latents that are computed once: what a VAE finds likely for every picture, kept in files.

For each example (V views x 1 or 2, 2 Z, h, w): mean and log variance of the posterior, for each
stored crop, and for its mirror image where pictures are mirrored (the latent of a mirrored picture
is not the mirrored latent). Latents are in the VAE's own scale.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from nodes.models.vae import VAE, Posterior
from nodes.training.buckets import Size
from nodes.training.chance import Chance
from nodes.training.dataset import digest
from nodes.training.framing import Framing, Views
from nodes.training.order import Order
from nodes.training.pixels import Pixels
from nodes.training.shards import SHARD_BYTES, Progress, Rows, Shard, Shelf, shards_of, silent

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Encoder:
    """A VAE's first half.

    encode:   pixels (B, 3, H, W) in [-1, 1] -> q(z | pixels), (B, Z, H/f, W/f).
    identity: says which weights it has: equal identity, equal latents.
    channels: Z. factor: f, pixels per latent cell.
    """

    encode: Callable[[Tensor], Posterior]
    identity: str
    channels: int
    factor: int

    @classmethod
    def of(cls, vae: VAE, identity: str) -> Encoder:
        """That of a VAE, on the device and in the precision its weights are in."""
        like = vae.quant_conv.weight
        return cls(lambda x: vae.encode(x.to(like)), identity, vae.config.embed_dim, vae.factor)

    def shape(self, size: Size) -> tuple[int, int, int]:
        """(2 Z, h, w) of a picture's mean and log variance. ValueError if it does not fit."""
        width, height = size
        if width % self.factor or height % self.factor:
            raise ValueError(
                f"pictures of {width} x {height} pixels do not fill the VAE's latent cells of "
                f"{self.factor}: choose a resolution and a step that are multiples of it"
            )
        return 2 * self.channels, height // self.factor, width // self.factor


@dataclass(frozen=True, eq=False)
class Latents:
    """The latents of a data set, as `cache_latents` made them.

    crops: the stored views of all examples, without mirroring; `pixels` shows them.
    """

    pixels: Pixels
    rows: Rows
    crops: tuple[Views, ...]

    def to(self, device: str | torch.device) -> Latents:
        """The same, held by a device."""
        return replace(self, rows=self.rows.to(device))

    def order(self, batch: int, seed: int) -> Order:
        """Which examples come when; those of a batch have one size."""
        return self.pixels.order(batch, seed)

    def batch(self, examples: Sequence[int], chance: Chance, *, sample: bool = True) -> Tensor:
        """z (B, Z, h, w), drawn from the posterior, or its mean."""
        crop, mirrored = self._chosen(len(examples), chance)
        stored = self.rows.take(examples)
        index = (crop * self._mirrors + mirrored).to(stored.device)
        rows = torch.arange(len(stored), device=stored.device)
        mean, logvar = stored[rows, index].float().chunk(2, dim=1)
        if not sample:
            return mean
        generator = chance.generator("posterior")
        eps = torch.randn(mean.shape, generator=generator, device=chance.device).to(mean.device)
        return mean + (logvar / 2).exp() * eps

    def pictures(self, examples: Sequence[int], chance: Chance) -> Tensor:
        """The pictures that `batch` gives the latents of, (B, 3, H, W) in [-1, 1]."""
        return self.pixels.shown(examples, self._views(examples, chance))

    def hint(self, name: str, examples: Sequence[int], chance: Chance) -> Tensor:
        """(B, 3, H, W) in [0, 1], cut and mirrored as the latents of the same chance."""
        return self.pixels.shown_hint(name, examples, self._views(examples, chance))

    @property
    def _mirrors(self) -> int:
        return 2 if self.pixels.framing.flip else 1

    def _chosen(self, count: int, chance: Chance) -> tuple[Tensor, Tensor]:
        """Which stored crop (B,), and whether its mirror image (B,)."""
        generator = chance.generator("crop")
        crop = torch.randint(
            len(self.crops), (count,), generator=generator, device=chance.device
        ).cpu()
        return crop, Views.drawn(self.pixels.framing, count, chance).mirrored.long()

    def _views(self, examples: Sequence[int], chance: Chance) -> Views:
        crop, mirrored = self._chosen(len(examples), chance)
        stored = [self.crops[i] for i in crop.tolist()]
        x, y = (
            torch.stack([getattr(crop, axis)[n] for crop, n in zip(stored, examples, strict=True)])
            for axis in ("x", "y")
        )
        return Views(x, y, mirrored.bool())


def cache_latents(
    pixels: Pixels,
    encoder: Encoder,
    folder: Path,
    *,
    crops: int = 1,
    batch: int = 16,
    dtype: torch.dtype = torch.float32,
    shard_bytes: int = SHARD_BYTES,
    on_progress: Progress = silent,
) -> Latents:
    """The latents of every example, from `folder` where they were computed before.

    crops: how many random crops of each picture are kept, where the framing crops by chance.
    dtype: what they are stored as. on_progress is told how many examples are done, of how many, and
    may raise: what was done is kept, and the next call goes on from there.
    Raises ValueError where sizes do not fit the VAE, OSError where the folder cannot be written.
    """
    framing = pixels.framing
    kept = _crops(framing, len(pixels.dataset), crops)
    mirrors = (False, True) if framing.flip else (False,)
    about = digest(
        [
            FORMAT,
            pixels.dataset.pictures,
            encoder.identity,
            _what_counts(framing),
            len(kept),
            str(dtype),
        ]
    )
    shards = _shards(pixels, encoder, len(kept) * len(mirrors), dtype.itemsize, shard_bytes)

    @torch.no_grad()
    def encoded(numbers: Sequence[int]) -> Tensor:
        made = []
        rows = list(numbers)
        for crop in kept:
            for mirrored in mirrors:
                views = Views(crop.x[rows], crop.y[rows], torch.full((len(rows),), mirrored))
                q = encoder.encode(pixels.shown(rows, views))
                made.append(torch.cat([q.mean, q.logvar], dim=1).float())
        return torch.stack(made, dim=1)

    rows = Shelf(folder / about, about, dtype).fill(shards, encoded, batch, on_progress)
    return Latents(pixels, rows, kept)


def _crops(framing: Framing, examples: int, crops: int) -> tuple[Views, ...]:
    """The views that are stored, each over all examples; the middle alone, if it is cut there."""
    if crops < 1:
        raise ValueError(f"crops: expected at least 1, got {crops}")
    if framing.crop == "center":
        return (Views.middle(examples),)
    unmirrored = replace(framing, flip=0.0)
    return tuple(Views.drawn(unmirrored, examples, Chance(0, (crop,))) for crop in range(crops))


def _what_counts(framing: Framing) -> dict[str, object]:
    """What latents depend on: whether pictures are mirrored at all, not how many."""
    return {**framing.as_json(), "flip": bool(framing.flip)}


def _shards(
    pixels: Pixels, encoder: Encoder, variants: int, item: int, limit: int
) -> tuple[Shard, ...]:
    groups = [
        ((variants, *encoder.shape(size)), numbers) for size, numbers in pixels.buckets.items()
    ]
    return shards_of(groups, item, limit)
