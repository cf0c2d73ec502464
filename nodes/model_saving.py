"""Nodes that save models, as they are used: patched and merged. Files are safetensors.

They go to the output folder; to load one again, move it into the models folder of its kind.
"""

from __future__ import annotations

from typing import Annotated, Literal

from nodegraph import Context, ModelSource, NodeGraphError, Number, Shown, Tip, node
from nodes.control_weights import ControlSource, stored_pieces
from nodes.extracting import differences
from nodes.models.checkpoint_metadata import Declared, write_metadata
from nodes.models.clip_config import CLIPConfig, Family
from nodes.models.controlnet_file import POOLED
from nodes.models.save import CONTROL, UNET, VAE_PREFIX, Written, below, text_below
from nodes.models.unet_config import UNetConfig
from nodes.patching import weights_of
from nodes.types import Clip, ControlNet, Model, Vae
from nodes.writing import SUFFIX, declared_of, pieces_of, save_weights

CATEGORY = "advanced/model_merging"


@node("CheckpointSave", category=CATEGORY, display_name="Save Checkpoint")
def checkpoint_save(
    model: Model,
    clip: Clip,
    vae: Vae,
    filename_prefix: str = "checkpoints/ComfyUI",
    *,
    context: Context,
) -> Shown:
    """Write a model, its text encoder and its VAE as one checkpoint in the original layout."""
    entries = [*_unet(model), *_text(clip), *below(VAE_PREFIX, pieces_of(_source(vae)))]
    declared = declared_of(model, context)
    metadata = write_metadata(declared, _unet_config(model), _text_config(clip))
    return save_weights(entries, metadata, filename_prefix, context)


@node("ModelSave", category=CATEGORY)
def model_save(
    model: Model, filename_prefix: str = "diffusion_models/ComfyUI", *, context: Context
) -> Shown:
    """Write a UNet on its own, for UNETLoader."""
    metadata = write_metadata(declared_of(model, context), _unet_config(model), None)
    return save_weights(_unet(model), metadata, filename_prefix, context)


@node("CLIPSave", category=CATEGORY)
def clip_save(clip: Clip, filename_prefix: str = "clip/ComfyUI", *, context: Context) -> Shown:
    """Write a text encoder on its own, under Hugging Face's names, for CLIPLoader."""
    declared = Declared(family=weights_of(clip.source).origin.info.family)
    metadata = write_metadata(declared, None, _text_config(clip))
    entries = list(below("", pieces_of(clip.source)))
    return save_weights(entries, metadata, filename_prefix, context)


@node("VAESave", category=CATEGORY)
def vae_save(vae: Vae, filename_prefix: str = "vae/ComfyUI_vae", *, context: Context) -> Shown:
    """Write a VAE on its own, for LoadVAE."""
    entries = list(below("", pieces_of(_source(vae))))
    return save_weights(entries, {}, filename_prefix, context)


@node("ControlNetSave", category=CATEGORY, display_name="Save ControlNet")
def control_net_save(
    control_net: ControlNet,
    filename_prefix: str = "controlnet/ComfyUI",
    *,
    context: Context,
) -> Shown:
    """Write a ControlNet on its own in the original layout, for LoadControlNet."""
    source = control_net.source
    if not isinstance(source, ControlSource):
        raise NodeGraphError("only a ControlNet that comes from a file can be saved")
    if source.config.pooled:
        context.warn(
            "this ControlNet adds means over the grid, which readers know by the file's name: "
            f"let it end in {POOLED[0]}{SUFFIX}"
        )
    metadata = write_metadata(Declared(), source.config.unet, None)
    return save_weights(
        list(below(CONTROL, stored_pieces(source))), metadata, filename_prefix, context
    )


@node("LoraSave", category="_for_testing", display_name="Extract and Save LoRA")
def lora_save(
    filename_prefix: str = "loras/ComfyUI_extracted_lora",
    rank: Annotated[int, Number(min=1, max=4096, step=1)] = 8,
    *,
    lora_type: Annotated[
        Literal["standard", "full_diff"],
        Tip("standard: the nearest of this rank; full_diff: all of the difference"),
    ],
    bias_diff: Annotated[bool, Tip("also biases and norms, whole")] = True,
    model_diff: Model | None = None,
    text_encoder_diff: Clip | None = None,
    context: Context,
) -> Shown:
    """Write a difference of two models, from ModelMergeSubtract or CLIPMergeSubtract, as a LoRA."""
    sources = [given.source for given in (model_diff, text_encoder_diff) if given is not None]
    if not sources:
        raise NodeGraphError("connect a difference of two models, from ModelMergeSubtract")
    kept = rank if lora_type == "standard" else None
    entries = differences(sources, kept, vectors=bias_diff, context=context)
    return save_weights(entries, {}, filename_prefix, context)


def _unet(model: Model) -> list[Written]:
    return list(below(UNET, pieces_of(model.source)))


def _text(clip: Clip) -> list[Written]:
    config = _text_config(clip)
    family: Family = "sd2" if config.activation == "gelu" else "sd1"
    family = weights_of(clip.source).origin.info.family or family
    return list(text_below(pieces_of(clip.source), config.layers, family))


def _unet_config(model: Model) -> UNetConfig | None:
    config = weights_of(model.source).config
    return config if isinstance(config, UNetConfig) else None


def _text_config(clip: Clip) -> CLIPConfig:
    config = weights_of(clip.source).config
    assert isinstance(config, CLIPConfig)  # as every text encoder's
    return config


def _source(vae: Vae) -> ModelSource:
    if vae.source is None:
        raise NodeGraphError(
            "pixel_space is no network and has no weights to save: save the model alone, with "
            "ModelSave"
        )
    return vae.source
