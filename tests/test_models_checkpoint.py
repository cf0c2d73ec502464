"""Checkpoints: recognised from names and shapes, and loaded part by part.

Those in diffusers' layout have a file of their own, test_models_diffusers_folder.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_models import DEEP, TEXTS, UNETS, VAES, Models, equal_states, outputs, scrambled, tiny
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from nodes.models.blank import blank
from nodes.models.checkpoint import inspect, load, part_bytes, read_tensor
from nodes.models.checkpoint_metadata import BetaSchedule, Declared
from nodes.models.clip import CLIPText
from nodes.models.clip_config import CLIPConfig, Family
from nodes.models.errors import CheckpointError
from nodes.models.layers import zeroed
from nodes.models.save import save_original
from nodes.models.unet import UNet
from nodes.models.unet_config import UNetConfig
from nodes.models.vae import VAE, VAEConfig

ROOT = Path(__file__).parents[1]
EMOJI = ROOT / "models" / "checkpoints" / "emoji.safetensors"
FAMILIES: tuple[Family, ...] = ("sd1", "sd2")
TELLTALE = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"

Change = Callable[[dict[str, Tensor]], None]


@pytest.fixture(scope="module")
def models() -> dict[Family, Models]:
    return {family: tiny(family) for family in FAMILIES}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, models: Any) -> dict[Family, Path]:
    """A file in the original layout for each family, with nothing in its metadata."""
    folder = tmp_path_factory.mktemp("original")
    paths = {}
    for family in FAMILIES:
        path = models[family].save(folder / f"{family}.safetensors", Declared(family=family))
        save_file(load_file(path), path)
        paths[family] = path
    return paths


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A UNet of the second family with the published networks' depth, without metadata."""
    path = tmp_path_factory.mktemp("deep") / "deep.safetensors"
    torch.manual_seed(3)
    save_original(path, Declared(), unet=scrambled_unet(DEEP), dtype=torch.float16)
    return changed(path, path, {})


def scrambled_unet(config: UNetConfig) -> UNet:
    unet = UNet(config)
    scrambled(unet)
    return unet


def changed(
    source: Path, path: Path, metadata: dict[str, str], change: Change = lambda _: None
) -> Path:
    """A copy of a checkpoint, with other metadata and other tensors."""
    tensors = load_file(source)
    change(tensors)
    save_file(tensors, path, metadata=metadata)
    return path


# --- the original layout -----------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_the_architecture_is_read_off_names_and_shapes_alone(
    original: dict[Family, Path], family: Family
) -> None:
    info = inspect(original[family])

    assert info.family == family
    assert info.layout == "original"
    assert info.unet == UNETS[family]
    assert info.text == TEXTS[family]
    assert info.vae == VAES
    assert info.factor == 2
    assert info.dtype == torch.float32
    assert info.unknown == ()
    assert not info.inpainting


@pytest.mark.parametrize("family", FAMILIES)
def test_what_shapes_cannot_show_follows_the_familys_rule(
    original: dict[Family, Path], family: Family
) -> None:
    info = inspect(original[family])

    assert (info.prediction, info.decided_by) == ("eps", "family")
    assert info.schedule == BetaSchedule("scaled_linear", 0.00085, 0.012, 1000)
    assert info.scale_factor == 0.18215
    assert not info.zero_terminal


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_model_is_loaded_bit_by_bit(
    original: dict[Family, Path], models: dict[Family, Models], family: Family
) -> None:
    info, expected = inspect(original[family]), models[family]

    unet = load(info, "unet", dtype=torch.float32)
    text = load(info, "text", dtype=torch.float32)
    vae = load(info, "vae", dtype=torch.float32)

    assert equal_states(unet, expected.unet)
    assert equal_states(text, expected.text)
    assert equal_states(vae, expected.vae)
    width = TEXTS[family].width
    assert torch.equal(outputs(unet, width), outputs(expected.unet, width))


