"""Reading a ControlNet's configuration off the names and shapes of its tensors, without prefix."""

from __future__ import annotations

from . import diffusers_shapes
from .controlnet import HINT_WIDTHS, ControlNetConfig
from .errors import ArchitectureError
from .shapes import Shapes, count, dimension, has
from .unet_config import UNetConfig
from .unet_shapes import context_width, depth_of, family_heads, linear_projection

HINT = "input_hint_block"
HINT_DIFFUSERS = "controlnet_cond_embedding"


def infer_config(
    shapes: Shapes, num_heads: int | None = None, head_channels: int | None = None
) -> ControlNetConfig:
    """Of the original layout; heads by the family's rule where neither argument gives them.

    Raises ArchitectureError naming a tensor that is missing.
    """
    base = dimension(shapes, "time_embed.0.weight", 1)
    widths, blocks, depths = _levels(shapes)
    if bad := [width for width in widths if width % base]:
        raise ArchitectureError(f"a level of {bad[0]} channels is no multiple of the base, {base}")
    context, linear = context_width(shapes), linear_projection(shapes)
    if num_heads is None and head_channels is None:
        num_heads, head_channels = family_heads(context, linear, False)
    inputs = dimension(shapes, "input_blocks.0.0.weight", 1)
    unet = UNetConfig(
        in_channels=inputs,
        out_channels=inputs,
        model_channels=base,
        channel_mult=tuple(width // base for width in widths),
        num_res_blocks=tuple(blocks),
        transformer_depth=tuple(depths),
        middle_depth=depth_of(shapes, "middle_block.1"),
        context_dim=context,
        num_heads=num_heads,
        head_channels=head_channels,
        use_linear_projection=linear,
    )
    _require_no_classes(shapes, "label_emb")
    # Each width but the last has two convolutions with an activation after each.
    wide = [f"{HINT}.{4 * i}.weight" for i in range(len(HINT_WIDTHS))]
    return ControlNetConfig(
        unet,
        dimension(shapes, f"{HINT}.0.weight", 1),
        tuple(dimension(shapes, name, 0) for name in wide),
    )


def diffusers_config(shapes: Shapes) -> ControlNetConfig:
    """Of a ControlNetModel without its config.json. Raises ArchitectureError likewise."""
    for vector in ("class_embedding", "add_embedding"):
        _require_no_classes(shapes, vector)
    inputs = (dimension(shapes, "conv_in.weight", 1),)
    unet = diffusers_shapes.unet_config({**shapes, "conv_out.weight": inputs})
    return ControlNetConfig(unet, *diffusers_hint(shapes))


def diffusers_hint(shapes: Shapes) -> tuple[int, tuple[int, ...]]:
    """(hint_channels, hint_widths) of a ControlNetModel."""
    first = f"{HINT_DIFFUSERS}.conv_in.weight"
    wider = [f"{HINT_DIFFUSERS}.blocks.{2 * i + 1}.weight" for i in range(len(HINT_WIDTHS) - 1)]
    return dimension(shapes, first, 1), tuple(dimension(shapes, n, 0) for n in [first, *wider])


def _levels(shapes: Shapes) -> tuple[list[int], list[int], list[int]]:
    """Width, residual blocks and depth of attention of each level, finest first."""
    widths: list[int] = []
    blocks, depths = [0], [0]
    for i in range(1, count(shapes, "input_blocks.")):
        name = f"input_blocks.{i}"
        if has(shapes, f"{name}.0.op"):
            blocks.append(0)
            depths.append(0)
            continue
        width = dimension(shapes, f"{name}.0.out_layers.3.weight", 0)
        widths = [*widths[: len(blocks) - 1], width]
        blocks[-1] += 1
        depths[-1] = depth_of(shapes, f"{name}.1")
    if len(widths) != len(blocks):
        raise ArchitectureError("no tensor is named input_blocks.1.*: the file is cut short")
    return widths, blocks, depths


def _require_no_classes(shapes: Shapes, name: str) -> None:
    if has(shapes, name):
        raise ArchitectureError(
            f"it reads a vector ({name}) beside the prompt, as those for Stable Diffusion XL do: "
            "only ControlNets for Stable Diffusion 1 and 2 can be read"
        )
