"""The tables of names, original latent diffusion <-> diffusers: UNet and autoencoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from hypothesis import given, settings
from hypothesis import strategies as st
from published_sizes import SD1_UNET, SD2_UNET, SDXL_UNET
from torch import nn

from nodes.models import keys_unet, keys_vae
from nodes.models.errors import ArchitectureError
from nodes.models.unet import UNet, UNetConfig
from nodes.models.vae import VAE, VAEConfig

# What the published models' config.json files say.
SD1_JSON: dict[str, Any] = {
    "act_fn": "silu",
    "attention_head_dim": 8,
    "block_out_channels": [320, 640, 1280, 1280],
    "center_input_sample": False,
    "cross_attention_dim": 768,
    "down_block_types": [
        "CrossAttnDownBlock2D",
        "CrossAttnDownBlock2D",
        "CrossAttnDownBlock2D",
        "DownBlock2D",
    ],
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "in_channels": 4,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-05,
    "norm_num_groups": 32,
    "out_channels": 4,
    "sample_size": 64,
    "up_block_types": [
        "UpBlock2D",
        "CrossAttnUpBlock2D",
        "CrossAttnUpBlock2D",
        "CrossAttnUpBlock2D",
    ],
}
SD2_JSON = SD1_JSON | {
    "attention_head_dim": [5, 10, 20, 20],
    "cross_attention_dim": 1024,
    "dual_cross_attention": False,
    "num_class_embeds": None,
    "only_cross_attention": False,
    "upcast_attention": True,
    "use_linear_projection": True,
}
SDXL_JSON = SD1_JSON | {
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "attention_head_dim": [5, 10, 20],
    "block_out_channels": [320, 640, 1280],
    "class_embed_type": None,
    "cross_attention_dim": 2048,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "projection_class_embeddings_input_dim": 2816,
    "transformer_layers_per_block": [1, 2, 10],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "use_linear_projection": True,
}
VAE_JSON: dict[str, Any] = {
    "act_fn": "silu",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 512,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}

SMALL = replace(SD1_UNET, model_channels=32, context_dim=16)


def meta(build: type[nn.Module], *arguments: object, **options: object) -> nn.Module:
    with torch.device("meta"):
        return build(*arguments, **options)


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize(
    ("document", "config", "vector_name"),
    [
        (SD1_JSON, SD1_UNET, "class_embedding"),
        (SD2_JSON, SD2_UNET, "class_embedding"),
        (SDXL_JSON, SDXL_UNET, "add_embedding"),
    ],
    ids=["Stable Diffusion 1", "Stable Diffusion 2", "SDXL"],
)
def test_published_unets_map_onto_all_of_diffusers_names_with_the_same_shapes(
    document: dict[str, Any], config: UNetConfig, vector_name: keys_unet.VectorName
) -> None:
    theirs = shapes(meta(UNet2DConditionModel, **document))
    ours = shapes(meta(UNet, config))

    names = keys_unet.to_diffusers(config, vector_name=vector_name)

    assert keys_unet.config_from_diffusers(document) == config
    assert {names[name]: shape for name, shape in ours.items()} == theirs
    assert keys_unet.to_original(config, theirs) == {new: old for old, new in names.items()}


@st.composite
def unet_documents(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of UNet2DConditionModel."""
    levels = draw(st.integers(1, 4))

    def per_level(low: int, high: int) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=levels, max_size=levels))

    attends = draw(st.lists(st.booleans(), min_size=levels, max_size=levels))
    kinds = ["CrossAttn" if attend else "" for attend in attends]
    return {
        "block_out_channels": [32 * mult for mult in [1, *per_level(1, 4)[1:]]],
        "layers_per_block": per_level(1, 3),
        "down_block_types": [f"{kind}DownBlock2D" for kind in kinds],
        "up_block_types": [f"{kind}UpBlock2D" for kind in reversed(kinds)],
        "transformer_layers_per_block": per_level(1, 2),
        "cross_attention_dim": draw(st.integers(1, 64)),
        "attention_head_dim": draw(st.sampled_from([1, 4, 8])),
        "use_linear_projection": draw(st.booleans()),
        "num_class_embeds": draw(st.sampled_from([None, 5])),
    }


@settings(max_examples=12, deadline=None)
@given(unet_documents())
def test_any_unet_maps_one_to_one_onto_diffusers_names(document: dict[str, Any]) -> None:
    theirs = shapes(meta(UNet2DConditionModel, **document))
    config = keys_unet.config_from_diffusers(document)

    names = keys_unet.to_diffusers(config)

    ours = shapes(meta(UNet, config))
    assert {names[name]: shape for name, shape in ours.items()} == theirs
    assert len(set(names.values())) == len(names)


