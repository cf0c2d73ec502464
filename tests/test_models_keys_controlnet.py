"""The tables of names, original ControlNet <-> diffusers' ControlNetModel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import UNETS

from nodes.models.controlnet import ControlNet, ControlNetConfig
from nodes.models.controlnet_shapes import diffusers_config, infer_config
from nodes.models.errors import ArchitectureError
from nodes.models.keys_controlnet import config_from_diffusers, to_diffusers
from nodes.models.shapes import shapes_of
from nodes.models.unet_config import UNetConfig

# What the published models' config.json files say.
SD1_JSON: dict[str, Any] = {
    "_class_name": "ControlNetModel",
    "act_fn": "silu",
    "attention_head_dim": 8,
    "block_out_channels": [320, 640, 1280, 1280],
    "class_embed_type": None,
    "conditioning_embedding_out_channels": [16, 32, 96, 256],
    "controlnet_conditioning_channel_order": "rgb",
    "cross_attention_dim": 768,
    "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"],
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "in_channels": 4,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-05,
    "norm_num_groups": 32,
    "num_class_embeds": None,
    "only_cross_attention": False,
    "projection_class_embeddings_input_dim": None,
    "resnet_time_scale_shift": "default",
    "upcast_attention": False,
    "use_linear_projection": False,
}
SD2_JSON = SD1_JSON | {
    "attention_head_dim": [5, 10, 20, 20],
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
}


def published(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    given = {name: value for name, value in config.items() if name != "_class_name"}
    with torch.device("meta"):
        model = ControlNetModel.from_config(given)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("config", [SD1_JSON, SD2_JSON], ids=["sd1", "sd2"])
def test_every_tensor_of_the_published_networks_has_a_name_and_its_shape(
    config: dict[str, Any],
) -> None:
    theirs, ours = published(config), config_from_diffusers(config)
    table = to_diffusers(ours)

    shapes = shapes_of(lambda: ControlNet(ours))

    assert sorted(table.values()) == sorted(theirs)
    assert shapes == {name: theirs[other] for name, other in table.items()}


@pytest.mark.parametrize("config", [SD1_JSON, SD2_JSON], ids=["sd1", "sd2"])
def test_all_three_ways_to_the_architecture_agree(config: dict[str, Any]) -> None:
    expected = config_from_diffusers(config)
    if expected.unet.head_channels is None and config is SD2_JSON:
        raise AssertionError("heads of Stable Diffusion 2 are 64 channels wide")

    assert diffusers_config(published(config)) == expected
    assert infer_config(shapes_of(lambda: ControlNet(expected))) == expected


def test_names_of_the_original_are_those_of_its_files() -> None:
    names = set(shapes_of(lambda: ControlNet(config_from_diffusers(SD1_JSON))))

    # Read off control_sd15_canny's list of tensors.
    assert {
        "time_embed.0.weight",
        "input_blocks.0.0.weight",
        "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
        "input_blocks.3.0.op.weight",
        "input_blocks.11.0.out_layers.3.bias",
        "zero_convs.0.0.weight",
        "zero_convs.11.0.bias",
        "input_hint_block.0.weight",
        "input_hint_block.14.bias",
        "middle_block.1.proj_in.weight",
        "middle_block_out.0.weight",
    } <= names
    assert len(names) == 340


def test_a_config_that_is_silent_means_what_diffusers_means() -> None:
    silent = config_from_diffusers({"_class_name": "ControlNetModel"})

    assert silent.hint_widths == (16, 32, 96, 256)
    assert silent.hint_channels == 3
    assert silent.unet.context_dim == 1280
    assert silent.unet.widths == (320, 640, 1280, 1280)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("controlnet_conditioning_channel_order", "bgr"),
        ("only_cross_attention", True),
        ("norm_num_groups", 16),
        ("addition_embed_type", "text"),
    ],
)
def test_an_option_without_a_counterpart_is_named(option: str, value: Any) -> None:
    with pytest.raises(ArchitectureError, match=option):
        config_from_diffusers(SD1_JSON | {option: value})


def test_a_network_for_another_family_is_refused() -> None:
    xl = {"addition_embed_type": "text_time", "projection_class_embeddings_input_dim": 2816}

    with pytest.raises(ArchitectureError, match="classes or a vector"):
        config_from_diffusers(SD1_JSON | xl)


def test_a_network_without_a_context_has_no_diffusers_names() -> None:
    alone = replace(UNETS["sd1"], context_dim=None)

    with pytest.raises(ArchitectureError, match="always has a context"):
        to_diffusers(ControlNetConfig(alone))


def test_a_network_without_a_context_is_read_off_its_shapes() -> None:
    alone = replace(UNETS["sd1"], context_dim=None, num_heads=None, head_channels=32)
    config = ControlNetConfig(alone)

    assert infer_config(shapes_of(lambda: ControlNet(config))) == config


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ("time_embed.0.weight", "time_embed.0.weight"),
        ("input_hint_block.8.weight", "input_hint_block.8.weight"),
        ("input_blocks.1.0.out_layers.3.weight", "input_blocks.1.0.out_layers.3.weight"),
    ],
)
def test_a_tensor_that_is_missing_is_named(missing: str, named: str) -> None:
    shapes = shapes_of(lambda: ControlNet(ControlNetConfig(UNETS["sd1"])))
    del shapes[missing]

    with pytest.raises(ArchitectureError, match=named):
        infer_config(shapes)


@st.composite
def configs(draw: st.DrawFn) -> ControlNetConfig:
    levels = draw(st.integers(1, 4))
    mults = tuple(draw(st.sampled_from([1, 2, 4])) for _ in range(levels))
    second = draw(st.booleans())
    unet = UNetConfig(
        in_channels=4,
        out_channels=4,
        model_channels=64,
        channel_mult=(1, *mults[1:]),
        num_res_blocks=tuple(draw(st.integers(1, 3)) for _ in range(levels)),
        transformer_depth=tuple(draw(st.integers(0, 2)) for _ in range(levels)),
        middle_depth=draw(st.integers(1, 2)),
        context_dim=draw(st.sampled_from([16, 768])),
        num_heads=None if second else 8,
        head_channels=64 if second else None,
        use_linear_projection=second,
    )
    widths = tuple(draw(st.integers(1, 40)) for _ in range(4))
    return ControlNetConfig(unet, draw(st.integers(1, 5)), widths)


@settings(deadline=None, max_examples=40)
@given(configs())
def test_any_architecture_is_read_off_its_shapes_in_both_layouts(config: ControlNetConfig) -> None:
    shapes = shapes_of(lambda: ControlNet(config))
    table = to_diffusers(config)

    theirs = {table[name]: shape for name, shape in shapes.items()}

    assert len(theirs) == len(shapes)
    assert infer_config(shapes) == config
    assert diffusers_config(theirs) == config
