"""The UNet's tensor names: original latent diffusion <-> diffusers' UNet2DConditionModel.

Names differ, shapes do not. Inside a spatial transformer the names are the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from .diffusers_options import per_level, require_options, whole, widths
from .errors import ArchitectureError
from .renaming import choose, rename
from .shapes import shapes_of
from .unet import UNet
from .unet_config import Block, Part, UNetConfig, input_layout, output_layout

VectorName = Literal["class_embedding", "add_embedding"]

WHOLE = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
RES = {
    ".in_layers.0": ".norm1",
    ".in_layers.2": ".conv1",
    ".emb_layers.1": ".time_emb_proj",
    ".out_layers.0": ".norm2",
    ".out_layers.3": ".conv2",
    ".skip_connection": ".conv_shortcut",
}
# A part of a block: the list diffusers keeps such parts in, and the names within one.
PARTS: dict[Part, tuple[str, dict[str, str]]] = {
    "res": ("resnets", RES),
    "attention": ("attentions", {"": ""}),
    "down": ("downsamplers", {".op": ".conv"} | RES),
    "up": ("upsamplers", {".conv": ".conv"} | RES),
}
# What diffusers assumes where config.json is silent.
DEFAULTS: dict[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "down_block_types": (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"),
    "up_block_types": ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
    "cross_attention_dim": 1280,
    "transformer_layers_per_block": 1,
    "attention_head_dim": 8,
    "num_attention_heads": None,
    "use_linear_projection": False,
    "class_embed_type": None,
    "num_class_embeds": None,
    "addition_embed_type": None,
    "projection_class_embeddings_input_dim": None,
}
# Options that change the network, with the values this package's UNet corresponds to.
FIXED: dict[str, tuple[Any, ...]] = {
    "center_input_sample": (False,),
    "flip_sin_to_cos": (True,),
    "freq_shift": (0,),
    "mid_block_type": ("UNetMidBlock2DCrossAttn",),
    "only_cross_attention": (False,),
    "dual_cross_attention": (False,),
    "mid_block_only_cross_attention": (None, False),
    "reverse_transformer_layers_per_block": (None,),
    "downsample_padding": (1,),
    "mid_block_scale_factor": (1, None),
    "act_fn": ("silu", "swish"),
    "norm_num_groups": (32,),
    "norm_eps": (1e-5,),
    "encoder_hid_dim": (None,),
    "encoder_hid_dim_type": (None,),
    "class_embed_type": (None, "projection"),
    "addition_embed_type": (None, "text_time"),
    "resnet_time_scale_shift": ("default",),
    "resnet_skip_time_act": (False,),
    "resnet_out_scale_factor": (1,),
    "time_embedding_type": ("positional",),
    "time_embedding_dim": (None,),
    "time_embedding_act_fn": (None,),
    "timestep_post_act": (None,),
    "time_cond_proj_dim": (None,),
    "conv_in_kernel": (3,),
    "conv_out_kernel": (3,),
    "attention_type": ("default",),
    "class_embeddings_concat": (False,),
    "cross_attention_norm": (None,),
}


def to_diffusers(
    config: UNetConfig, *, vector_name: VectorName = "class_embedding"
) -> dict[str, str]:
    """Every tensor's original name (without prefix) -> its name in UNet2DConditionModel.

    `vector_name` is where diffusers keeps a UNet's projected vector: "class_embedding" (unCLIP)
    or "add_embedding" (SDXL). Raises ArchitectureError where diffusers' class has no such network.
    """
    pixel_space = config.scale_shift_norm or config.resblock_updown
    if config.context_dim is None or not config.middle_depth or pixel_space:
        raise ArchitectureError(
            "UNet2DConditionModel always has a context and attention in the middle, and neither "
            "scale-shift norm nor resampling residual blocks: no such network has diffusers names"
        )
    modules = module_names(config, vector_name=vector_name)
    return {name: rename(name, modules) for name in shapes_of(lambda: UNet(config))}


def to_original(config: UNetConfig, names: Collection[str]) -> dict[str, str]:
    """The diffusers names of a file's tensors -> original names (without prefix).

    Raises ArchitectureError naming a tensor that is missing from `names`, or unknown.
    """
    spellings: list[VectorName] = ["class_embedding", "add_embedding"]
    return choose((to_diffusers(config, vector_name=name) for name in spellings), names)


def module_names(
    config: UNetConfig, *, vector_name: VectorName = "class_embedding"
) -> dict[str, str]:
    """Original module path -> diffusers module path, for every module that holds tensors."""
    names = dict(WHOLE)
    if config.num_classes is not None:
        names["label_emb"] = "class_embedding"
    elif config.adm_channels is not None:
        names |= {f"label_emb.0.{2 * i}": f"{vector_name}.linear_{i + 1}" for i in range(2)}
    last = len(config.widths) - 1
    down = [(block.level, block) for block in input_layout(config)]
    up = [(last - block.level, block) for block in output_layout(config)]
    names |= _block_names("input_blocks", "down_blocks", down)
    names |= _block_names("output_blocks", "up_blocks", up)
    middle: list[Part] = ["res", "attention", "res"] if config.middle_depth else ["res", "res"]
    return names | _part_names("middle_block", "mid_block", list(enumerate(middle)), Counter())


def _block_names(ours: str, theirs: str, blocks: list[tuple[int, Block]]) -> dict[str, str]:
    """`blocks` are in the original's order, each with the number of its diffusers block."""
    names: dict[str, str] = {}
    seen: defaultdict[int, Counter[Part]] = defaultdict(Counter)
    for i, (place, block) in enumerate(blocks):
        parts = [(j, part) for j, part in enumerate(block.parts) if part != "conv"]
        names |= _part_names(f"{ours}.{i}", f"{theirs}.{place}", parts, seen[place])
    return names


