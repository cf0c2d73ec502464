"""Names from outside: every layout's name of a module means that module."""

from __future__ import annotations

import pytest
from published_sizes import CLIP_L, OPENCLIP_H, SD1_UNET
from tiny_models import TEXTS, UNETS
from tiny_pipelines import tiny
from torch import nn

from nodes.models.checkpoint_part import parameter_shapes
from nodes.models.clip_config import CLIPConfig
from nodes.models.lora_keys import Target, flattened, part_of, targets_of
from nodes.models.unet_config import UNetConfig


def module(name: str, config: UNetConfig | CLIPConfig) -> str:
    """Ours for a name from outside."""
    found = part_of(name)
    assert found is not None
    [target] = targets_of(config)[found[1]]
    assert target.blocks == 1
    return target.module


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        (
            "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q",
            "input_blocks.1.1.transformer_blocks.0.attn1.to_q",
        ),
        (
            "unet.up_blocks.3.attentions.2.transformer_blocks.0.attn2.to_out.0",
            "output_blocks.11.1.transformer_blocks.0.attn2.to_out.0",
        ),
        ("lora_unet_mid_block_attentions_0_proj_in", "middle_block.1.proj_in"),
        ("unet.mid_block.resnets.1.conv2", "middle_block.2.out_layers.3"),
        ("down_blocks.2.resnets.0.conv_shortcut", "input_blocks.7.0.skip_connection"),
        ("lora_unet_down_blocks_1_downsamplers_0_conv", "input_blocks.6.0.op"),
        ("lora_unet_up_blocks_0_upsamplers_0_conv", "output_blocks.2.1.conv"),
        ("lora_unet_time_embedding_linear_2", "time_embed.2"),
        ("lora_unet_down_blocks_0_resnets_1_time_emb_proj", "input_blocks.2.0.emb_layers.1"),
        ("diffusion_model.middle_block.1.proj_out", "middle_block.1.proj_out"),
        (
            "lora_unet_output_blocks_5_1_transformer_blocks_0_ff_net_0_proj",
            "output_blocks.5.1.transformer_blocks.0.ff.net.0.proj",
        ),
        ("base_model.model.unet.conv_in", "input_blocks.0.0"),
        ("base_model.model.mid_block.resnets.0.conv1", "middle_block.0.in_layers.2"),
        ("lora_unet_conv_norm_out", "out.0"),
    ],
)
def test_the_names_of_stable_diffusions_unet(name: str, ours: str) -> None:
    assert part_of(name) is not None
    assert module(name, SD1_UNET) == ours


@pytest.mark.parametrize("config", [CLIP_L, OPENCLIP_H], ids=["sd1", "sd2"])
@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("lora_te_text_model_encoder_layers_11_mlp_fc1", "encoder.layers.11.mlp.fc1"),
        (
            "lora_te1_text_model_encoder_layers_0_self_attn_q_proj",
            "encoder.layers.0.self_attn.q_proj",
        ),
        ("text_encoder.text_model.encoder.layers.3.mlp.fc2", "encoder.layers.3.mlp.fc2"),
        ("text_encoder.encoder.layers.3.self_attn.out_proj", "encoder.layers.3.self_attn.out_proj"),
        (
            "text_encoder.text_model.encoder.layers.3.self_attn.to_q",
            "encoder.layers.3.self_attn.q_proj",
        ),
        ("text_encoders.clip_l.transformer.text_model.final_layer_norm", "final_layer_norm"),
        ("text_model.encoder.layers.2.layer_norm1", "encoder.layers.2.layer_norm1"),
        ("cond_stage_model.model.transformer.resblocks.7.mlp.c_fc", "encoder.layers.7.mlp.fc1"),
    ],
)
def test_the_names_of_text_encoders(name: str, ours: str, config: CLIPConfig) -> None:
    assert module(name, config) == f"text_model.{ours}"


def test_openclips_fused_projection_is_three_of_ours() -> None:
    found = part_of("lora_te_transformer_resblocks_1_attn_in_proj")

    assert found is not None
    layer = "text_model.encoder.layers.1.self_attn"
    assert targets_of(OPENCLIP_H)[found[1]] == tuple(
        Target(f"{layer}.{part}_proj", i, 3) for i, part in enumerate("qkv")
    )


@pytest.mark.parametrize("family", ["sd1", "sd2"])
def test_every_layer_of_diffusers_and_transformers_has_one_of_ours(family: str) -> None:
    models = tiny(family)  # type: ignore[arg-type]
    unet = UNetConfig(4, 4, 64, (1, 2), (1, 1), (1, 0), 1, context_dim=64, num_heads=8)
    text = CLIPConfig(
        vocab=49408, width=64, layers=models.text.config.num_hidden_layers, heads=1, mlp=128
    )

    for prefix, network, config in (
        ("lora_unet_", models.unet, unet),
        ("lora_te_", models.text, text),
    ):
        names = {n for n, m in network.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d))}
        ours = [module(prefix + flattened(name), config) for name in names]
        assert len(set(ours)) == len(names) > 10
        shapes = parameter_shapes(config)
        assert all(f"{name}.weight" in shapes for name in ours)


@pytest.mark.parametrize("name", ["lora_transformer_blocks_0", "img_in", "unet", "lora_te3_x"])
def test_a_name_of_no_part_is_known_as_such(name: str) -> None:
    assert part_of(name) is None


def test_the_second_of_two_text_encoders_is_not_ours() -> None:
    found = part_of("lora_te2_text_model_encoder_layers_0_mlp_fc1")

    assert found is not None
    assert found[0] == "text"
    assert found[1] not in targets_of(TEXTS["sd1"])


def test_a_network_without_diffusers_names_has_its_own() -> None:
    pixels = UNetConfig(3, 6, 32, (1, 2), (1, 1), (0, 1), 1, head_channels=32)

    names = targets_of(pixels)

    assert names["middle_block_1_qkv"] == (Target("middle_block.1.qkv"),)
    assert not any(name.startswith("down_blocks") for name in names)
    assert "down_blocks_0_resnets_0_conv1" in targets_of(UNETS["sd1"])
