"""Saving in the original layout, and files that are whole or not there."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_models import TEXTS, UNETS, VAES, Models, equal_states, scrambled, tiny
from torch import nn

from nodes.models.atomic import replacing
from nodes.models.checkpoint import inspect, load
from nodes.models.checkpoint_metadata import BetaSchedule, Declared
from nodes.models.clip import CLIPText
from nodes.models.clip_config import Family
from nodes.models.errors import CheckpointError
from nodes.models.save import Piece, below, save_original, write_tensors
from nodes.models.unet import UNet

FAMILIES: tuple[Family, ...] = ("sd1", "sd2")


@pytest.fixture(scope="module")
def models() -> dict[Family, Models]:
    return {family: tiny(family) for family in FAMILIES}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_library_reads_what_we_write_under_the_original_names(
    tmp_path: Path, models: dict[Family, Models], family: Family
) -> None:
    path = models[family].save(tmp_path / "m.safetensors", Declared(family=family))

    tensors = load_file(path)

    for name, tensor in models[family].unet.state_dict().items():
        assert torch.equal(tensors.pop(f"model.diffusion_model.{name}"), tensor)
    for name, tensor in models[family].vae.state_dict().items():
        assert torch.equal(tensors.pop(f"first_stage_model.{name}"), tensor)
    assert all(name.startswith("cond_stage_model.") for name in tensors)


def test_the_second_familys_text_encoder_is_written_as_openclip_has_it(
    tmp_path: Path, models: dict[Family, Models]
) -> None:
    path = models["sd2"].save(tmp_path / "m.safetensors", Declared(family="sd2"))
    state = models["sd2"].text.state_dict()

    tensors = load_file(path)

    layer = "text_model.encoder.layers.2."
    theirs = "cond_stage_model.model.transformer.resblocks.2."
    fused = torch.cat([state[f"{layer}self_attn.{part}_proj.bias"] for part in "qkv"])
    assert torch.equal(tensors[f"{theirs}attn.in_proj_bias"], fused)
    assert torch.equal(tensors[f"{theirs}mlp.c_fc.weight"], state[f"{layer}mlp.fc1.weight"])
    text = [name for name in tensors if name.startswith("cond_stage_model.")]
    assert len(text) == 4 + 3 * 12


def test_our_own_files_need_no_guessing(tmp_path: Path, models: dict[Family, Models]) -> None:
    declared = Declared(
        family="sd2",
        prediction="v",
        schedule=BetaSchedule("linear", 1e-4, 0.02, 500),
        zero_terminal=True,
        scale_factor=0.3,
    )
    unet = UNet(replace(UNETS["sd2"], head_channels=None, num_heads=2))
    odd = replace(TEXTS["sd2"], heads=8, pad_token=9, default_skip=-1, end_token=99, norm_eps=1e-6)
    path = tmp_path / "m.safetensors"

    save_original(path, declared, unet=unet, text=CLIPText(odd), vae=models["sd2"].vae)
    info = inspect(path)

    assert info.declared == declared
    assert (info.unet, info.text, info.vae) == (unet.config, odd, VAES)
    assert info.decided_by == "metadata"


def test_other_programs_are_told_the_prediction_in_their_words(
    tmp_path: Path, models: dict[Family, Models]
) -> None:
    path = models["sd1"].save(
        tmp_path / "m.safetensors", Declared(prediction="v"), metadata={"title": "a ü", "x": "1"}
    )

    with safe_open(path, "pt") as file:
        metadata = file.metadata()

    assert metadata["modelspec.prediction_type"] == "v"
    assert (metadata["title"], metadata["x"], metadata["format"]) == ("a ü", "1", "pt")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_tensors_are_converted_as_they_are_written(
    tmp_path: Path, models: dict[Family, Models], dtype: torch.dtype
) -> None:
    path = models["sd1"].save(tmp_path / "m.safetensors", Declared(), dtype=dtype)

    found = load(inspect(path), "unet", dtype=torch.float32)

    for name, tensor in models["sd1"].unet.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor.to(dtype).float())


def test_mixed_dtypes_and_layouts_are_saved_as_they_are(
    tmp_path: Path, models: dict[Family, Models]
) -> None:
    vae = tiny("sd1").vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    text = tiny("sd1").text.half()
    path = tmp_path / "m.safetensors"

    save_original(path, Declared(), vae=vae, text=text)
    info = inspect(path)

    assert equal_states(load(info, "vae", dtype=torch.float32), models["sd1"].vae)
    assert equal_states(load(info, "text", dtype=torch.float16), text)


def test_every_tensor_begins_at_a_multiple_of_its_items_size(tmp_path: Path) -> None:
    text = scrambled_text("sd1").half()
    text.text_model.encoder.layers[0].layer_norm1 = nn.LayerNorm(3, bias=False).half()  # 6 bytes
    text.text_model.final_layer_norm.float()
    path = tmp_path / "m.safetensors"
    save_original(path, Declared(), text=text)

    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])

    assert (8 + length) % 8 == 0
    sizes = {"F32": 4, "F16": 2}
    placed = [entry for name, entry in header.items() if name != "__metadata__"]
    assert {entry["dtype"] for entry in placed} == set(sizes)
    assert all(entry["data_offsets"][0] % sizes[entry["dtype"]] == 0 for entry in placed)


def test_a_checkpoint_loaded_and_saved_again_is_the_same_file(
    tmp_path: Path, models: dict[Family, Models]
) -> None:
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    models["sd2"].save(first, Declared(family="sd2", prediction="v", schedule=BetaSchedule()))
    info = inspect(first)

    save_original(
        second,
        replace(info.declared, scale_factor=None),
        unet=load(info, "unet", dtype=torch.float32),
        text=load(info, "text", dtype=torch.float32),
        vae=load(info, "vae", dtype=torch.float32),
    )

    assert second.read_bytes() == first.read_bytes()


def test_a_number_too_large_for_the_dtype_is_refused_and_named(
    tmp_path: Path, models: dict[Family, Models]
) -> None:
    vae = tiny("sd1").vae
    vae.decoder.conv_out.bias[1] = 70_000.0
    path = models["sd1"].save(tmp_path / "m.safetensors", Declared())
    before = path.read_bytes()

    with pytest.raises(CheckpointError, match=r"first_stage_model\.decoder\.conv_out\.bias has"):
        save_original(path, Declared(), vae=vae, dtype=torch.float16)

    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_to_save_and_no_such_dtype_are_errors(
    tmp_path: Path, models: dict[Family, Models]
) -> None:
    with pytest.raises(ValueError, match="nothing to save"):
        save_original(tmp_path / "m.safetensors", Declared())
    with pytest.raises(ValueError, match=r"cannot be saved as torch\.int8"):
        models["sd1"].save(tmp_path / "m.safetensors", Declared(), dtype=torch.int8)


def test_a_path_that_cannot_be_written_is_named(
    tmp_path: Path, models: dict[Family, Models]
) -> None:
    (tmp_path / "taken").mkdir()

    with pytest.raises(CheckpointError, match="taken: cannot be written"):
        models["sd1"].save(tmp_path / "taken", Declared())

    assert list(tmp_path.iterdir()) == [tmp_path / "taken"]


def test_a_text_encoders_family_is_told_by_its_activation_where_nothing_is_said(
    tmp_path: Path,
) -> None:
    for family, start in (("sd1", "transformer."), ("sd2", "model.")):
        path = tmp_path / f"{family}.safetensors"
        save_original(path, Declared(), text=scrambled_text(family))
        assert all(n.startswith(f"cond_stage_model.{start}") for n in load_file(path))
        assert inspect(path).text == TEXTS[family]


def scrambled_text(family: str) -> CLIPText:
    text = CLIPText(TEXTS[family])
    scrambled(text)
    return text


def test_weights_are_read_one_after_the_other_when_they_are_written(tmp_path: Path) -> None:
    path, told = tmp_path / "m.safetensors", []

    def lazy(name: str) -> Piece:
        def read() -> torch.Tensor:
            told.append((name, path.with_suffix(".open").stat().st_size))
            return torch.full((1000,), 2.0)

        return Piece((1000,), torch.float32, read)

    with path.with_suffix(".open").open("wb", buffering=0) as file:
        entries = [*below("x.", {name: lazy(name) for name in "abc"})]
        assert not told
        write_tensors(file, path, entries, {"said": "so"})

    assert [name for name, _ in told] == ["a", "b", "c"]
    assert told[1][1] - told[0][1] == told[2][1] - told[1][1] == 4000
    found = load_file(path.with_suffix(".open"))
    assert {name: float(tensor.sum()) for name, tensor in found.items()} == {
        "x.a": 2000,
        "x.b": 2000,
        "x.c": 2000,
    }


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write() -> None:
        with replacing(path) as file:
            file.write(b"new")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write()

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_appears_only_when_it_is_whole_with_the_usual_permissions(tmp_path: Path) -> None:
    path, plain = tmp_path / "folder" / "file", tmp_path / "plain"
    plain.write_bytes(b"")

    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert not path.exists()

    assert path.read_bytes() == b"new"
    assert path.stat().st_mode == plain.stat().st_mode
    assert os.listdir(path.parent) == ["file"]