def test_a_loaded_part_is_ready_to_run_and_closed_to_training(
    original: dict[Family, Path],
) -> None:
    module = load(inspect(original["sd1"]), "unet", dtype=torch.float32)

    assert not any(m.training for m in module.modules())
    assert not any(p.requires_grad for p in module.parameters())
    assert not any(t.is_meta for t in (*module.parameters(), *module.buffers()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_are_converted_as_they_come_in(
    original: dict[Family, Path], models: dict[Family, Models], dtype: torch.dtype
) -> None:
    module = load(inspect(original["sd2"]), "text", dtype=dtype)

    for name, tensor in models["sd2"].text.state_dict().items():
        assert torch.equal(module.state_dict()[name], tensor.to(dtype))


def test_channels_last_changes_the_layout_of_convolutions_and_no_number(
    original: dict[Family, Path], models: dict[Family, Models]
) -> None:
    module = load(inspect(original["sd1"]), "vae", dtype=torch.float32, channels_last=True)

    assert module.encoder.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    assert not module.encoder.conv_in.weight.is_contiguous()
    assert equal_states(module, models["sd1"].vae)


@pytest.mark.parametrize("family", FAMILIES)
def test_any_parameter_can_be_read_again_alone(
    original: dict[Family, Path], models: dict[Family, Models], family: Family
) -> None:
    info = inspect(original[family])

    for name, tensor in models[family].text.state_dict().items():
        again = read_tensor(info, "text", name, dtype=torch.float16)
        assert torch.equal(again, tensor.half())
        assert again.is_contiguous()


def test_a_parts_size_is_known_before_it_is_loaded(
    original: dict[Family, Path], models: dict[Family, Models]
) -> None:
    info = inspect(original["sd1"])

    parameters = sum(p.numel() for p in models["sd1"].unet.parameters())

    assert part_bytes(info, "unet", torch.float32) == 4 * parameters
    assert part_bytes(info, "unet", torch.bfloat16) == 2 * parameters


def test_a_file_overwritten_after_loading_changes_nothing(
    tmp_path: Path, original: dict[Family, Path], models: dict[Family, Models]
) -> None:
    path = changed(original["sd1"], tmp_path / "model.safetensors", {})
    unet = load(inspect(path), "unet", dtype=torch.float32)

    with path.open("r+b") as file:
        file.truncate(0)
        file.write(b"\xff" * 100_000)

    assert equal_states(unet, models["sd1"].unet)


def test_a_file_replaced_between_inspection_and_loading_is_refused(
    tmp_path: Path, original: dict[Family, Path]
) -> None:
    path = changed(original["sd1"], tmp_path / "model.safetensors", {})
    info = inspect(path)
    changed(original["sd2"], path, {})

    with pytest.raises(CheckpointError, match="changed since it was inspected"):
        load(info, "unet", dtype=torch.float32)


def test_other_tensors_are_listed_and_those_every_checkpoint_has_are_not(
    tmp_path: Path, original: dict[Family, Path], models: dict[Family, Models]
) -> None:
    ignored = (
        "betas",
        "alphas_cumprod",
        "posterior_mean_coef1",
        "model_ema.decay",
        "model_ema.diffusion_modelout2weight",
        "first_stage_model.loss.logvar",
        "cond_stage_model.transformer.text_model.embeddings.position_ids",
        "cond_stage_model.logit_scale",
    )

    def add(tensors: dict[str, Tensor]) -> None:
        tensors.update({name: torch.zeros(3) for name in ignored})
        tensors["model.diffusion_model.motion.weight"] = torch.zeros(3)
        tensors["extra"] = torch.zeros(3, dtype=torch.int64)

    info = inspect(changed(original["sd1"], tmp_path / "model.safetensors", {}, add))

    assert set(info.unknown) == {"model.diffusion_model.motion.weight", "extra"}
    assert equal_states(load(info, "unet", dtype=torch.float32), models["sd1"].unet)


@pytest.mark.parametrize("channels", [9, 8])
def test_nine_input_channels_are_an_inpainting_model(tmp_path: Path, channels: int) -> None:
    path = tmp_path / "inpainting.safetensors"
    unet = scrambled_unet(replace(UNETS["sd2"], in_channels=channels))
    save_original(path, Declared(), unet=unet)

    info = inspect(changed(path, path, {}))

    assert info.inpainting == (channels == 9)
    assert info.decided_by == ("inpainting" if channels == 9 else "family")
    assert info.prediction == "eps"


def test_a_depth_network_is_one_of_stable_diffusion_2_that_predicts_eps(
    tmp_path: Path, deep: Path
) -> None:
    """Also where a statistic of its weights would say v."""

    def with_depth(tensors: dict[str, Tensor]) -> None:
        spread = torch.linspace(-1, 1, len(tensors[TELLTALE])).to(torch.float16)
        tensors[TELLTALE] = spread
        name = "model.diffusion_model.input_blocks.0.0.weight"
        tensors[name] = torch.cat([tensors[name], tensors[name][:, :1]], dim=1)

    info = inspect(changed(deep, tmp_path / "depth.safetensors", {}, with_depth))

    assert info.unet is not None
    assert (info.unet.in_channels, info.unet.out_channels) == (5, 4)
    assert (info.family, info.prediction, info.decided_by) == ("sd2", "eps", "depth")
    assert not info.inpainting


# --- eps or v ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("spread", "expected"), [(0.12, "v"), (0.095, "v"), (0.085, "eps")])
def test_the_statistic_tells_v_from_eps_where_nothing_is_said(
    tmp_path: Path, deep: Path, spread: float, expected: str
) -> None:
    def spread_out(tensors: dict[str, Tensor]) -> None:
        bias = torch.randn(tensors[TELLTALE].shape, dtype=torch.float64)
        tensors[TELLTALE] = ((bias - bias.mean()) / bias.std() * spread + 3).to(torch.float16)

    info = inspect(changed(deep, tmp_path / "deep.safetensors", {}, spread_out))

    assert (info.prediction, info.decided_by) == (expected, "statistic")


@pytest.mark.parametrize(
    ("metadata", "marks", "expected"),
    [
        ({"modelspec.prediction_type": "v"}, (), "v"),
        ({"modelspec.prediction_type": "epsilon"}, ("v_pred",), "eps"),
        ({"modelspec.architecture": "stable-diffusion-v2-768-v"}, (), "v"),
        ({"modelspec.architecture": "stable-diffusion-v2-512"}, (), "eps"),
        ({"modelspec.architecture": "stable-diffusion-v2-512"}, ("v_pred",), "v"),
        ({}, ("v_pred", "ztsnr"), "v"),
        ({"nodegraph.prediction": "x0", "modelspec.prediction_type": "v"}, (), "x0"),
    ],
)
def test_metadata_count_more_than_the_statistic(
    tmp_path: Path, deep: Path, metadata: dict[str, str], marks: tuple[str, ...], expected: str
) -> None:
    def mark(tensors: dict[str, Tensor]) -> None:
        tensors[TELLTALE] = torch.randn_like(tensors[TELLTALE])  # far above what means v
        tensors.update({name: torch.tensor([]) for name in marks})

    info = inspect(changed(deep, tmp_path / "deep.safetensors", metadata, mark))

    assert (info.prediction, info.decided_by) == (expected, "metadata")
    assert info.zero_terminal == ("ztsnr" in marks)
    assert info.unknown == ()


def test_metadata_nobody_understands_leave_it_to_the_statistic(tmp_path: Path, deep: Path) -> None:
    metadata = {"modelspec.prediction_type": "flow", "modelspec.architecture": "something-else"}

    info = inspect(changed(deep, tmp_path / "deep.safetensors", metadata))

    assert info.decided_by == "statistic"


def test_the_users_word_counts_most_and_a_contradiction_is_noted(
    tmp_path: Path, original: dict[Family, Path]
) -> None:
    metadata = {"modelspec.prediction_type": "v"}
    path = changed(original["sd2"], tmp_path / "model.safetensors", metadata)

    agreed, overruled = inspect(path, prediction="v"), inspect(path, prediction="eps")

    assert (agreed.prediction, agreed.decided_by, agreed.notes) == ("v", "user", ())
    assert (overruled.prediction, overruled.decided_by) == ("eps", "user")
    assert overruled.notes == (
        "model.safetensors says that it predicts v; eps is taken, as asked for",
    )


def test_the_users_word_decides_where_nothing_else_can(original: dict[Family, Path]) -> None:
    info = inspect(original["sd2"], prediction="v")

    assert (info.prediction, info.decided_by) == ("v", "user")


def test_the_first_family_predicts_eps_whatever_the_statistic(
    tmp_path: Path, original: dict[Family, Path]
) -> None:
    path = changed(original["sd1"], tmp_path / "model.safetensors", {})

    assert inspect(path).decided_by == "family"
    assert inspect(path).prediction == "eps"


# --- metadata ----------------------------------------------------------------------------------


def test_metadata_overrule_what_shapes_would_suggest(
    tmp_path: Path, original: dict[Family, Path]
) -> None:
    metadata = {
        "nodegraph.unet": json.dumps({"head_channels": 16}),
        "nodegraph.text": json.dumps({"heads": 4, "activation": "gelu", "default_skip": -2}),
        "nodegraph.schedule": json.dumps({"kind": "linear", "start": 1e-4, "end": 0.02}),
        "nodegraph.latent_scale": "0.5",
        "nodegraph.zero_terminal": "true",
    }

    info = inspect(changed(original["sd1"], tmp_path / "model.safetensors", metadata))

    assert info.unet == replace(UNETS["sd1"], num_heads=None, head_channels=16)
    assert info.text == replace(TEXTS["sd1"], heads=4, activation="gelu", default_skip=-2)
    assert info.schedule == BetaSchedule("linear", 1e-4, 0.02, 1000)
    assert info.scale_factor == 0.5
    assert info.zero_terminal


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"prediction": "noise"}, "nodegraph.prediction = 'noise'; expected one of eps"),
        ({"family": "sd9"}, "nodegraph.family = 'sd9'; expected one of sd1, sd2"),
        ({"unet": "[8]"}, "nodegraph.unet that is no JSON object"),
        ({"unet": "{"}, "nodegraph.unet that is no JSON"),
        ({"unet": '{"num_heads": "8"}'}, "nodegraph.unet with num_heads = '8'"),
        ({"unet": '{"num_heads": true}'}, "nodegraph.unet with num_heads = True"),
        ({"unet": '{"num_heads": 7}'}, "7 heads do not divide"),
        ({"text": '{"heads": 5}'}, "cannot have 5 heads"),
        ({"text": '{"activation": "relu"}'}, "activation 'relu'; expected one of quick_gelu"),
        ({"schedule": '{"kind": "odd"}'}, "a schedule of kind 'odd'; expected one of"),
        ({"schedule": '{"start": 0.5, "end": 0.1}'}, "expected 0 < start <= end < 1"),
        ({"latent_scale": "big"}, "nodegraph.latent_scale = 'big'; expected a number above 0"),
        ({"latent_scale": "nan"}, "expected a number above 0"),
    ],
)
def test_metadata_that_make_no_sense_are_named(
    tmp_path: Path, original: dict[Family, Path], metadata: dict[str, str], expected: str
) -> None:
    ours = {f"nodegraph.{name}": value for name, value in metadata.items()}
    path = changed(original["sd1"], tmp_path / "model.safetensors", ours)

    with pytest.raises(CheckpointError) as caught:
        inspect(path)

    assert expected in str(caught.value)
    assert f"{tmp_path.name}/model.safetensors: " in str(caught.value)


