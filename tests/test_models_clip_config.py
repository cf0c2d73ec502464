"""Sizes read off shapes and off diffusers' configuration files."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from published_sizes import CLIP_L, OPENCLIP_H
from transformers import CLIPTextConfig

from nodes.models.clip import CLIPText
from nodes.models.clip_config import CLIPConfig, config_from_diffusers, config_from_shapes
from nodes.models.errors import ArchitectureError

SMALL = CLIPConfig(vocab=50, width=128, layers=3, heads=2, mlp=300, positions=20)
SD2 = replace(OPENCLIP_H, projection=1024)
SD2_TRIMMED = replace(SD2, layers=23, default_skip=-1, dropped_layers=1, projection=None)
SD2_DIFFUSERS: dict[str, Any] = {
    "architectures": ["CLIPTextModel"],
    "bos_token_id": 0,
    "eos_token_id": 2,
    "hidden_act": "gelu",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 77,
    "num_attention_heads": 16,
    "num_hidden_layers": 23,
    "pad_token_id": 1,
    "projection_dim": 512,
    "vocab_size": 49408,
}


def shapes_of(config: CLIPConfig) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(p.shape) for name, p in CLIPText(config).state_dict().items()}


@pytest.mark.parametrize("config", [SMALL, CLIP_L], ids=["small", "sd1"])
def test_sd1_sizes_are_read_off_shapes(config: CLIPConfig) -> None:
    assert config_from_shapes(shapes_of(config)) == config


def test_a_single_file_of_sd2_is_used_at_its_penultimate_layer() -> None:
    assert config_from_shapes(shapes_of(SD2), family="sd2") == SD2


def test_sd2_without_its_last_layer_is_used_at_the_last_it_has() -> None:
    assert config_from_shapes(shapes_of(SD2_TRIMMED), family="sd2") == SD2_TRIMMED


def test_the_number_of_heads_can_be_given() -> None:
    config = replace(SMALL, width=96, heads=3)

    assert config_from_shapes(shapes_of(config), heads=3) == config


def test_heads_that_cannot_be_told_are_asked_for() -> None:
    shapes = shapes_of(replace(SMALL, width=96, heads=3))

    with pytest.raises(ArchitectureError, match=r"96 wide.*pass heads="):
        config_from_shapes(shapes)


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ArchitectureError, match="width 128 cannot have 3 heads"):
        config_from_shapes(shapes_of(SMALL), heads=3)


def test_a_missing_tensor_is_named() -> None:
    shapes = shapes_of(SMALL)
    del shapes["text_model.embeddings.position_embedding.weight"]

    with pytest.raises(ArchitectureError, match=r"position_embedding\.weight is missing"):
        config_from_shapes(shapes)


@pytest.mark.parametrize("lost", [0, 1])
def test_a_missing_layer_is_named(lost: int) -> None:
    shapes = {k: v for k, v in shapes_of(SMALL).items() if f".layers.{lost}." not in k}

    with pytest.raises(ArchitectureError, match=f"no layer {lost} .*incomplete"):
        config_from_shapes(shapes)


def test_a_file_without_layers_is_no_text_encoder() -> None:
    shapes = {k: v for k, v in shapes_of(SMALL).items() if ".layers." not in k}

    with pytest.raises(ArchitectureError, match="no layer 0"):
        config_from_shapes(shapes)


def test_a_default_skip_beyond_the_layers_is_refused() -> None:
    with pytest.raises(ArchitectureError, match="1 layers has no hidden state -2"):
        replace(SMALL, layers=1, default_skip=-2)


def test_the_folder_of_sd1_is_read() -> None:
    written = CLIPTextConfig(
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        projection_dim=768,
    ).to_dict()

    assert config_from_diffusers(written) == CLIP_L


def test_the_folder_of_sd2_is_read() -> None:
    assert config_from_diffusers(SD2_DIFFUSERS) == SD2_TRIMMED


def test_the_folder_of_a_projected_encoder_and_its_tokens_are_read() -> None:
    written = SD2_DIFFUSERS | {
        "architectures": ["CLIPTextModelWithProjection"],
        "num_hidden_layers": 32,
        "eos_token_id": 500,
    }

    config = config_from_diffusers(written, pad_token=7)

    assert (config.projection, config.pad_token, config.end_token) == (512, 7, 500)
    assert (config.layers, config.default_skip, config.dropped_layers) == (32, -1, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [("hidden_size", None), ("num_hidden_layers", "12"), ("vocab_size", 0), ("hidden_act", "relu")],
)
def test_a_wrong_field_is_named(field: str, value: object) -> None:
    with pytest.raises(ArchitectureError, match=rf"text_encoder/config.json: {field} is"):
        config_from_diffusers(SD2_DIFFUSERS | {field: value})