def _part_names(
    ours: str, theirs: str, parts: Sequence[tuple[int, Part]], seen: Counter[Part]
) -> dict[str, str]:
    """diffusers numbers the parts of a block by kind; `seen` counts them."""
    names = {}
    for j, part in parts:
        kind, inner = PARTS[part]
        for name, renamed in inner.items():
            names[f"{ours}.{j}{name}"] = f"{theirs}.{kind}.{seen[part]}{renamed}"
        seen[part] += 1
    return names


def config_from_diffusers(config: Mapping[str, Any]) -> UNetConfig:
    """The architecture a UNet2DConditionModel's config.json describes.

    Raises ArchitectureError naming the option this package has no equivalent for.
    """
    given = {**DEFAULTS, **config}
    require_options(given, FIXED, "UNet2DConditionModel")
    base, mults = widths(given)
    depths = per_level(given, "transformer_layers_per_block", len(mults))
    attends = _attends(given, len(mults))
    vector = bool(given["class_embed_type"] or given["addition_embed_type"])
    classes = not vector and given["num_class_embeds"] is not None
    num_heads, head_channels = _heads(given, [base * mult for mult in mults], attends)
    return UNetConfig(
        in_channels=whole(given, "in_channels"),
        out_channels=whole(given, "out_channels"),
        model_channels=base,
        channel_mult=mults,
        num_res_blocks=per_level(given, "layers_per_block", len(mults)),
        transformer_depth=tuple(d if a else 0 for d, a in zip(depths, attends, strict=True)),
        middle_depth=depths[-1],
        context_dim=whole(given, "cross_attention_dim"),
        num_heads=num_heads,
        head_channels=head_channels,
        use_linear_projection=bool(given["use_linear_projection"]),
        num_classes=whole(given, "num_class_embeds") if classes else None,
        adm_channels=whole(given, "projection_class_embeddings_input_dim") if vector else None,
    )


def _attends(given: Mapping[str, Any], levels: int) -> list[bool]:
    """Which levels have attention, by diffusers' names of the blocks' classes."""
    kinds = {"CrossAttnDownBlock2D": True, "DownBlock2D": False}
    kinds_up = {"CrossAttnUpBlock2D": True, "UpBlock2D": False}
    down, up = given["down_block_types"], given["up_block_types"]
    unknown = [kind for kind in down if kind not in kinds]
    if unknown := [*unknown, *(kind for kind in up if kind not in kinds_up)]:
        raise ArchitectureError(f"blocks of type {unknown[0]} are not supported")
    attends = [kinds[kind] for kind in down]
    if len(attends) != levels or attends != [kinds_up[kind] for kind in reversed(up)]:
        raise ArchitectureError(
            f"down_block_types {down} and up_block_types {up} do not mirror each other over "
            f"{levels} levels"
        )
    return attends


def _heads(
    given: Mapping[str, Any], channels: list[int], attends: list[bool]
) -> tuple[int | None, int | None]:
    """(num_heads, head_channels); diffusers' attention_head_dim is a number of heads."""
    name = "attention_head_dim" if given["num_attention_heads"] is None else "num_attention_heads"
    heads = per_level(given, name, len(channels))
    used = [(h, c) for h, c, a in zip(heads, channels, attends, strict=True) if a]
    used.append((heads[-1], channels[-1]))  # the middle
    if len({h for h, _ in used}) == 1:
        return heads[-1], None
    if len({c / h for h, c in used}) == 1:
        return None, channels[-1] // heads[-1]
    raise ArchitectureError(
        f"{name} {given[name]}: neither the number of heads nor their width is the same everywhere"
    )
