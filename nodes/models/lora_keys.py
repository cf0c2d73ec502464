"""Which weights the modules of a LoRA file mean: names from outside -> our modules.

A name is a prefix, which tells the part, and a module's path in one of its layouts, whose dots are
underscores in some formats:

* kohya-ss/sd-scripts:  `lora_unet_down_blocks_0_attentions_0_...`, `lora_te_text_model_encoder_...`
                        (OFT: `oft_unet_`)
* diffusers and PEFT:   `unet.down_blocks.0.attentions.0...`, `text_encoder.text_model.encoder...`
* ComfyUI's own:        `diffusion_model.input_blocks.1.1...`, `text_encoders.clip_l.transformer...`

So there is one table for each architecture, by path with underscores; the paths come from the
tables that checkpoints are read with (keys_unet.py, keys_clip.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from . import keys_clip, keys_unet
from .checkpoint_part import Config, Part, parameter_shapes
from .clip_config import CLIPConfig
from .errors import ArchitectureError
from .shapes import count
from .unet_config import UNetConfig

PREFIXES: Mapping[Part, tuple[str, ...]] = {
    "unet": (
        "lora_unet_",
        "oft_unet_",
        "unet.",
        "diffusion_model.",
        "model.diffusion_model.",
        "base_model.model.unet.",
    ),
    "text": (
        "lora_te_",
        "lora_te1_",
        "lora_te2_",
        "text_encoder.",
        "text_encoder_2.",
        "text_encoders.clip_l.transformer.",
        "text_encoders.clip_h.transformer.",
        "cond_stage_model.transformer.",
        "cond_stage_model.model.",
        "base_model.model.text_encoder.",
    ),
}
SECOND = ("lora_te2_", "text_encoder_2.")  # of networks with two encoders: never ours
# Files of one part may leave its prefix out.
BARE: Mapping[Part, tuple[str, ...]] = {
    "unet": ("down_blocks.", "mid_block.", "up_blocks."),
    "text": ("text_model.",),
}
WRAPPED = "base_model.model."  # PEFT's, around a model on its own
# What early diffusers called the projections of a text encoder's attention.
OLD_TEXT = {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out.0"}


@dataclass(frozen=True)
class Target:
    """One of our modules: all of what the other name means, or a block of its rows."""

    module: str
    block: int = 0
    blocks: int = 1


Targets = Mapping[str, tuple[Target, ...]]


def part_of(module: str) -> tuple[Part, str] | None:
    """The part that a LoRA's module is of, and the module's path, flattened; None: unknown."""
    for part, prefixes in PREFIXES.items():
        for prefix in prefixes:
            if module.startswith(prefix):
                path = module if prefix in SECOND else module.removeprefix(prefix)
                return part, flattened(path)
    path = module.removeprefix(WRAPPED)
    for part, starts in BARE.items():
        if path.startswith(starts):
            return part, flattened(path)
    return None


def flattened(path: str) -> str:
    """A module's path with underscores, as kohya writes it."""
    return path.replace(".", "_")


@lru_cache(maxsize=8)
def targets_of(config: Config) -> Targets:
    """Flattened path -> our modules, for every module that has a weight, in every layout known."""
    found: dict[str, tuple[Target, ...]] = {}
    for path, targets in _paths(config):
        found.setdefault(flattened(path), targets)
    return MappingProxyType(found)


def written_paths(config: Config) -> Mapping[str, str]:
    """Our module -> its path as files name it: diffusers', or ours if that has none."""
    paths = {module: module for module in _modules(config)}
    if not isinstance(config, UNetConfig):
        return paths
    try:
        names = keys_unet.to_diffusers(config)
    except ArchitectureError:
        return paths
    return {module: names[f"{module}.weight"].removesuffix(".weight") for module in paths}


def _paths(config: Config) -> Iterator[tuple[str, tuple[Target, ...]]]:
    for module in _modules(config):
        yield module, (Target(module),)
    if isinstance(config, UNetConfig):
        yield from _diffusers(config)
    elif isinstance(config, CLIPConfig):
        yield from _text(config)


def _modules(config: Config) -> Iterator[str]:
    for name in parameter_shapes(config):
        if name.endswith(".weight"):
            yield name.removesuffix(".weight")


def _diffusers(config: UNetConfig) -> Iterator[tuple[str, tuple[Target, ...]]]:
    spellings: tuple[keys_unet.VectorName, ...] = ("class_embedding", "add_embedding")
    for spelling in spellings:
        try:
            names = keys_unet.to_diffusers(config, vector_name=spelling)
        except ArchitectureError:  # a network diffusers has no class for
            return
        for ours, theirs in names.items():
            if ours.endswith(".weight"):
                yield theirs.removesuffix(".weight"), (Target(ours.removesuffix(".weight")),)


def _text(config: CLIPConfig) -> Iterator[tuple[str, tuple[Target, ...]]]:
    for module in _modules(config):
        yield module.removeprefix("text_model."), (Target(module),)
        owner, _, leaf = module.rpartition(".")
        if leaf in OLD_TEXT:
            yield f"{owner}.{OLD_TEXT[leaf]}", (Target(module),)
    layers = range(count(parameter_shapes(config), "text_model.encoder.layers."))
    entries = [entry.at(layer) for layer in layers for entry in keys_clip.OPENCLIP_LAYER]
    for entry in (*keys_clip.OPENCLIP_ONCE, *entries):
        if entry.theirs.endswith("weight") and not entry.transposed:
            path = entry.theirs.removesuffix("weight").rstrip("._")
            ours = [name.removesuffix(".weight") for name in entry.ours]
            yield path, tuple(Target(name, i, len(ours)) for i, name in enumerate(ours))
