"""The autoencoder's tensor names: original latent diffusion <-> diffusers' AutoencoderKL.

One kind of tensor also changes shape: attention's projections are 1 x 1 convolutions (C, C, 1, 1)
in the original and matrices (C, C) in diffusers; `reshaped` lists them. diffusers has had two
spellings of these projections, and files exist with either. Some files with the original's names
store them as matrices too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

from .diffusers_options import require_options, whole, widths
from .errors import ArchitectureError
from .renaming import choose, rename
from .shapes import shapes_of
from .vae import VAE, VAEConfig

Spelling = Literal["new", "old"]

ATTENTION: dict[Spelling, dict[str, str]] = {
    "new": {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"},
    "old": {
        "norm": "group_norm",
        "q": "query",
        "k": "key",
        "v": "value",
        "proj_out": "proj_attn",
    },
}
RES = {
    "norm1": "norm1",
    "conv1": "conv1",
    "norm2": "norm2",
    "conv2": "conv2",
    "nin_shortcut": "conv_shortcut",
}
WHOLE = {
    "quant_conv": "quant_conv",
    "post_quant_conv": "post_quant_conv",
    **{
        f"{half}.{ours}": f"{half}.{theirs}"
        for half in ("encoder", "decoder")
        for ours, theirs in {
            "conv_in": "conv_in",
            "norm_out": "conv_norm_out",
            "conv_out": "conv_out",
        }.items()
    },
}
# What diffusers assumes where config.json is silent.
DEFAULTS: dict[str, Any] = {
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": (64,),
    "layers_per_block": 1,
    "latent_channels": 4,
    "down_block_types": ("DownEncoderBlock2D",),
    "up_block_types": ("UpDecoderBlock2D",),
}
# Options that change the network, with the values this package's VAE corresponds to.
FIXED: dict[str, tuple[Any, ...]] = {
    "act_fn": ("silu", "swish"),
    "norm_num_groups": (32,),
    "use_quant_conv": (True,),
    "use_post_quant_conv": (True,),
    "mid_block_add_attention": (True,),
    "down_block_types": ("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
    "up_block_types": ("UpDecoderBlock2D", "AttnUpDecoderBlock2D"),
}


def to_diffusers(config: VAEConfig, *, spelling: Spelling = "new") -> dict[str, str]:
    """Every tensor's original name (without prefix) -> its name in AutoencoderKL."""
    modules = module_names(config, spelling=spelling)
    return {name: rename(name, modules) for name in shapes_of(lambda: VAE(config))}


def to_original(config: VAEConfig, names: Collection[str]) -> dict[str, str]:
    """The diffusers names of a file's tensors, in either spelling -> original names.

    Raises ArchitectureError naming a tensor that is missing from `names`, or unknown.
    """
    spellings: list[Spelling] = ["new", "old"]
    return choose((to_diffusers(config, spelling=spelling) for spelling in spellings), names)


def reshaped(config: VAEConfig) -> frozenset[str]:
    """Original names of the tensors that are (C, C, 1, 1) there and (C, C) in diffusers."""
    ends = tuple(f".{part}.weight" for part in ("q", "k", "v", "proj_out"))
    return frozenset(name for name in shapes_of(lambda: VAE(config)) if name.endswith(ends))


def module_names(config: VAEConfig, *, spelling: Spelling = "new") -> dict[str, str]:
    """Original module path -> diffusers module path, for every module that holds tensors."""
    names = dict(WHOLE)
    last = len(config.widths) - 1
    inner = {"block": ("resnets", RES), "attn": ("attentions", ATTENTION[spelling])}
    for level in range(last + 1):
        for ours, theirs, blocks, resample in (
            (f"encoder.down.{level}", f"encoder.down_blocks.{level}", 0, "down"),
            (f"decoder.up.{level}", f"decoder.up_blocks.{last - level}", 1, "up"),
        ):
            names[f"{ours}.{resample}sample"] = f"{theirs}.{resample}samplers.0"
            for i in range(config.num_res_blocks + blocks):
                for part, (kind, table) in inner.items():
                    names |= _within(f"{ours}.{part}.{i}", f"{theirs}.{kind}.{i}", table)
    for half in ("encoder", "decoder"):
        ours, theirs = f"{half}.mid", f"{half}.mid_block"
        names |= _within(f"{ours}.block_1", f"{theirs}.resnets.0", RES)
        names |= _within(f"{ours}.attn_1", f"{theirs}.attentions.0", ATTENTION[spelling])
        names |= _within(f"{ours}.block_2", f"{theirs}.resnets.1", RES)
    return names


def _within(ours: str, theirs: str, table: Mapping[str, str]) -> dict[str, str]:
    return {f"{ours}.{name}": f"{theirs}.{renamed}" for name, renamed in table.items()}


def config_from_diffusers(config: Mapping[str, Any]) -> VAEConfig:
    """The architecture an AutoencoderKL's config.json describes.

    Raises ArchitectureError naming the option this package has no equivalent for.
    """
    given = {**DEFAULTS, **config}
    require_options(given, FIXED, "AutoencoderKL")
    base, mults = widths(given)
    down = [kind.startswith("Attn") for kind in given["down_block_types"]]
    up = [kind.startswith("Attn") for kind in given["up_block_types"]]
    if down != up[::-1] or len(down) != len(mults):
        raise ArchitectureError(
            f"down_block_types {given['down_block_types']} and up_block_types "
            f"{given['up_block_types']} do not mirror each other over {len(mults)} levels"
        )
    return VAEConfig(
        channels=base,
        channel_mult=mults,
        num_res_blocks=whole(given, "layers_per_block"),
        attention_levels=tuple(level for level, attends in enumerate(down) if attends),
        in_channels=whole(given, "in_channels"),
        out_channels=whole(given, "out_channels"),
        z_channels=whole(given, "latent_channels"),
        embed_dim=whole(given, "latent_channels"),
    )