# --- bad files ---------------------------------------------------------------------------------


def drop(*ends: str) -> Change:
    def change(tensors: dict[str, Tensor]) -> None:
        for name in [name for name in tensors if name.endswith(ends)]:
            del tensors[name]

    return change


def put(name: str, tensor: Tensor) -> Change:
    def change(tensors: dict[str, Tensor]) -> None:
        assert name in tensors
        tensors[name] = tensor

    return change


OUT = "model.diffusion_model.input_blocks.1.0.out_layers.3"
QUERY = "cond_stage_model.transformer.text_model.encoder.layers.1.self_attn.q_proj"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (drop(f"{OUT}.weight"), f"its UNet is not whole: 1 tensor is missing ({OUT}.weight)"),
        (drop(f"{QUERY}.bias"), f"text encoder is not whole: 1 tensor is missing ({QUERY}.bias)"),
        (drop("time_embed.0.weight"), "its UNet: the tensor time_embed.0.weight is missing"),
        (drop("token_embedding.weight"), "text_model.embeddings.token_embedding.weight"),
        (drop("decoder.conv_out.bias"), "its VAE: the tensor decoder.conv_out.bias is missing"),
        (
            put(f"{OUT}.bias", torch.zeros(31)),
            f"1 tensor is of the wrong shape ({OUT}.bias is (31,) instead of (32,))",
        ),
        (
            put(f"{OUT}.bias", torch.zeros(32, dtype=torch.int8)),
            f"1 tensor is not made of floating-point numbers ({OUT}.bias is torch.int8)",
        ),
        (put("first_stage_model.quant_conv.bias", torch.zeros(9)), "quant_conv.bias has shape"),
        (put("model.diffusion_model.time_embed.0.weight", torch.zeros(0, 32)), "is missing"),
    ],
)
def test_an_incomplete_checkpoint_names_the_file_and_the_tensor(
    tmp_path: Path, original: dict[Family, Path], change: Change, expected: str
) -> None:
    path = changed(original["sd1"], tmp_path / "model.safetensors", {}, change)

    with pytest.raises(CheckpointError) as caught:
        inspect(path)

    assert expected in str(caught.value)
    assert f"{tmp_path.name}/model.safetensors: " in str(caught.value)


