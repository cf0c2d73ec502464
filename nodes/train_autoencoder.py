"""The node that trains the autoencoder of latent diffusion (arXiv:2112.10752, §3.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor

from nodegraph import Context, NodeGraphError, Number, Tip, node
from nodes.models.checkpoint_info import inspect
from nodes.models.checkpoint_metadata import Declared
from nodes.models.save import save_original
from nodes.models.vae import VAE
from nodes.training.autoencoder import (
    SCALE,
    AutoencoderLesson,
    AutoencoderWeights,
    fold_scale,
    spread,
)
from nodes.training.chance import Chance
from nodes.training.dataset import Dataset
from nodes.training.drawing import grid
from nodes.training.framing import Crop
from nodes.training.pixels import Pixels
from nodes.training.recipe import Recipe
from nodes.training_parts import DTYPES, RESULT, Shape, Stored, framing_of, network_of
from nodes.training_run import run_folder, train
from nodes.types import Vae
from nodes.weights import as_vae

NAME = "autoencoder"
SHOWN = 8  # pictures of a sample sheet, each above what becomes of it
MEASURED = 512  # pictures that the latents' deviation is taken from, at most

Weight = Annotated[float, Number(min=0.0, max=1000.0, step=0.01)]
Share = Annotated[float, Number(min=0.0, max=1.0, step=0.01)]


@node("TrainAutoencoder", category="training", display_name="Train Autoencoder")
def train_autoencoder(
    vae: Vae,
    dataset: Dataset,
    recipe: Recipe,
    resolution: Annotated[int, Number(min=8, max=4096, step=8)] = 64,
    shape: Annotated[Shape, Tip("buckets: each picture to the nearest of several aspects")] = (
        "square"
    ),
    crop: Annotated[Crop, Tip("what is kept of what stands out")] = "center",
    flip: Share = 0.5,
    absolute: Annotated[Weight, Tip("weight of |x − D(z)|")] = 1.0,
    squared: Annotated[Weight, Tip("weight of (x − D(z))²")] = 1.0,
    kl: Annotated[
        float,
        Number(min=0.0, max=1.0, step=1e-6, round=False),
        Tip("weight of the latents' distance from N(0, 1)"),
    ] = 1e-4,
    stored: Annotated[Stored, Tip("what the result is saved as")] = "fp16",
    *,
    context: Context,
) -> Vae:
    """Teach an autoencoder to give pictures back through a narrow latent.

    At the end its latents are scaled so that Stable Diffusion's 0.18215 gives them unit variance.
    """
    path = run_folder(NAME, context).path / RESULT
    if not path.is_file():
        if vae.source is None:
            raise NodeGraphError("pixel_space has nothing to learn: connect NewAutoencoder")
        network = network_of(vae.source, VAE, context, learns=True)
        pixels = Pixels(dataset, framing_of(resolution, shape, crop, flip))
        lesson = AutoencoderLesson(
            network,
            pixels,
            pixels.order(recipe.batch, recipe.seed),
            AutoencoderWeights(absolute, squared, kl),
            context.device,
        )
        pairs = _Pairs(network, pixels, context.device)
        train(NAME, lesson, recipe, context, pairs)
        fold_scale(network, spread(network, pairs.some(recipe.batch)))
        save(path, network, stored)
    return as_vae(inspect(path), context)


def save(path: Path, network: VAE, stored: Stored) -> None:
    save_original(path, Declared(scale_factor=SCALE), vae=network, dtype=DTYPES[stored])


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Pictures, and what becomes of them on the way through the latent."""

    network: VAE
    pixels: Pixels
    device: str

    def __call__(self) -> Tensor:
        """(1, 3, H, W) in [−1, 1]: a row of pictures above a row of theirs."""
        first, *_ = self.pixels.buckets.values()
        x = self.pixels.batch(first[:SHOWN], Chance(0)).to(self.device)
        back = self.network.decode(self.network.encode(x).mean)
        return grid(torch.cat([x, back]).clamp(-1, 1).cpu(), len(x))[None]

    def some(self, batch: int) -> Iterator[Tensor]:
        """Batches of up to MEASURED pictures."""
        order = self.pixels.order(batch, 0)
        for number in range(min(-(-MEASURED // batch), order.per_pass)):
            yield self.pixels.batch(order.examples(number), Chance(0, (number,))).to(self.device)
