"""Names of text encoders in other layouts, both ways."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from nodes.models.clip import CLIPText
from nodes.models.clip_config import CLIPConfig, config_from_shapes
from nodes.models.errors import ArchitectureError
from nodes.models.keys_clip import from_huggingface, from_openclip, to_openclip

CONFIG = CLIPConfig(vocab=30, width=64, layers=12, heads=1, mlp=256, projection=48)


def openclip_state() -> dict[str, Tensor]:
    """The names OpenCLIP writes, spelt out, with tensors of random numbers."""
    torch.manual_seed(0)
    state = {
        "positional_embedding": torch.randn(77, 64),
        "text_projection": torch.randn(64, 48),
        "logit_scale": torch.ones([]),
        "token_embedding.weight": torch.randn(30, 64),
        "ln_final.weight": torch.randn(64),
        "ln_final.bias": torch.randn(64),
    }
    for layer in range(12):
        shapes = {
            "ln_1.weight": (64,),
            "ln_1.bias": (64,),
            "attn.in_proj_weight": (192, 64),
            "attn.in_proj_bias": (192,),
            "attn.out_proj.weight": (64, 64),
            "attn.out_proj.bias": (64,),
            "ln_2.weight": (64,),
            "ln_2.bias": (64,),
            "mlp.c_fc.weight": (256, 64),
            "mlp.c_fc.bias": (256,),
            "mlp.c_proj.weight": (64, 256),
            "mlp.c_proj.bias": (64,),
        }
        for name, shape in shapes.items():
            state[f"transformer.resblocks.{layer}.{name}"] = torch.randn(shape)
    return state


def test_the_openclip_layout_fills_every_tensor_of_the_network() -> None:
    module = CLIPText(CONFIG)

    module.load_state_dict(from_openclip(openclip_state()), strict=True)

    fused = openclip_state()["transformer.resblocks.11.attn.in_proj_weight"]
    attention = module.text_model.encoder.layers[11].self_attn
    assert torch.equal(attention.q_proj.weight, fused[:64])
    assert torch.equal(attention.k_proj.weight, fused[64:128])
    assert torch.equal(attention.v_proj.weight, fused[128:])
    assert torch.equal(module.text_projection.weight, openclip_state()["text_projection"].t())


def test_the_openclip_layout_is_written_back_as_it_was() -> None:
    original = openclip_state()

    written = to_openclip(from_openclip(original))

    del original["logit_scale"]
    assert written.keys() == original.keys()
    assert all(torch.equal(written[name], original[name]) for name in original)
    assert all(tensor.is_contiguous() for tensor in written.values())


def test_shapes_alone_are_translated_on_the_meta_device() -> None:
    meta = {name: tensor.to("meta") for name, tensor in openclip_state().items()}

    shapes = {name: tuple(tensor.shape) for name, tensor in from_openclip(meta).items()}

    config = config_from_shapes(shapes, family="sd2")
    assert (config.layers, config.width, config.projection) == (12, 64, 48)


def test_a_name_no_table_knows_is_passed_on() -> None:
    extra = {"visual.proj": torch.ones(1), "transformer.resblocks.0.gate": torch.ones(1)}

    assert from_openclip(openclip_state() | extra).keys() >= extra.keys()
    assert to_openclip(extra).keys() == extra.keys()


def test_a_fused_tensor_that_is_not_three_is_refused() -> None:
    name = "transformer.resblocks.2.attn.in_proj_weight"

    with pytest.raises(ArchitectureError, match=rf"{name} has shape \(190, 64\); expected"):
        from_openclip({name: torch.zeros(190, 64)})


def test_a_missing_part_of_a_fused_tensor_is_named() -> None:
    state = from_openclip(openclip_state())
    del state["text_model.encoder.layers.3.self_attn.k_proj.bias"]

    with pytest.raises(
        ArchitectureError, match=r"3\.attn\.in_proj_bias .* text_model.*k_proj\.bias"
    ):
        to_openclip(state)


@pytest.mark.parametrize("prefix", ["", "text_model."])
def test_hugging_face_names_are_read_with_and_without_their_prefix(prefix: str) -> None:
    names = ("embeddings.token_embedding.weight", "encoder.layers.0.mlp.fc1.bias")
    state = {prefix + name: torch.ones(1) for name in (*names, "final_layer_norm.bias")}
    state[prefix + "embeddings.position_ids"] = torch.arange(77)
    state["text_projection.weight"] = torch.ones(1)

    assert set(from_huggingface(state)) == {
        "text_model.embeddings.token_embedding.weight",
        "text_model.encoder.layers.0.mlp.fc1.bias",
        "text_model.final_layer_norm.bias",
        "text_projection.weight",
    }


def test_a_folder_that_transformers_saved_loads_strictly(tmp_path: Path) -> None:
    config = CLIPTextConfig(
        vocab_size=30,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=1,
        intermediate_size=128,
        bos_token_id=28,
        eos_token_id=29,
        pad_token_id=29,
    )
    theirs = CLIPTextModel(config)
    theirs.save_pretrained(tmp_path)
    state = from_huggingface(load_file(tmp_path / "model.safetensors"))
    module = CLIPText(config_from_shapes({k: tuple(v.shape) for k, v in state.items()}))

    module.load_state_dict(state, strict=True)

    [expected] = [p for n, p in theirs.named_parameters() if n.endswith("layers.1.mlp.fc2.weight")]
    assert torch.equal(module.text_model.encoder.layers[1].mlp.fc2.weight, expected)