def test_many_missing_tensors_are_counted_and_the_first_few_shown(
    tmp_path: Path, original: dict[Family, Path]
) -> None:
    missing = drop("emb_layers.1.weight", "emb_layers.1.bias")

    def change(tensors: dict[str, Tensor]) -> None:
        kept = {n: t for n, t in tensors.items() if "middle_block" in n}
        missing(tensors)
        tensors.update(kept)

    path = changed(original["sd1"], tmp_path / "model.safetensors", {}, change)

    with pytest.raises(CheckpointError, match=r"12 tensors are missing \(\S+, \S+, \S+, \.\.\.\)$"):
        inspect(path)


def test_a_fused_tensor_of_the_wrong_shape_is_named_as_the_file_names_it(
    tmp_path: Path, original: dict[Family, Path]
) -> None:
    name = "cond_stage_model.model.transformer.resblocks.1.attn.in_proj_weight"
    change = put(name, torch.zeros(385, 128))
    path = changed(original["sd2"], tmp_path / "model.safetensors", {}, change)

    with pytest.raises(CheckpointError, match=rf"wrong shape \({name} is \(385, 128\)"):
        inspect(path)


def test_a_text_encoder_that_does_not_fit_the_unet_is_refused(
    tmp_path: Path, models: dict[Family, Models]
) -> None:
    path = tmp_path / "model.safetensors"
    save_original(path, Declared(), unet=models["sd1"].unet, text=models["sd2"].text)

    with pytest.raises(CheckpointError, match="the UNet reads tokens 64 wide"):
        inspect(path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lora_unet_down_blocks_0.lora_up.weight", "is a LoRA: it holds no UNet"),
        ("control_model.input_blocks.0.0.weight", "is a ControlNet"),
        ("emb_params", "is a textual-inversion embedding"),
        ("conditioner.embedders.0.weight", "is a Stable Diffusion XL checkpoint: only"),
        ("model.diffusion_model.double_blocks.0.weight", "is a Flux checkpoint: only"),
        ("layer.weight", "is another kind of model: it holds no UNet, text encoder or VAE"),
    ],
)
def test_other_models_are_called_by_their_name(tmp_path: Path, name: str, expected: str) -> None:
    path = tmp_path / "model.safetensors"
    save_file({name: torch.zeros(2, 2)}, path)

    with pytest.raises(CheckpointError) as caught:
        inspect(path)

    assert expected in str(caught.value)


