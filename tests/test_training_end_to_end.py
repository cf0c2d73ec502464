"""A whole training on data whose statistics are known: what it learned shows in its samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from node_support import Desk
from PIL import Image as Pictures
from torch import Tensor
from training_desk import context_of, small_clip, small_unet

from nodes.sampling import ksampler
from nodes.text import clip_encode
from nodes.train_diffusion import TrainedModel, train_diffusion
from nodes.training.chance import Chance
from nodes.training.dataset import Dataset, read_dataset
from nodes.training.framing import Framing
from nodes.training.image_folder import read_image_folder
from nodes.training.pixels import Pixels
from nodes.training.recipe import Recipe
from nodes.types import Clip, Latent, Model

SIDE, SQUARE = 8, 4  # pixels
INKS = {"red square": (230, 20, 20), "blue square": (20, 20, 230)}
SAMPLES = 8  # of each caption
NEAR = 0.6  # root mean square from a picture of the data, of values in [-1, 1]
RECIPE = Recipe(steps=300, batch=16, rate=3e-3, warmup=20, ema=0.99, save_every=300)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A red or a blue square at one of nine places, on white; the caption says its colour."""
    folder = tmp_path_factory.mktemp("inks")
    for caption, ink in INKS.items():
        for place in range(9):
            x, y = 2 * (place % 3), 2 * (place // 3)
            picture = Pictures.new("RGB", (SIDE, SIDE), (255, 255, 255))
            picture.paste(ink, (x, y, x + SQUARE, y + SQUARE))
            name = f"{caption.partition(' ')[0]}-{place}"
            picture.save(folder / f"{name}.png")
            (folder / f"{name}.txt").write_text(caption)
    return read_dataset(folder, read_image_folder)


@pytest.fixture(scope="module")
def before(desk: Desk) -> Model:
    return small_unet(desk, noise="cosine", predicts="x0")


@pytest.fixture(scope="module")
def clip(desk: Desk) -> Clip:
    return small_clip(desk)


@pytest.fixture(scope="module")
def trained(desk: Desk, dataset: Dataset, before: Model, clip: Clip) -> TrainedModel:
    return train_diffusion(
        before, dataset, RECIPE, SIDE, min_snr=5.0, stored="fp32", clip=clip,
        context=context_of(desk, "inks"),
    )  # fmt: skip


def samples(model: Model, clip: Clip, caption: str, desk: Desk) -> Tensor:
    """(SAMPLES, 3, SIDE, SIDE), about in [-1, 1]."""
    context = context_of(desk, "draw")
    options: dict[str, Any] = {"sampler_name": "ddim", "scheduler": "simple"}
    return ksampler(
        model,
        seed=3,
        steps=20,
        cfg=2.0,
        positive=clip_encode(caption, clip, context=context),
        negative=clip_encode("", clip, context=context),
        latent_image=Latent(torch.zeros(SAMPLES, 3, SIDE, SIDE), factor=1),
        context=context,
        **options,
    ).samples


def right(model: Model, clip: Clip, dataset: Dataset, desk: Desk) -> int:
    """How many of 2 x SAMPLES are near a picture of the data, one of their caption."""
    known = Pixels(dataset, Framing(SIDE, 8)).batch(range(len(dataset)), Chance(0)).flatten(1)
    captions = [example.caption for example in dataset.examples]
    found = 0
    for caption in INKS:
        drawn = samples(model, clip, caption, desk).flatten(1)
        distance, nearest = (torch.cdist(drawn, known) / known.shape[1] ** 0.5).min(dim=1)
        pairs = zip(distance.tolist(), nearest.tolist(), strict=True)
        found += sum(d < NEAR and captions[n] == caption for d, n in pairs)
    return found


def test_the_loss_falls(trained: TrainedModel, desk: Desk) -> None:
    run: Path = desk.folders.output / "training" / f"diffusion-{'inks'.ljust(16, '0')}"
    lines = (run / "history.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert len(losses) == RECIPE.steps
    first, last = sum(losses[:20]) / 20, sum(losses[-40:]) / 40
    assert last < first / 10


def test_samples_have_the_colour_of_their_caption_after_training_alone(
    trained: TrainedModel, before: Model, clip: Clip, dataset: Dataset, desk: Desk
) -> None:
    assert right(before, clip, dataset, desk) == 0
    assert right(trained.model, clip, dataset, desk) >= 14
