"""Files of small condition encoders of every kind, and what the tests of their nodes share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from node_support import Desk
from tiny_models import scrambled
from torch import Tensor

from nodegraph import Context
from nodes.encoders import load_condition_encoder
from nodes.models.clip_config import CLIPConfig
from nodes.models.encoders import (
    CORE,
    ClassConfig,
    ClipImageConfig,
    EncoderConfig,
    EncoderKind,
    PatchConfig,
    SegmentationConfig,
    TokenEncoder,
    save_encoder,
)
from nodes.types import ConditionEncoder, Conditioning, Image

WIDTH = 64
PATCHES: dict[str, Any] = {"width": WIDTH, "size": (16, 16), "patch": 4, "inner": 32, "layers": 2}
PATCHES |= {"heads": 2, "mlp": 32}
PALETTE = ((0, 0, 0), (255, 0, 0), (0, 0, 255))
SEGMENTED = SegmentationConfig(**PATCHES, classes=3, palette=PALETTE)
CONFIGS: dict[str, EncoderConfig] = {
    "text": CLIPConfig(vocab=49408, width=WIDTH, layers=1, heads=2, mlp=32),
    "class": ClassConfig(width=WIDTH, classes=3, names=("cat", "dog", "hill")),
    "image": PatchConfig(**PATCHES),
    "segmentation": SEGMENTED,
    "depth": PatchConfig(**PATCHES),
    "clip_image": ClipImageConfig(width=WIDTH, embedding=6),
}
LABELS = torch.randint(3, (2, 24, 20), generator=torch.Generator().manual_seed(2))
SEGMENTS = Image(torch.tensor(PALETTE)[LABELS] / 255)


def network(kind: str) -> TokenEncoder:
    """The same weights at every call; none is zero or one by chance."""
    module = CORE[kind].build(CONFIGS[kind])
    torch.manual_seed(5)
    scrambled(module)
    return module


def furnished(folder: Path) -> Desk:
    """A desk with a file of each kind."""
    desk = Desk(folder)
    for kind, config in CONFIGS.items():
        path = desk.place("condition_encoders", f"{kind}.safetensors")
        save_encoder(path, kind, config, network(kind))
    return desk


def in_context(desk: Desk, kinds: Mapping[str, EncoderKind[Any]] = CORE) -> Context:
    extensions = {**desk.context.extensions, "condition_encoders": kinds}
    return replace(desk.context, extensions=extensions)


def loaded(kind: str, context: Context) -> ConditionEncoder:
    return load_condition_encoder(f"{kind}.safetensors", context=context)


def tokens(conditioning: Conditioning) -> Tensor:
    [entry] = conditioning.entries
    assert entry.context is not None
    return entry.context