def test_a_part_that_is_not_there_is_named(tmp_path: Path, models: dict[Family, Models]) -> None:
    path = tmp_path / "vae.safetensors"
    save_original(path, Declared(), vae=models["sd1"].vae)
    info = inspect(path)

    with pytest.raises(CheckpointError, match="holds no UNet, only a VAE"):
        load(info, "unet", dtype=torch.float32)
    with pytest.raises(CheckpointError, match="its VAE has no parameter nothing"):
        read_tensor(info, "vae", "nothing", dtype=torch.float32)


# --- one part alone ----------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["model.diffusion_model.", "diffusion_model.", ""])
def test_a_unet_alone_is_found_below_any_prefix(
    tmp_path: Path, models: dict[Family, Models], prefix: str
) -> None:
    path = tmp_path / "unet.safetensors"
    state = models["sd2"].unet.state_dict()
    save_file({prefix + name: tensor for name, tensor in state.items()}, path)

    info = inspect(path)

    assert (info.family, info.layout, set(info.parts)) == ("sd2", "original", {"unet"})
    assert equal_states(load(info, "unet", dtype=torch.float32), models["sd2"].unet)


@pytest.mark.parametrize("prefix", ["first_stage_model.", "vae.", ""])
def test_a_vae_alone_is_found_below_any_prefix_and_has_no_family(
    tmp_path: Path, models: dict[Family, Models], prefix: str
) -> None:
    path = tmp_path / "vae.safetensors"
    state = models["sd1"].vae.state_dict()
    save_file({prefix + name: tensor for name, tensor in state.items()}, path)

    info = inspect(path)

    assert (info.family, set(info.parts)) == (None, {"vae"})
    assert equal_states(load(info, "vae", dtype=torch.float32), models["sd1"].vae)


