"""Checkpoints in diffusers' layout: folders, parts of folders, and single files in its names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers_models
import pytest
import torch
from safetensors.torch import save_file
from tiny_models import Models, equal_states, outputs, tiny

from nodes.models import keys_unet, keys_vae
from nodes.models.checkpoint import inspect, load
from nodes.models.checkpoint_metadata import BetaSchedule
from nodes.models.clip_config import Family
from nodes.models.errors import CheckpointError

FAMILIES: tuple[Family, ...] = ("sd1", "sd2")
SCHEDULER = "scheduler/scheduler_config.json"


@pytest.fixture(scope="module")
def models() -> dict[Family, Models]:
    return {family: tiny(family) for family in FAMILIES}


@pytest.fixture(scope="module")
def diffusers_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Family, Path]:
    folder = tmp_path_factory.mktemp("diffusers")
    schedule: dict[str, Any] = {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
    }
    special: dict[Family, dict[str, Any]] = {
        "sd1": {},
        "sd2": {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True},
    }
    return {
        family: diffusers_models.folder(folder / family, family, **schedule, **special[family])
        for family in FAMILIES
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_a_diffusers_folder_gives_the_same_tensors_and_the_same_outputs(
    diffusers_folders: dict[Family, Path], family: Family
) -> None:
    info = inspect(diffusers_folders[family])
    theirs = diffusers_models.unet(family)

    unet = load(info, "unet", dtype=torch.float32)

    assert (info.layout, info.family) == ("diffusers", family)
    names = keys_unet.to_diffusers(unet.config)
    for name, tensor in unet.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[names[name]])
    width = 64 if family == "sd1" else 128
    expected = outputs(lambda x, t, c: theirs(x, t, c).sample, width)
    torch.testing.assert_close(outputs(unet, width), expected, rtol=1e-4, atol=1e-5)


def test_a_diffusers_vae_gives_the_same_tensors_and_the_same_pictures(
    diffusers_folders: dict[Family, Path],
) -> None:
    info = inspect(diffusers_folders["sd1"])
    theirs, z = diffusers_models.vae(), torch.randn(1, 4, 8, 8)

    vae = load(info, "vae", dtype=torch.float32)

    names = keys_vae.to_diffusers(vae.config)
    for name, tensor in vae.state_dict().items():
        assert torch.equal(tensor.squeeze(), theirs.state_dict()[names[name]].squeeze())
    torch.testing.assert_close(vae.decode(z), theirs.decode(z).sample, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_transformers_text_encoder_gives_the_same_hidden_states(
    diffusers_folders: dict[Family, Path], family: Family
) -> None:
    tokens = torch.randint(0, 100, (2, 77))

    text = load(inspect(diffusers_folders[family]), "text", dtype=torch.float32)

    expected = diffusers_models.text(family)(tokens).last_hidden_state
    torch.testing.assert_close(text(tokens).hidden, expected, rtol=1e-4, atol=1e-5)


def test_a_folders_json_files_say_what_shapes_cannot(
    diffusers_folders: dict[Family, Path],
) -> None:
    first, second = (inspect(diffusers_folders[family]) for family in FAMILIES)

    assert (first.prediction, first.decided_by, first.zero_terminal) == ("eps", "metadata", False)
    assert (second.prediction, second.decided_by, second.zero_terminal) == ("v", "metadata", True)
    assert first.schedule == second.schedule == BetaSchedule("scaled_linear", 0.00085, 0.012, 1000)
    assert first.scale_factor == 0.25
    assert first.text is not None
    assert second.text is not None
    assert (first.text.pad_token, second.text.pad_token) == (99, 0)
    assert second.unet is not None
    assert (second.unet.num_heads, second.unet.head_channels) == (None, 64)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_one_part_of_a_folder_is_read_alone(
    diffusers_folders: dict[Family, Path], part: str
) -> None:
    whole = inspect(diffusers_folders["sd2"])
    name = "text" if part == "text_encoder" else part

    folder = inspect(diffusers_folders["sd2"] / part)
    file = next((diffusers_folders["sd2"] / part).glob("*.safetensors"))
    single = inspect(file)

    for info in (folder, single):
        assert (info.layout, set(info.parts)) == ("diffusers", {name})
        assert info.parts[name].config == whole.parts[name].config


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_single_files_in_diffusers_names_need_no_config(
    tmp_path: Path, models: dict[Family, Models], family: Family, old: bool
) -> None:
    unet, vae = models[family].unet, models[family].vae
    unet_names = keys_unet.to_diffusers(unet.config)
    vae_names = keys_vae.to_diffusers(vae.config, spelling="old" if old else "new")
    matrices = keys_vae.reshaped(vae.config)
    save_file({unet_names[n]: t for n, t in unet.state_dict().items()}, tmp_path / "unet.sft")
    save_file(
        {
            vae_names[n]: t[:, :, 0, 0].contiguous() if n in matrices else t
            for n, t in vae.state_dict().items()
        },
        tmp_path / "vae.sft",
    )

    found_unet, found_vae = inspect(tmp_path / "unet.sft"), inspect(tmp_path / "vae.sft")

    assert (found_unet.unet, found_unet.layout) == (unet.config, "diffusers")
    assert equal_states(load(found_unet, "unet", dtype=torch.float32), unet)
    assert found_vae.vae == vae.config
    assert equal_states(load(found_vae, "vae", dtype=torch.float32), vae)


def test_variants_shards_and_pickles_of_a_folder_are_found_in_this_order(tmp_path: Path) -> None:
    model = diffusers_models.vae()
    model.save_pretrained(tmp_path, safe_serialization=False)
    with pytest.raises(CheckpointError, match=r"diffusion_pytorch_model\.bin: is a PyTorch"):
        inspect(tmp_path)
    assert inspect(tmp_path, ckpt=True).dtype == torch.float32

    model.to(torch.bfloat16).save_pretrained(tmp_path, variant="bf16")
    assert inspect(tmp_path).dtype == torch.bfloat16

    model.to(torch.float16).save_pretrained(tmp_path, max_shard_size="100KB")
    assert len(list(tmp_path.glob("*-of-*.safetensors"))) > 1
    assert inspect(tmp_path).dtype == torch.float16
    vae = load(inspect(tmp_path), "vae", dtype=torch.float16)
    names = keys_vae.to_diffusers(vae.config)
    for name, tensor in vae.state_dict().items():
        assert torch.equal(tensor.squeeze(), model.state_dict()[names[name]].squeeze())


def broken(source: Path, path: Path, name: str, **changes: Any) -> Path:
    """A copy of a folder with other entries in one of its JSON files (None: without it)."""
    for file in source.rglob("*"):
        if file.is_file():
            target = path / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    file = path / name
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    return path


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        (SCHEDULER, {"prediction_type": "flow"}, f"{SCHEDULER}: has prediction_type = 'flow'"),
        (SCHEDULER, {"beta_schedule": "odd"}, f"{SCHEDULER}: has beta_schedule = 'odd'"),
        (SCHEDULER, {"trained_betas": [0.1]}, f"{SCHEDULER}: has trained_betas"),
        (SCHEDULER, {"beta_end": 2}, f"{SCHEDULER}: has a bad schedule: a schedule from"),
        (SCHEDULER, {"beta_end": "x"}, f"{SCHEDULER}: has a bad schedule: could not convert"),
        ("unet/config.json", {"act_fn": "relu"}, "unet/config.json: UNet2DConditionModel with"),
        ("unet/config.json", {"_class_name": "UNet3D"}, "unet/config.json: describes a UNet3D"),
        ("unet/config.json", {"in_channels": 9}, "conv_in.weight is (32, 4, 3, 3) instead of"),
        ("unet/config.json", {"cross_attention_dim": 32}, "14 tensors are of the wrong shape"),
    ],
)
def test_a_damaged_folder_names_the_file_and_what_is_wrong(
    tmp_path: Path,
    diffusers_folders: dict[Family, Path],
    name: str,
    changes: dict[str, Any],
    expected: str,
) -> None:
    folder = broken(diffusers_folders["sd1"], tmp_path / "model", name, **changes)

    with pytest.raises(CheckpointError) as caught:
        inspect(folder)

    assert expected in str(caught.value)


def test_folders_that_are_no_checkpoint_say_so(
    tmp_path: Path, diffusers_folders: dict[Family, Path]
) -> None:
    with pytest.raises(CheckpointError, match=r"is a folder without model_index\.json"):
        inspect(tmp_path)
    (tmp_path / "model_index.json").write_text('{"_class_name": "Other"}')
    with pytest.raises(CheckpointError, match="has none of the folders unet, text_encoder, vae"):
        inspect(tmp_path)
    (tmp_path / "unet").mkdir()
    with pytest.raises(CheckpointError, match=r"unet/config\.json: cannot be read"):
        inspect(tmp_path)
    config = (diffusers_folders["sd1"] / "unet" / "config.json").read_text()
    (tmp_path / "unet" / "config.json").write_text(config)
    with pytest.raises(CheckpointError, match=r"has no diffusion_pytorch_model\.safetensors"):
        inspect(tmp_path)
    (tmp_path / "text_encoder_2").mkdir()
    with pytest.raises(CheckpointError, match="is a Other: only Stable Diffusion 1 and 2"):
        inspect(tmp_path)
