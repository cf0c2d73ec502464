"""Reading a file that holds a ControlNet, in the original layout of names or in diffusers'.

* original: `control_model.zero_convs.0.0.weight` ..., alone or beside the checkpoint it was trained
  on (github.com/lllyasviel/ControlNet), or the same without `control_model.`
* diffusers: `controlnet_cond_embedding.conv_in.weight` ..., with a config.json beside it or without
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePath

from .checkpoint_metadata import read_metadata
from .checkpoint_part import Location, PartInfo
from .checkpoint_reading import Hints, read_part
from .controlnet import ControlNetConfig
from .controlnet_shapes import HINT, HINT_DIFFUSERS
from .diffusers_folder import read_json
from .errors import ArchitectureError, CheckpointError
from .keys_controlnet import config_from_diffusers
from .weights import WeightFile, open_weights

CONFIG = "config.json"
PREFIXES = ("control_model.", "")
POOLED = ("_shuffle", "_shuffle_fp16")  # no tensor tells; the published file is known by its name
# What people have that is no ControlNet read here: by a part of a tensor's name.
OTHER_KINDS: Mapping[str, str] = {
    "lora_controlnet": "a control-LoRA, which is a difference to a UNet",
    "lllite": "a ControlNet-LLLite",
    "adapter.body.": "a T2I adapter",
    "body.0.": "a T2I adapter",
    "double_blocks.": "a ControlNet for Flux",
    "controlnet_x_embedder": "a ControlNet for Flux",
    "joint_blocks.": "a ControlNet for Stable Diffusion 3",
    "pos_embed_input": "a ControlNet for Stable Diffusion 3",
    "task_embedding": "a union of ControlNets",
    "motion_modules": "a ControlNet for videos",
    "lora_": "a LoRA",
    "output_blocks.": "a UNet or checkpoint",
    "up_blocks.": "a UNet or checkpoint",
}


def inspect_controlnet(path: Path, *, ckpt: bool = False) -> PartInfo:
    """What a ControlNet's file holds; its headers alone are read. `ckpt` allows pickles.

    Raises CheckpointError naming the file and what is wrong with it, or what it is instead.
    """
    file = open_weights(path, ckpt=ckpt)
    location = _location(file)
    if location is None or "task_embedding" in file.tensors:
        raise CheckpointError(path, f"is {_kind(file)}: expected a ControlNet")
    if location.prefix + "difference" in file.tensors or "difference" in file.tensors:
        raise CheckpointError(
            path,
            "holds a ControlNet only as its difference to the model it was trained on, which is "
            "not supported: use the file with the whole ControlNet",
        )
    beside = _config_beside(path, file) if location.naming == "diffusers" else None
    hints = Hints(unet=read_metadata(path, file.metadata, file.tensors).unet, config=beside)
    found = read_part(file, location, hints)
    _require_known(found)
    config = found.config
    if is_pooled(path) and isinstance(config, ControlNetConfig):
        return replace(found, config=replace(config, pooled=True))
    return found


def is_pooled(path: PurePath) -> bool:
    """Whether a file is known by its name to hold a network that adds means over the grid."""
    return path.stem.endswith(POOLED)


def _location(file: WeightFile) -> Location | None:
    for prefix in PREFIXES:
        if f"{prefix}{HINT}.0.weight" in file.tensors:
            return Location("control", "original", prefix)
    if any(name.startswith(HINT_DIFFUSERS) for name in file.tensors):
        return Location("control", "diffusers", "")
    return None


def _kind(file: WeightFile) -> str:
    kinds = (kind for part, kind in OTHER_KINDS.items() if any(part in n for n in file.tensors))
    return next(kinds, "another kind of model")


def _config_beside(path: Path, file: WeightFile) -> ControlNetConfig | None:
    """The config.json in the file's own folder, where it describes a ControlNet of its widths."""
    beside = path.parent / CONFIG
    if not beside.is_file():
        return None
    found = read_json(beside)
    if found.get("_class_name") != "ControlNetModel":
        return None
    try:
        config = config_from_diffusers(found)
    except ArchitectureError as error:
        raise CheckpointError(beside, str(error)) from error
    return config if _is_about(config, file) else None


def _is_about(config: ControlNetConfig, file: WeightFile) -> bool:
    """Not about another file that lies in the same folder."""
    shapes = file.shapes()
    tokens = {s[-1:] for name, s in shapes.items() if name.endswith("attn2.to_k.weight")}
    base = (config.unet.model_channels,)
    return shapes.get("conv_in.weight", base)[:1] == base and tokens <= {(config.unet.context_dim,)}


def _require_known(found: PartInfo) -> None:
    """A tensor that is passed over might be what makes the network another one."""
    prefix, used = found.location.prefix, found.names
    unknown = [n for n in found.file.tensors if n.startswith(prefix) and n not in used]
    if unknown:
        shown = ", ".join(unknown[:3])
        raise CheckpointError(
            found.file.path,
            "holds what is no part of a ControlNet for Stable Diffusion 1 or 2 "
            f"({shown}{', ...' if len(unknown) > 3 else ''}): it is another kind of network",
        )