@pytest.mark.parametrize("start", ["text_model.", ""])
@pytest.mark.parametrize("prefix", ["cond_stage_model.transformer.", ""])
def test_a_text_encoder_alone_is_found_with_or_without_its_inner_name(
    tmp_path: Path, models: dict[Family, Models], prefix: str, start: str
) -> None:
    path = tmp_path / "clip.safetensors"
    state = models["sd1"].text.state_dict()
    renamed = {prefix + start + n.removeprefix("text_model."): t for n, t in state.items()}
    save_file({**renamed, f"{prefix}{start}embeddings.position_ids": torch.arange(77)}, path)

    info = inspect(path)

    assert (info.family, info.text, info.unknown) == ("sd1", TEXTS["sd1"], ())
    assert equal_states(load(info, "text", dtype=torch.float32), models["sd1"].text)


def test_an_openclip_text_encoder_is_found_without_a_prefix(
    tmp_path: Path, original: dict[Family, Path], models: dict[Family, Models]
) -> None:
    path = tmp_path / "clip.safetensors"
    start = "cond_stage_model.model."
    tensors = load_file(original["sd2"])
    save_file({n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}, path)

    info = inspect(path)

    assert (info.family, info.layout) == ("sd2", "original")
    assert equal_states(load(info, "text", dtype=torch.float32), models["sd2"].text)


def test_the_unets_family_is_the_text_encoders_too(
    tmp_path: Path, models: dict[Family, Models]
) -> None:
    path = tmp_path / "model.safetensors"
    text, unet = models["sd2"].text.state_dict(), models["sd2"].unet.state_dict()
    save_file(
        {f"cond_stage_model.transformer.{n}": t for n, t in text.items()}
        | {f"model.diffusion_model.{n}": t for n, t in unet.items()},
        path,
    )

    info = inspect(path)

    assert (info.family, info.text) == ("sd2", TEXTS["sd2"])


def test_openclips_projection_is_transposed_into_ours(tmp_path: Path) -> None:
    text = CLIPText(replace(TEXTS["sd2"], projection=48))
    scrambled(text)
    path = tmp_path / "clip.safetensors"
    save_original(path, Declared(family="sd2"), text=text)

    with safe_open(path, "pt") as file:
        stored = file.get_tensor("cond_stage_model.model.text_projection")

    assert torch.equal(stored, text.text_projection.weight.t())
    assert equal_states(load(inspect(path), "text", dtype=torch.float32), text)


def test_the_users_family_decides_what_names_and_shapes_leave_open(
    tmp_path: Path, models: dict[Family, Models]
) -> None:
    path = tmp_path / "clip.safetensors"
    save_file(models["sd2"].text.state_dict(), path)

    assert inspect(path).text == replace(
        TEXTS["sd2"], activation="quick_gelu", pad_token=49407, default_skip=-1
    )
    assert inspect(path, family="sd2").text == TEXTS["sd2"]
    assert inspect(path, family="sd2").family == "sd2"


def test_a_text_encoder_as_wide_as_the_second_familys_is_taken_for_it(tmp_path: Path) -> None:
    path = tmp_path / "clip.safetensors"
    config = CLIPConfig(vocab=4, width=1024, layers=1, heads=16, mlp=8, positions=4)
    save_file(CLIPText(config).state_dict(), path)

    info = inspect(path)

    assert info.text is not None
    assert (info.family, info.text.activation) == ("sd2", "gelu")


# --- PyTorch checkpoints -----------------------------------------------------------------------


def test_a_ckpt_is_loaded_on_request_like_any_other_file(
    tmp_path: Path, original: dict[Family, Path], models: dict[Family, Models]
) -> None:
    path = tmp_path / "model.ckpt"
    torch.save({"state_dict": load_file(original["sd2"]), "global_step": 3}, path)

    with pytest.raises(CheckpointError, match=r"allow it \(--allow-ckpt\)"):
        inspect(path)
    info = inspect(path, ckpt=True)

    assert equal_states(load(info, "unet", dtype=torch.float32), models["sd2"].unet)
    assert equal_states(load(info, "text", dtype=torch.float32), models["sd2"].text)
    assert equal_states(load(info, "vae", dtype=torch.float32), models["sd2"].vae)


