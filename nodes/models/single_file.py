"""Reading one file that holds a whole checkpoint, or a part of one, in any layout of names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from .checkpoint_metadata import read_metadata
from .checkpoint_part import PARTS, Config, Location, Part, PartInfo, locate
from .checkpoint_reading import Contents, Hints, read_part
from .clip_config import Family
from .diffusers_folder import part_class, read_config, read_json
from .errors import CheckpointError
from .key_map import NO_MAPS, KeyMap, renamed
from .unet_config import UNetConfig
from .weights import WeightFile, open_weights

SD2_TEXT_WIDTH = 1024  # of OpenCLIP ViT-H
# Tensors that are no weights, or those of another time: an EMA copy, a loss, positions 0 to 76.
IGNORED = re.compile(
    r"model_ema\.|(.+\.)?loss\.|(.+\.)?(position_ids|logit_scale|attn_mask)$|(v_pred|ztsnr)$"
)
SCHEDULE_TABLES = frozenset(
    {
        "betas",
        "alphas_cumprod",
        "alphas_cumprod_prev",
        "sqrt_alphas_cumprod",
        "sqrt_one_minus_alphas_cumprod",
        "log_one_minus_alphas_cumprod",
        "sqrt_recip_alphas_cumprod",
        "sqrt_recipm1_alphas_cumprod",
        "posterior_variance",
        "posterior_log_variance_clipped",
        "posterior_mean_coef1",
        "posterior_mean_coef2",
        "lvlb_weights",
        "logvar",
        "scale_factor",
    }
)
# Checkpoints of other families, which partly look like ours, and other files people have: by how a
# tensor's name begins.
OTHER_FAMILIES: Mapping[str, str] = {
    "conditioner.embedders.": "a Stable Diffusion XL checkpoint",
    "model.diffusion_model.double_blocks.": "a Flux checkpoint",
    "model.diffusion_model.joint_blocks.": "a Stable Diffusion 3 checkpoint",
}
OTHER_KINDS: Mapping[str, str] = {
    "double_blocks.": "a Flux transformer",
    "joint_blocks.": "a Stable Diffusion 3 transformer",
    "control_model.": "a ControlNet",
    "zero_convs.": "a ControlNet",
    "controlnet_": "a ControlNet",
    "lora_": "a LoRA",
    "unet.down_blocks.": "a LoRA",
    "string_to_param": "a textual-inversion embedding",
    "emb_params": "a textual-inversion embedding",
    "vision_model.": "a CLIP vision model",
}


def read_file(
    path: Path,
    *,
    ckpt: bool = False,
    family: Family | None = None,
    maps: Mapping[str, KeyMap] = NO_MAPS,
) -> Contents:
    """Read a file's header: which parts it holds, and what it declares.

    `family` is the user's word; `maps` are further layouts. Raises CheckpointError naming the file
    and what is wrong.
    """
    file = renamed(open_weights(path, ckpt=ckpt), maps)
    declared = read_metadata(path, file.metadata, file.tensors)
    if other := _kind(file, OTHER_FAMILIES):
        raise CheckpointError(path, f"is {other}: only Stable Diffusion 1 and 2 can be read")
    parts: dict[Part, PartInfo] = {}
    for part in PARTS:  # the UNet first: it tells the text encoder's family
        if location := locate(file.tensors, part):
            known = family or declared.family or _family(parts) or _text_family(file, location)
            config = None if location.original else _config_beside(path, part)
            hints = Hints(known, declared.unet, declared.text, config)
            parts[part] = read_part(file, location, hints)
    if not parts:
        kind = _kind(file, OTHER_KINDS) or "another kind of model"
        raise CheckpointError(
            path, f"is {kind}: it holds no UNet, text encoder or VAE of Stable Diffusion 1 or 2"
        )
    original = any(part.location.original for part in parts.values())
    return Contents(
        "original" if original else "diffusers", parts, declared, tuple(_unknown(file, parts))
    )


def _kind(file: WeightFile, kinds: Mapping[str, str]) -> str | None:
    for start, kind in kinds.items():
        if any(name.startswith(start) for name in file.tensors):
            return kind
    return None


def _family(parts: Mapping[Part, PartInfo]) -> Family | None:
    unet = parts["unet"].config if "unet" in parts else None
    if not isinstance(unet, UNetConfig):
        return None
    return "sd2" if unet.use_linear_projection else "sd1"


def _text_family(file: WeightFile, location: Location) -> Family:
    """Of a text encoder alone: by its layout, else by its width."""
    if location.naming == "openclip":
        return "sd2"
    ends = "embeddings.token_embedding.weight"
    widths = [info.shape[-1] for name, info in file.tensors.items() if name.endswith(ends)]
    return "sd2" if SD2_TEXT_WIDTH in widths else "sd1"


def _config_beside(path: Path, part: Part) -> Config | None:
    """The config.json in the file's own folder, where it describes such a part."""
    config = path.parent / "config.json"
    if not config.is_file() or part_class(read_json(config)) != part:
        return None
    return read_config(config, part)


def _unknown(file: WeightFile, parts: Mapping[Part, PartInfo]) -> Iterator[str]:
    used = frozenset().union(*(part.names for part in parts.values()))
    for name in file.tensors:
        if name not in used and name not in SCHEDULE_TABLES and not IGNORED.match(name):
            yield name
