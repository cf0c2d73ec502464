"""Weights made when they are read: patches on parts of ours, biases, keys, shares by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lora_files import write
from tiny_models import Models, tiny
from torch import Tensor

from nodes.models.checkpoint import inspect
from nodes.models.checkpoint_metadata import Declared
from nodes.models.checkpoint_part import Part
from nodes.models.derived import Combined, Patch, Patched, Share, Stored, Weights, patched, unlike
from nodes.models.errors import CheckpointError
from nodes.models.lora_file import read_lora
from nodes.models.lora_match import match, strangers

WIDTH = 128  # of the second family's small text encoder
LAYER = "text_model.encoder.layers.1."


@pytest.fixture(scope="module")
def models() -> Models:
    return tiny("sd2")


@pytest.fixture(scope="module")
def file(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("derived") / "m.safetensors"
    return models.save(path, Declared(family="sd2"))


def stored(file: Path, part: Part = "text") -> Stored:
    return Stored(inspect(file), part, "hash")


def patch(
    folder: Path, weights: Weights, tensors: dict[str, Tensor], strength: float = 1.0, id: str = "l"
) -> Patch:
    path = folder / f"{id}.safetensors"
    lora = read_lora(path if path.exists() else write(path, tensors))
    return Patch(lora, id, strength, match(lora, weights).uses)


def read(weights: Weights, name: str) -> Tensor:
    with weights.reader() as get:
        return get(name)


def rand(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_weights_of_a_file_are_the_files_in_float32(file: Path, models: Models) -> None:
    weights = stored(file)

    for name, weight in models.text.state_dict().items():
        assert torch.equal(read(weights, name), weight), name
    assert weights.shapes.keys() == models.text.state_dict().keys()


@pytest.mark.parametrize("dora", [False, True])
def test_a_fused_projections_change_is_shared_out_to_its_three(
    tmp_path: Path, file: Path, dora: bool
) -> None:
    up, down, m = rand(3 * WIDTH, 2), rand(2, WIDTH), rand(3 * WIDTH, 1).abs() + 1
    module = "lora_te_transformer_resblocks_1_attn_in_proj"
    tensors = {f"{module}.lora_up.weight": up, f"{module}.lora_down.weight": down}
    base = stored(file)

    made = patched(
        base, patch(tmp_path, base, tensors | ({f"{module}.dora_scale": m} if dora else {}))
    )

    names = [f"{LAYER}self_attn.{part}_proj.weight" for part in "qkv"]
    V = torch.cat([read(base, name) for name in names]) + up @ down
    expected = m * V / V.norm(dim=1, keepdim=True) if dora else V
    found = torch.cat([read(made, name) for name in names])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_lengths_of_columns_cannot_be_shared_out(tmp_path: Path, file: Path) -> None:
    module = "lora_te_transformer_resblocks_1_attn_in_proj"
    tensors = {
        f"{module}.lora_up.weight": rand(3 * WIDTH, 2),
        f"{module}.lora_down.weight": rand(2, WIDTH),
        f"{module}.dora_scale": rand(1, WIDTH),
    }
    lora = read_lora(write(tmp_path / "l.safetensors", tensors))

    assert match(lora, stored(file)).unmatched == (module,)


def test_biases_and_norms_are_changed_by_whole_differences(tmp_path: Path, file: Path) -> None:
    base, bias, norm = stored(file), rand(WIDTH), rand(WIDTH) + 1
    tensors = {
        "lora_te_text_model_encoder_layers_1_mlp_fc2.diff_b": bias,
        "lora_te_text_model_encoder_layers_1_layer_norm1.w_norm": norm,
    }

    made = patched(base, patch(tmp_path, base, tensors, strength=-2.0))

    for name, change in (("mlp.fc2.bias", bias), ("layer_norm1.weight", norm)):
        expected = read(base, LAYER + name) - 2 * change
        torch.testing.assert_close(read(made, LAYER + name), expected)
    untouched = f"{LAYER}mlp.fc2.weight"
    assert torch.equal(read(made, untouched), read(base, untouched))


@pytest.mark.parametrize("role", ["diff", "diff_b"])
def test_a_difference_of_another_size_is_refused(tmp_path: Path, file: Path, role: str) -> None:
    tensors = {f"lora_te_text_model_encoder_layers_1_layer_norm1.{role}": rand(7)}

    with pytest.raises(CheckpointError, match="was made for another model"):
        patch(tmp_path, stored(file), tensors)


def test_names_of_no_part_are_strangers(tmp_path: Path) -> None:
    tensors = {"transformer.x.diff": rand(2), "unet.x.diff": rand(2), "odd": rand(2)}

    lora = read_lora(write(tmp_path / "l.safetensors", tensors))

    assert set(strangers(lora)) == {"transformer.x", "odd"}


def test_the_order_of_patches_is_their_own(tmp_path: Path, file: Path) -> None:
    base = stored(file)
    tensors = {"lora_te_text_model_encoder_layers_1_mlp_fc2.diff_b": rand(WIDTH)}
    several = [
        patch(tmp_path, base, tensors, strength, id)
        for id, strength in (("b", 0.1), ("a", 0.7), ("b", -0.3), ("c", 1e-3))
    ]

    orders: list[Patched] = []
    for order in (several, several[::-1]):
        made: Weights = base
        for one in order:
            made = patched(made, one)
        assert isinstance(made, Patched)
        orders.append(made)

    assert [(p.identity, p.strength) for p in orders[0].patches] == [
        ("a", 0.7),
        ("b", -0.3),
        ("b", 0.1),
        ("c", 1e-3),
    ]
    assert orders[0].key == orders[1].key != base.key
    assert orders[0].base is base
    name = f"{LAYER}mlp.fc2.bias"
    assert torch.equal(read(orders[0], name), read(orders[1], name))


def test_the_longest_prefix_has_the_say(file: Path) -> None:
    weights = stored(file)
    shares = (Share("", 0.1, 0.9), Share("text_model.", 0.2, 0.8), Share(LAYER, 0.3, 0.7))

    made = Combined(weights, weights, shares)

    assert made.share(f"{LAYER}mlp.fc1.weight") == (0.3, 0.7)
    assert made.share("text_model.final_layer_norm.weight") == (0.2, 0.8)


def test_what_only_one_has_or_has_in_another_shape_is_unlike(file: Path) -> None:
    text, unet = stored(file), stored(file, "unet")

    assert not unlike(text, text)
    assert set(unlike(text, unet)) == {*text.shapes, *unet.shapes}
    assert replace(text, identity="other").key != text.key
