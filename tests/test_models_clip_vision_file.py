"""Files of image encoders: every layout gives the same network, and other files are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from vision_models import (
    EXACT,
    QUICK,
    OpenAI,
    Seen,
    difference,
    huggingface,
    pixels,
    seeded,
    seen_by,
    settings,
)

from nodes.models.checkpoint import load_part
from nodes.models.clip_vision_config import CLIPVisionConfig
from nodes.models.clip_vision_file import inspect_clip_vision
from nodes.models.errors import CheckpointError

State = dict[str, Tensor]


def written(folder: Path, state: State, config: CLIPVisionConfig | None = None) -> Path:
    """A file, and a config.json beside it."""
    path = folder / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    if config is not None:
        described = {"model_type": "clip_vision_model", **settings(config).to_dict()}
        (folder / "config.json").write_text(json.dumps(described))
    return path


def read(path: Path, config: CLIPVisionConfig) -> Seen:
    """What the network in a file makes of the test's pixels."""
    found = inspect_clip_vision(path)
    assert found.config == config
    features = load_part(found, dtype=torch.float32)(pixels(config))
    return Seen(features.embedding, features.last, features.penultimate)


def assert_same(found: Seen, expected: Seen) -> None:
    for name in ("embedding", "last", "penultimate"):
        assert difference(getattr(found, name), getattr(expected, name)) <= 1e-5, name


@pytest.mark.parametrize("config", [QUICK, EXACT], ids=["quick_gelu", "gelu"])
def test_the_layout_of_transformers(tmp_path: Path, config: CLIPVisionConfig) -> None:
    theirs = huggingface(config)
    path = written(tmp_path, theirs.state_dict(), config)

    assert_same(read(path, config), seen_by(theirs, pixels(config)))


@pytest.mark.parametrize("prefix", ["visual.", "module.visual.", "embedder.model.visual.", ""])
@pytest.mark.parametrize("config", [QUICK, EXACT], ids=["quick_gelu", "gelu"])
def test_the_layout_of_openai(tmp_path: Path, prefix: str, config: CLIPVisionConfig) -> None:
    theirs = seeded(OpenAI(config))
    state = {prefix + name: tensor for name, tensor in theirs.state_dict().items()}

    found = read(written(tmp_path, state, config), config)

    assert_same(found, theirs(pixels(config)))


def test_the_layout_of_a_bare_model_has_no_projection(tmp_path: Path) -> None:
    theirs = huggingface(QUICK)
    state = {
        name.removeprefix("vision_model."): tensor
        for name, tensor in theirs.state_dict().items()
        if name.startswith("vision_model.")
    }

    found = read(written(tmp_path, state), replace(QUICK, projection=None))

    projected = theirs.visual_projection(found.embedding)
    assert difference(projected, seen_by(theirs, pixels(QUICK)).embedding) <= 1e-5


def test_a_whole_clip_is_read_for_its_image_side(tmp_path: Path) -> None:
    theirs = huggingface(QUICK)
    beside = {
        "text_model.final_layer_norm.weight": torch.ones(8),
        "text_projection.weight": torch.ones(8, 8),
        "logit_scale": torch.ones(()),
        "vision_model.embeddings.position_ids": torch.arange(17)[None],
    }

    path = written(tmp_path, {**theirs.state_dict(), **beside})

    assert_same(read(path, QUICK), seen_by(theirs, pixels(QUICK)))


def test_half_precision_is_read_and_cast(tmp_path: Path) -> None:
    theirs = huggingface(QUICK)
    state = {name: tensor.half() for name, tensor in theirs.state_dict().items()}

    found = inspect_clip_vision(written(tmp_path, state))
    module = load_part(found, dtype=torch.float32)

    features = module(pixels(QUICK))
    assert found.dtype == torch.float16
    assert 1e-5 < difference(features.last, seen_by(theirs, pixels(QUICK)).last) < 1e-2
    half = load_part(found, dtype=torch.float16)(pixels(QUICK).half())
    assert difference(half.embedding.float(), features.embedding) < 2e-2


def test_a_whole_clips_description_is_read_for_its_vision_part(tmp_path: Path) -> None:
    path = written(tmp_path, huggingface(EXACT).state_dict())
    described = {"model_type": "clip", "vision_config": settings(EXACT).to_dict()}
    (tmp_path / "config.json").write_text(json.dumps(described))

    assert inspect_clip_vision(path).config == EXACT


@pytest.mark.parametrize(
    "described",
    [
        {"model_type": "clip_vision_model", "hidden_size": 1280, "hidden_act": "gelu"},
        {"model_type": "siglip"},
        {"vision_config": 7},
    ],
)
def test_a_description_of_something_else_is_left_alone(
    tmp_path: Path, described: dict[str, object]
) -> None:
    path = written(tmp_path, huggingface(QUICK).state_dict())
    (tmp_path / "config.json").write_text(json.dumps(described))

    assert inspect_clip_vision(path).config == QUICK


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("model.diffusion_model.out.2.weight", "a whole checkpoint without an image encoder"),
        ("vision_model.embeddings.patch_embedding.weight", "a SigLIP image encoder"),
        ("image_proj.proj.weight", "an IP-Adapter, which reads what an image encoder gives"),
        ("visual.layer1.0.conv1.weight", "a CLIP whose image encoder is a ResNet"),
        ("text_model.final_layer_norm.weight", "a text encoder"),
        ("decoder.up.0.block.0.conv1.weight", "a VAE"),
        ("output_blocks.0.0.weight", "a UNet"),
        ("lora_unet_down.alpha", "a LoRA"),
        ("something", "another kind of model"),
    ],
)
def test_another_kind_of_file_is_named(tmp_path: Path, name: str, kind: str) -> None:
    path = written(tmp_path, {name: torch.ones(1)})

    with pytest.raises(CheckpointError, match=f"is {kind}: expected a CLIP image encoder"):
        inspect_clip_vision(path)


@pytest.mark.parametrize("theirs", [huggingface(QUICK), seeded(OpenAI(QUICK))])
def test_a_file_without_one_of_its_tensors_is_refused(
    tmp_path: Path, theirs: torch.nn.Module
) -> None:
    prefix = "visual." if isinstance(theirs, OpenAI) else ""
    state = {prefix + name: tensor for name, tensor in theirs.state_dict().items()}
    gone = next(name for name in state if ".1." in name and name.endswith("bias"))
    del state[gone]

    with pytest.raises(CheckpointError, match=f"image encoder is not whole: .* missing .*{gone}"):
        inspect_clip_vision(written(tmp_path, state))


@pytest.mark.parametrize("theirs", [huggingface(QUICK), seeded(OpenAI(QUICK))])
def test_a_file_without_one_of_its_layers_is_refused(
    tmp_path: Path, theirs: torch.nn.Module
) -> None:
    prefix = "visual." if isinstance(theirs, OpenAI) else ""
    state = {prefix + name: w for name, w in theirs.state_dict().items() if ".1." not in name}

    with pytest.raises(CheckpointError, match="that are no part of the image encoder found in it"):
        inspect_clip_vision(written(tmp_path, state))


def test_a_tensor_of_the_wrong_shape_is_named_with_both_shapes(tmp_path: Path) -> None:
    state = huggingface(QUICK).state_dict()
    state["vision_model.post_layernorm.weight"] = torch.ones(100)

    said = r"wrong shape \(vision_model.post_layernorm.weight is \(100,\) instead of \(128,\)"
    with pytest.raises(CheckpointError, match=said):
        inspect_clip_vision(written(tmp_path, state))
