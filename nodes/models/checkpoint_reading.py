"""Reading a part's architecture off a file's tensors, and mapping its names to ours.

The names themselves are tables, in keys_unet.py, keys_vae.py and keys_clip.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from . import (
    clip_config,
    controlnet_shapes,
    diffusers_shapes,
    keys_clip,
    keys_controlnet,
    keys_unet,
    keys_vae,
    vae,
)
from .checkpoint_metadata import Declared
from .checkpoint_part import (
    KINDS,
    Config,
    Location,
    Naming,
    Part,
    PartInfo,
    Source,
    parameter_shapes,
)
from .clip_config import CLIPConfig, Family
from .controlnet import ControlNetConfig
from .errors import ArchitectureError, CheckpointError
from .shapes import Shapes, count
from .unet_config import UNetConfig
from .unet_shapes import infer_config
from .vae import VAEConfig
from .weights import WeightFile

Find = Callable[[str], Source]  # our name of a parameter -> where it is
C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class Hints:
    """What is known of a part besides its shapes: declared settings, or a diffusers config."""

    family: Family = "sd1"
    unet: Mapping[str, Any] = field(default_factory=dict)
    text: Mapping[str, Any] = field(default_factory=dict)
    config: Config | None = None


@dataclass(frozen=True, eq=False)
class Contents:
    """The parts found in a file or folder, and what it declares of them.

    `unknown` are tensors that belong to no part.
    """

    layout: Literal["original", "diffusers"]
    parts: Mapping[Part, PartInfo]
    declared: Declared
    unknown: tuple[str, ...] = ()


def read_part(file: WeightFile, location: Location, hints: Hints) -> PartInfo:
    """The architecture of a part, and where each of its parameters is.

    Raises CheckpointError naming the tensors that are missing or of the wrong shape.
    """
    prefix = location.prefix
    stored = {
        name.removeprefix(prefix): shape
        for name, shape in file.shapes().items()
        if name.startswith(prefix) and 0 not in shape
    }
    try:
        config, find = _READERS[location.part](stored, location.naming, hints)
        shapes = parameter_shapes(config)
    except ArchitectureError as error:
        raise CheckpointError(file.path, f"its {KINDS[location.part]}: {error}") from error
    found = {name: find(name) for name in shapes}
    sources = {name: replace(source, name=prefix + source.name) for name, source in found.items()}
    return PartInfo(location, config, file, sources, shapes)


def _unet(stored: Shapes, naming: Naming, hints: Hints) -> tuple[Config, Find]:
    if naming == "original":
        return infer_config(stored, **hints.unet), Source
    config = _given(hints, UNetConfig) or diffusers_shapes.unet_config(stored)
    spellings: tuple[keys_unet.VectorName, ...] = ("class_embedding", "add_embedding")
    tables = (keys_unet.to_diffusers(config, vector_name=spelling) for spelling in spellings)
    return config, _closest(tables, stored)


def _vae(stored: Shapes, naming: Naming, hints: Hints) -> tuple[Config, Find]:
    if naming == "original":
        return vae.config_from_shapes(stored), Source
    config = _given(hints, VAEConfig) or diffusers_shapes.vae_config(stored)
    spellings: tuple[keys_vae.Spelling, ...] = ("new", "old")
    tables = (keys_vae.to_diffusers(config, spelling=spelling) for spelling in spellings)
    return config, _closest(tables, stored)


def _control(stored: Shapes, naming: Naming, hints: Hints) -> tuple[Config, Find]:
    if naming == "original":
        return controlnet_shapes.infer_config(stored, **hints.unet), Source
    config = _given(hints, ControlNetConfig) or controlnet_shapes.diffusers_config(stored)
    return config, _closest([keys_controlnet.to_diffusers(config)], stored)


def _text(stored: Shapes, naming: Naming, hints: Hints) -> tuple[Config, Find]:
    table = _openclip_table(count(stored, "transformer.resblocks."))
    finds: Mapping[Naming, Find] = {
        "huggingface": Source,
        "bare": _bare,
        "openclip": table.__getitem__,
    }
    if given := _given(hints, CLIPConfig):
        return given, finds[naming]
    if naming == "openclip":
        present = {ours: source for ours, source in table.items() if source.name in stored}
        shapes = {ours: source.shape(stored[source.name]) for ours, source in present.items()}
    elif naming == "bare":
        shapes = {f"text_model.{name}": shape for name, shape in stored.items()}
    else:
        shapes = dict(stored)
    settings = dict(hints.text)
    config = clip_config.config_from_shapes(
        shapes, family=hints.family, heads=settings.pop("heads", None)
    )
    return replace(config, **settings), finds[naming]


def _bare(ours: str) -> Source:
    return Source(ours.removeprefix("text_model."))


def _openclip_table(layers: int) -> dict[str, Source]:
    entries = [entry.at(layer) for layer in range(layers) for entry in keys_clip.OPENCLIP_LAYER]
    return {
        ours: Source(entry.theirs, block, len(entry.ours), entry.transposed)
        for entry in [*keys_clip.OPENCLIP_ONCE, *entries]
        for block, ours in enumerate(entry.ours)
    }


def _given(hints: Hints, kind: type[C]) -> C | None:
    return hints.config if isinstance(hints.config, kind) else None


def _closest(tables: Iterable[Mapping[str, str]], stored: Shapes) -> Find:
    """The table (ours -> theirs) that most of the file's names are in."""
    table = max(tables, key=lambda table: sum(name in stored for name in table.values()))
    return lambda ours: Source(table[ours])


_READERS = {"unet": _unet, "vae": _vae, "text": _text, "control": _control}
