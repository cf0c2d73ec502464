"""Contexts, networks and squares on white, for tests of nodes that train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from node_support import Desk
from PIL import Image as Pictures
from torch import Tensor

from nodegraph import Context
from nodes.new_models import new_autoencoder, new_text_encoder, new_unet
from nodes.training.dataset import Dataset, read_dataset
from nodes.training.image_folder import read_image_folder
from nodes.types import Clip, ConditionEncoder, Model, Vae

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 60), "blue": (40, 60, 220)}
GROUND, SQUARE = (0, 0, 0), (255, 128, 0)  # of a segmentation
SIZE = 16


def context_of(desk: Desk, key: str = "new", **changes: Any) -> Context:
    """A context with a cache, for work of a key."""
    folders = replace(desk.folders, cache=desk.folder / "cache")
    return replace(desk.context, key=key.ljust(32, "0"), folders=folders, **changes)


def squares(folder: Path, colours: Mapping[str, tuple[int, int, int]] = COLOURS) -> Dataset:
    """A square of each colour, its label the colour and its caption "<colour> square".

    Beside it its segmentation and its depth; each square is at another place.
    """
    for number, (name, colour) in enumerate(colours.items()):
        box = (2 + 2 * number, 4, 10 + 2 * number, 12)
        (folder / name).mkdir(parents=True)
        drawn = {
            f"{name}.png": ((255, 255, 255), colour),
            f"{name}_segmentation.png": (GROUND, SQUARE),
            f"{name}_depth.png": ((0, 0, 0), (200, 200, 200)),
        }
        for file, (ground, inside) in drawn.items():
            picture = Pictures.new("RGB", (SIZE, SIZE), ground)
            picture.paste(inside, box)
            picture.save(folder / name / file)
        (folder / name / f"{name}.txt").write_text(f"{name} square")
    return read_dataset(folder, read_image_folder)


def plain_squares(folder: Path) -> Dataset:
    """A square of each colour in the middle, with a caption and nothing else beside it."""
    for name, colour in COLOURS.items():
        picture = Pictures.new("RGB", (SIZE, SIZE), (255, 255, 255))
        picture.paste(colour, (4, 4, 12, 12))
        picture.save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(f"{name} square")
    return read_dataset(folder, read_image_folder)


def small_vae(desk: Desk) -> Vae:
    return new_autoencoder(32, "1,1", 1, 4, 0, context=context_of(desk))


def small_clip(desk: Desk) -> Clip:
    return new_text_encoder(64, 1, 0, context=context_of(desk))


def small_unet(desk: Desk, **changes: Any) -> Model:
    """A UNet of one level that works on pixels and reads tokens 64 wide."""
    options: dict[str, Any] = {
        "channels": 32,
        "multipliers": "1",
        "blocks": "1",
        "depths": "1",
        "heads": 4,
        "context_width": 64,
        "latent_channels": 3,
        **changes,
    }
    return new_unet(**options, context=context_of(desk))


def latent_unet(desk: Desk, **changes: Any) -> Model:
    """The same for latents of four channels."""
    return small_unet(desk, **{"latent_channels": 4, **changes})


def weights(handle: Model | Vae | Clip | ConditionEncoder) -> dict[str, Tensor]:
    assert handle.source is not None
    return handle.source.load().state_dict()


def assert_equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
