"""An image encoder's sizes, read off shapes: those of the published ones, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from vision_models import EXACT, QUICK

from nodes.models.clip_vision import CLIPVision
from nodes.models.clip_vision_config import CLIPVisionConfig, config_from_shapes
from nodes.models.errors import ArchitectureError
from nodes.models.shapes import shapes_of

Shapes = dict[str, tuple[int, ...]]
PUBLISHED = {
    "ViT-B/32": CLIPVisionConfig(768, 12, 12, 3072, 224, 32, 512, "quick_gelu"),
    "ViT-B/16": CLIPVisionConfig(768, 12, 12, 3072, 224, 16, 512, "quick_gelu"),
    "ViT-L/14": CLIPVisionConfig(1024, 24, 16, 4096, 224, 14, 768, "quick_gelu"),
    "ViT-L/14@336": CLIPVisionConfig(1024, 24, 16, 4096, 336, 14, 768, "quick_gelu"),
    "ViT-H/14": CLIPVisionConfig(1280, 32, 16, 5120, 224, 14, 1024, "gelu"),
    "ViT-g/14": CLIPVisionConfig(1408, 40, 16, 6144, 224, 14, 1024, "gelu"),
    "ViT-bigG/14": CLIPVisionConfig(1664, 48, 16, 8192, 224, 14, 1280, "gelu"),
}
POSITIONS = "vision_model.embeddings.position_embedding.weight"


def shapes(config: CLIPVisionConfig) -> Shapes:
    return shapes_of(lambda: CLIPVision(config))


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_encoder_is_known_by_its_shapes(name: str) -> None:
    assert config_from_shapes(shapes(PUBLISHED[name])) == PUBLISHED[name]


def test_a_small_one_without_a_projection_is_known_as_well() -> None:
    found = shapes(QUICK)
    del found["visual_projection.weight"]

    assert config_from_shapes(found).projection is None
    assert config_from_shapes(found).tokens == 17


def test_what_no_shape_tells_is_taken_from_what_is_declared() -> None:
    declared = {"hidden_act": "gelu", "num_attention_heads": 6, "layer_norm_eps": 1e-6}

    found = config_from_shapes(shapes(EXACT), declared=declared)

    assert (found.activation, found.heads, found.norm_eps) == ("gelu", 6, 1e-6)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"hidden_act": "relu"}, "hidden_act is 'relu'; expected quick_gelu or gelu"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0; expected a positive"),
        ({"num_attention_heads": True}, "num_attention_heads is True"),
        ({"num_attention_heads": 5}, "width 128 cannot have 5 heads"),
    ],
)
def test_bad_declarations_are_named(declared: dict[str, Any], said: str) -> None:
    with pytest.raises(ArchitectureError, match=said):
        config_from_shapes(shapes(QUICK), declared=declared)


def test_shapes_that_fit_no_encoder_are_named() -> None:
    whole = shapes(QUICK)
    kernel = "vision_model.embeddings.patch_embedding.weight"

    with pytest.raises(ArchitectureError, match=f"{kernel} is missing"):
        config_from_shapes({name: shape for name, shape in whole.items() if name != kernel})
    with pytest.raises(ArchitectureError, match="reads 4 channels, and pictures have 3"):
        config_from_shapes({**whole, kernel: (128, 4, 7, 7)})
    with pytest.raises(ArchitectureError, match="12 patches and a class token: expected a square"):
        config_from_shapes({**whole, POSITIONS: (13, 128)})
    with pytest.raises(ArchitectureError, match="0 patches"):
        config_from_shapes({**whole, POSITIONS: (1, 128)})
    with pytest.raises(ArchitectureError, match=r"layers\.0\.mlp\.fc1\.weight is missing"):
        config_from_shapes({name: shape for name, shape in whole.items() if "layers" not in name})