# --- memory ------------------------------------------------------------------------------------


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the tensors made inside: those alive, and the most there ever were."""

    def __init__(self) -> None:
        super().__init__()
        self.alive = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        inputs = {t.untyped_storage().data_ptr() for t in args if isinstance(t, Tensor)}
        if isinstance(result, Tensor) and not result.is_meta:
            storage = result.untyped_storage()
            if storage.data_ptr() not in inputs:
                self.change(storage.nbytes())
                weakref.finalize(storage, self.change, -storage.nbytes())
        return result

    def change(self, nbytes: int) -> None:
        self.alive += nbytes
        self.peak = max(self.peak, self.alive)


@pytest.mark.parametrize("ending", ["safetensors", "ckpt"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_loading_holds_the_weights_and_one_tensor_and_no_second_copy(
    tmp_path: Path, ending: str, dtype: torch.dtype
) -> None:
    unet, path = UNet(UNETS["sd2"]), tmp_path / "model.safetensors"
    save_original(path, Declared(), unet=unet, dtype=torch.float16)
    if ending == "ckpt":
        torch.save(load_file(path), path := tmp_path / "model.ckpt")
    largest = max(p.numel() for p in unet.parameters()) * dtype.itemsize
    info = inspect(path, ckpt=True)

    with LiveBytes() as counted:
        loaded = load(info, "unet", dtype=dtype, channels_last=True)

    weights = part_bytes(info, "unet", dtype)
    assert weights <= counted.alive <= weights + 1024  # what is left are the weights
    assert counted.peak <= weights + largest + 1024
    assert loaded.config == unet.config


MEASURE = """
import sys, torch
from pathlib import Path
from nodes.models.blank import blank
from nodes.models.checkpoint import inspect, load, part_bytes
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
info = inspect(Path(sys.argv[1]))
before = peak()
unet = load(info, "unet", dtype=torch.float16)
print(peak() - before, part_bytes(info, "unet", torch.float16))
"""


@pytest.mark.slow
def test_a_full_size_unet_takes_no_more_memory_than_its_weights_and_a_tensor(
    tmp_path: Path,
) -> None:
    path = tmp_path / "model.safetensors"
    with blank():
        unet = UNet(
            UNetConfig(
                4, 4, 320, (1, 2, 4, 4), (2,) * 4, (1, 1, 1, 0), 1, context_dim=768, num_heads=8
            )
        ).half()
    save_original(path, Declared(), unet=unet.to_empty(device="cpu").apply(zeroed))
    largest = 2 * max(p.numel() for p in unet.parameters())
    del unet

    command = [sys.executable, "-c", MEASURE, str(path)]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)

    grown, weights = (int(number) for number in printed.stdout.split())
    assert weights == 2 * 859_520_964
    assert 0.9 * weights < grown < weights + largest + 64e6


# --- the model that comes with the repository -----------------------------------------------------


def test_the_embedded_model_is_recognised() -> None:
    info = inspect(EMOJI)

    assert info.unet == UNetConfig(
        4, 4, 64, (1, 2, 2), (1, 1, 1), (1, 1, 1), 1, context_dim=192, num_heads=8
    )
    assert info.vae == VAEConfig(channels=32, channel_mult=(1, 2, 2), num_res_blocks=1)
    assert info.text == CLIPConfig(vocab=49408, width=192, layers=2, heads=3, mlp=768)
    assert (info.factor, info.family, info.dtype) == (4, "sd1", torch.float16)
    assert (info.prediction, info.decided_by, info.scale_factor) == ("eps", "metadata", 0.18215)
    assert info.unknown == ()


def test_the_embedded_model_loads_with_the_numbers_the_safetensors_library_reads() -> None:
    info, tensors = inspect(EMOJI), load_file(EMOJI)

    vae = load(info, "vae", dtype=torch.float32)
    unet = load(info, "unet", dtype=torch.float16)

    assert isinstance(vae, VAE)
    for name, tensor in vae.state_dict().items():
        assert torch.equal(tensor, tensors[f"first_stage_model.{name}"].float())
    for name, tensor in unet.state_dict().items():
        assert torch.equal(tensor, tensors[f"model.diffusion_model.{name}"])
