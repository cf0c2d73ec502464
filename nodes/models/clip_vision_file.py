"""Reading a file that holds a CLIP image encoder, alone or beside other things.

* transformers: `vision_model.embeddings.class_embedding` ..., of a whole CLIP or of its image side
* OpenAI and OpenCLIP: `visual.class_embedding` ..., likewise
* a Stable Diffusion 2 unCLIP checkpoint: `embedder.model.visual.class_embedding` ...
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .checkpoint_part import KINDS, Location, PartInfo, Source, parameter_shapes
from .clip_vision_config import CLIPVisionConfig, config_from_shapes
from .diffusers_folder import read_json
from .errors import ArchitectureError, CheckpointError
from .keys_clip_vision import OURS, openai_entries
from .shapes import Shapes, count
from .weights import WeightFile, open_weights

CONFIG = "config.json"
# By the class token's name, which no other kind of image encoder of this name has.
PLACES = (
    Location("vision", "huggingface", ""),
    Location("vision", "openclip", "visual."),
    Location("vision", "openclip", "module.visual."),
    Location("vision", "openclip", "embedder.model.visual."),
    Location("vision", "bare", ""),
    Location("vision", "openclip", ""),
)
MARKS = {
    "huggingface": f"{OURS}embeddings.class_embedding",
    "openclip": "class_embedding",
    "bare": "embeddings.class_embedding",
}
# What people have that is no CLIP image encoder: by a part of a tensor's name.
OTHER_KINDS: Mapping[str, str] = {
    "model.diffusion_model.": "a whole checkpoint without an image encoder",
    "vision_model.embeddings.patch_embedding.": "a SigLIP image encoder",
    "image_proj.": "an IP-Adapter, which reads what an image encoder gives",
    "visual.layer1.": "a CLIP whose image encoder is a ResNet",
    "encoder.layer.": "a DINO image encoder or a BERT",
    "text_model.": "a text encoder",
    "control_model.": "a ControlNet",
    "lora_": "a LoRA",
    "decoder.up": "a VAE",
    "output_blocks.": "a UNet",
    "up_blocks.": "a UNet",
}
NO_WEIGHTS = ("position_ids", "logit_scale")
Find = Mapping[str, Source]


def inspect_clip_vision(path: Path, *, ckpt: bool = False) -> PartInfo:
    """What the file of an image encoder holds; its headers alone are read. `ckpt` allows pickles.

    What no tensor tells (the activation, the number of heads) is taken from a config.json beside
    it, where there is one. Raises CheckpointError naming the file and what is wrong with it, or
    what it is instead.
    """
    file = open_weights(path, ckpt=ckpt)
    location = next((p for p in PLACES if p.prefix + MARKS[p.naming] in file.tensors), None)
    if location is None:
        raise CheckpointError(path, f"is {_kind(file)}: expected a CLIP image encoder")
    stored = {
        name.removeprefix(location.prefix): shape
        for name, shape in file.shapes().items()
        if name.startswith(location.prefix) and 0 not in shape
    }
    sources = _sources(location, stored)
    try:
        config = _config(path, stored, sources)
        shapes = parameter_shapes(config)
    except ArchitectureError as error:
        raise CheckpointError(path, f"its {KINDS['vision']}: {error}") from error
    found = {name: sources.get(name, Source(name)) for name in shapes}
    named = {name: replace(at, name=location.prefix + at.name) for name, at in found.items()}
    part = PartInfo(location, config, file, named, shapes)
    _require_known(part)
    return part


def _sources(location: Location, stored: Shapes) -> Find:
    """Where each of our parameters would be."""
    match location.naming:
        case "openclip":
            entries = openai_entries(count(stored, "transformer.resblocks."))
            return {
                ours: Source(entry.theirs, block, len(entry.ours), entry.transposed)
                for entry in entries
                for block, ours in enumerate(entry.ours)
            }
        case "bare":
            return {OURS + name: Source(name) for name in stored}
        case _:
            return {name: Source(name) for name in stored}


def _config(path: Path, stored: Shapes, sources: Find) -> CLIPVisionConfig:
    shapes = {
        ours: source.shape(stored[source.name])
        for ours, source in sources.items()
        if source.name in stored
    }
    return config_from_shapes(shapes, declared=_declared(path, shapes))


def _declared(path: Path, shapes: Shapes) -> Mapping[str, Any] | None:
    """The vision part of the config.json beside a file, where it describes an encoder this wide."""
    beside = path.parent / CONFIG
    if not beside.is_file():
        return None
    found = read_json(beside)
    said = found if found.get("model_type") == "clip_vision_model" else found.get("vision_config")
    width = shapes.get(f"{OURS}embeddings.class_embedding")
    if not isinstance(said, dict) or width != (said.get("hidden_size", 768),):
        return None
    return said


def _require_known(part: PartInfo) -> None:
    """A tensor that is passed over might be a layer after a missing one, or another network's."""
    own = part.location.prefix + (OURS if part.location.naming == "huggingface" else "")
    names = (name for name in part.file.tensors if name.startswith(own))
    used = part.names
    unknown = [name for name in names if name not in used and not name.endswith(NO_WEIGHTS)]
    if unknown:
        shown = ", ".join(unknown[:3])
        raise CheckpointError(
            part.file.path,
            f"has {len(unknown)} tensors that are no part of the image encoder found in it "
            f"({shown}{', ...' if len(unknown) > 3 else ''}): it is incomplete, or another kind",
        )


def _kind(file: WeightFile) -> str:
    kinds = (kind for part, kind in OTHER_KINDS.items() if any(part in n for n in file.tensors))
    return next(kinds, "another kind of model")
