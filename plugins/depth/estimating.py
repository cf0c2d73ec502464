"""Nodes that estimate depth with a network the user has."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor

from nodegraph import Context, FileOf, NodeGraphError, Number, node
from nodes.models.precision import choose
from nodes.types import Image

from .depth_types import DepthModel, Sight, require_own_backbone
from .maps import stretched
from .weights import CLASSES, DepthSource, library, read_settings

Percentile = Annotated[float, Number(min=0.0, max=100.0, step=0.1)]


@node("LoadDepthModel", category="loaders", display_name="Load Depth Model")
def load_depth_model(
    model_name: Annotated[str, FileOf("depth")], *, context: Context
) -> DepthModel:
    """A DPT or Depth Anything: a file of safetensors beside its config.json, in models/depth."""
    library()
    path = context.need_folders().resolve("depth", model_name)
    settings = read_settings(path.parent / "config.json")
    family = settings.get("model_type")
    if family not in CLASSES or path.suffix not in (".safetensors", ".sft"):
        raise NodeGraphError(
            f"{model_name}: expected the safetensors of one of {', '.join(CLASSES)} as the library "
            f"transformers saves them, with a config.json beside; here it says {family!r}"
        )
    require_own_backbone(settings)
    identity = context.hashes.sha256(path) if context.hashes else str(path)
    precision = choose(context.precision, "text", context.device)  # it runs once: digits count
    source = DepthSource(path, identity, settings, precision)
    sight = Sight.of(family, read_settings(path.parent / "preprocessor_config.json"))
    return DepthModel(source, sight, settings.get("depth_estimation_type") == "metric")


@node("DepthFromImage", category="image/depth", display_name="Depth from Image (Model)")
def depth_from_image(
    depth_model: DepthModel,
    image: Image,
    low_percentile: Percentile = 0.0,
    high_percentile: Percentile = 100.0,
    *,
    context: Context,
) -> Image:
    """A depth network's guess for each picture, near white and far black."""
    closeness = []
    with context.need_models().lease(depth_model.source, context.device) as module:
        for number, picture in enumerate(image):
            closeness.append(estimate(module, depth_model, picture[None]).cpu())
            context.progress(number + 1, len(image))
    near_is_one = stretched(torch.cat(closeness), low_percentile, high_percentile)
    return Image(near_is_one[..., None].repeat(1, 1, 1, 3))


def estimate(module: Any, depth_model: DepthModel, image: Tensor) -> Tensor:
    """How close each pixel of (1, H, W, C) is, (1, H, W), in no unit, from a leased network."""
    parameter = next(module.parameters())
    seen = pixels(image, depth_model.sight).to(parameter)
    depth = module(pixel_values=seen).predicted_depth[:, None].float()
    size = image.shape[1:3]
    full = torch.nn.functional.interpolate(depth, size, mode="bicubic", align_corners=False)[:, 0]
    return -full if depth_model.metric else full


def pixels(image: Tensor, sight: Sight) -> Tensor:
    """(B, 3, h, w) as the network wants to see (B, H, W, C)."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (sight.mean, sight.std))
    rgb = image[..., :3].movedim(-1, 1)
    size = sight.size_for(*image.shape[1:3])
    resized = torch.nn.functional.interpolate(rgb, size, mode="bicubic", antialias=True)
    return (resized.clamp(0, 1) - mean) / std