def test_well_known_tensors_of_the_unet_have_their_well_known_names() -> None:
    names = keys_unet.to_diffusers(SD1_UNET)

    assert names["time_embed.2.bias"] == "time_embedding.linear_2.bias"
    assert names["input_blocks.0.0.weight"] == "conv_in.weight"
    assert names["input_blocks.4.0.emb_layers.1.weight"] == (
        "down_blocks.1.resnets.0.time_emb_proj.weight"
    )
    assert names["input_blocks.8.1.transformer_blocks.0.attn2.to_k.weight"] == (
        "down_blocks.2.attentions.1.transformer_blocks.0.attn2.to_k.weight"
    )
    assert names["input_blocks.9.0.op.weight"] == "down_blocks.2.downsamplers.0.conv.weight"
    assert names["middle_block.2.out_layers.3.bias"] == "mid_block.resnets.1.conv2.bias"
    assert names["output_blocks.2.1.conv.weight"] == "up_blocks.0.upsamplers.0.conv.weight"
    assert names["output_blocks.11.1.proj_out.weight"] == "up_blocks.3.attentions.2.proj_out.weight"
    assert names["output_blocks.3.0.skip_connection.weight"] == (
        "up_blocks.1.resnets.0.conv_shortcut.weight"
    )
    assert names["out.2.weight"] == "conv_out.weight"


def test_a_file_of_diffusers_with_a_tensor_missing_or_too_many_is_refused() -> None:
    names = set(keys_unet.to_diffusers(SMALL).values())

    with pytest.raises(ArchitectureError, match=r"conv_in\.bias is missing"):
        keys_unet.to_original(SMALL, names - {"conv_in.bias"})
    with pytest.raises(ArchitectureError, match="gligen is not part"):
        keys_unet.to_original(SMALL, names | {"gligen"})


@pytest.mark.parametrize(
    "change",
    [
        {"context_dim": None},
        {"middle_depth": 0},
        {"scale_shift_norm": True},
        {"resblock_updown": True},
    ],
)
def test_a_network_diffusers_does_not_have_gets_no_names(change: dict[str, Any]) -> None:
    with pytest.raises(ArchitectureError, match="no such network"):
        keys_unet.to_diffusers(replace(SMALL, **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flip_sin_to_cos": False}, "flip_sin_to_cos = False is not supported"),
        ({"norm_num_groups": 16}, "norm_num_groups = 16"),
        ({"only_cross_attention": [True, False, False, False]}, "only_cross_attention"),
        ({"class_embed_type": "timestep"}, "class_embed_type = 'timestep'"),
        ({"mid_block_type": None}, "mid_block_type = None"),
        ({"down_block_types": ["AttnDownBlock2D"] * 4}, "blocks of type AttnDownBlock2D"),
        ({"down_block_types": ["UpBlock2D"] * 4}, "blocks of type UpBlock2D"),
        ({"up_block_types": ["UpBlock2D"] * 4}, "do not mirror each other"),
        ({"block_out_channels": [320, 400, 1280, 1280]}, "400 is no multiple of 320"),
        ({"attention_head_dim": [5, 8, 10, 10]}, "neither the number of heads"),
        ({"attention_head_dim": [5, 10]}, "a list of 4"),
        ({"layers_per_block": 0}, "whole number from 1 up"),
        ({"cross_attention_dim": [1, 2, 3, 4]}, "the same at every level"),
        ({"attention_head_dim": 7}, "7 heads do not divide"),
        ({"in_channels": "four"}, "in_channels must be a whole number from 1 up"),
        ({"block_out_channels": None}, "block_out_channels must be a whole number"),
    ],
)
def test_options_of_a_unet_without_equivalent_are_named(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArchitectureError, match=message):
        keys_unet.config_from_diffusers(SD1_JSON | change)


def test_unclip_and_class_conditional_configurations_are_read() -> None:
    unclip = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 2048}

    assert keys_unet.config_from_diffusers(SD2_JSON | unclip) == replace(
        SD2_UNET, adm_channels=2048
    )
    upscaler = keys_unet.config_from_diffusers(SD2_JSON | {"num_class_embeds": 1000})
    assert upscaler == replace(SD2_UNET, num_classes=1000)


OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def old_spelling(name: str) -> str:
    for new, old in OLD.items():
        name = name.replace(f".{new}.", f".{old}.")
    return name


def matching(ours: Mapping[str, tuple[int, ...]], config: VAEConfig) -> dict[str, tuple[int, ...]]:
    """Our shapes under diffusers' names, the reshaped ones as matrices."""
    names, matrices = keys_vae.to_diffusers(config), keys_vae.reshaped(config)
    return {names[n]: shape[:2] if n in matrices else shape for n, shape in ours.items()}


def test_the_published_autoencoder_maps_onto_all_of_diffusers_names() -> None:
    theirs = shapes(meta(AutoencoderKL, **VAE_JSON))

    assert keys_vae.config_from_diffusers(VAE_JSON) == VAEConfig()
    assert matching(shapes(meta(VAE, VAEConfig())), VAEConfig()) == theirs
    assert len(keys_vae.reshaped(VAEConfig())) == 8


@pytest.mark.parametrize("spelling", ["new", "old"])
def test_both_of_diffusers_spellings_of_attention_are_read(spelling: keys_vae.Spelling) -> None:
    config = VAEConfig(channels=32, attention_levels=(3,))
    theirs = list(shapes(meta(VAE, config)))
    names = keys_vae.to_diffusers(config)
    in_file = [names[name] if spelling == "new" else old_spelling(names[name]) for name in theirs]

    found = keys_vae.to_original(config, in_file)

    assert [found[name] for name in in_file] == theirs
    assert keys_vae.to_diffusers(config, spelling=spelling) == dict(
        zip(theirs, in_file, strict=True)
    )


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=4),
    st.integers(1, 3),
)
def test_any_autoencoder_maps_one_to_one_onto_diffusers_names(
    levels: list[tuple[int, bool]], blocks: int
) -> None:
    kinds = ["Attn" if attends else "" for _, attends in levels]
    document = {
        "block_out_channels": [32, *(32 * mult for mult, _ in levels[1:])],
        "layers_per_block": blocks,
        "down_block_types": [f"{kind}DownEncoderBlock2D" for kind in kinds],
        "up_block_types": [f"{kind}UpDecoderBlock2D" for kind in reversed(kinds)],
    }
    theirs = shapes(meta(AutoencoderKL, **document))

    config = keys_vae.config_from_diffusers(document)

    assert matching(shapes(meta(VAE, config)), config) == theirs


def test_well_known_tensors_of_the_autoencoder_have_their_well_known_names() -> None:
    names = keys_vae.to_diffusers(VAEConfig())

    assert names["encoder.conv_in.weight"] == "encoder.conv_in.weight"
    assert names["encoder.down.1.block.0.nin_shortcut.weight"] == (
        "encoder.down_blocks.1.resnets.0.conv_shortcut.weight"
    )
    assert names["encoder.down.2.downsample.conv.bias"] == (
        "encoder.down_blocks.2.downsamplers.0.conv.bias"
    )
    assert names["decoder.up.3.upsample.conv.weight"] == (
        "decoder.up_blocks.0.upsamplers.0.conv.weight"
    )
    assert (
        names["decoder.mid.attn_1.proj_out.bias"] == "decoder.mid_block.attentions.0.to_out.0.bias"
    )
    assert names["decoder.mid.block_2.norm1.weight"] == "decoder.mid_block.resnets.1.norm1.weight"
    assert names["encoder.norm_out.weight"] == "encoder.conv_norm_out.weight"
    assert names["quant_conv.bias"] == "quant_conv.bias"


def test_an_autoencoder_of_diffusers_with_a_tensor_missing_is_refused() -> None:
    config = VAEConfig(channels=32)
    names = set(keys_vae.to_diffusers(config).values())

    with pytest.raises(ArchitectureError, match=r"quant_conv\.bias is missing"):
        keys_vae.to_original(config, names - {"quant_conv.bias"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"use_quant_conv": False}, "use_quant_conv = False"),
        ({"down_block_types": ["DownBlock2D"] * 4}, "down_block_types"),
        ({"down_block_types": ["DownEncoderBlock2D"]}, "do not mirror"),
        ({"block_out_channels": [128, 200, 512, 512]}, "200 is no multiple of 128"),
        ({"block_out_channels": [40, 40, 40, 40]}, "multiple of 32"),
        ({"layers_per_block": [1, 2]}, "layers_per_block"),
    ],
)
def test_options_of_an_autoencoder_without_equivalent_are_named(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArchitectureError, match=message):
        keys_vae.config_from_diffusers(VAE_JSON | change)
