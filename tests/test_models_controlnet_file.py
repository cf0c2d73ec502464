"""Files of ControlNets: both layouts, with and without prefix, whole and half precision."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from controlnet_models import control_model, original_state, save_diffusers, save_original
from safetensors.torch import load_file, save_file
from tiny_models import UNETS, equal_states, scrambled
from torch import Tensor

from nodes.models.checkpoint import inspect, load_part, read_part_tensor
from nodes.models.clip_config import Family
from nodes.models.controlnet import ControlNet, ControlNetConfig
from nodes.models.controlnet_file import inspect_controlnet
from nodes.models.errors import CheckpointError
from nodes.models.save import save_control_net
from nodes.models.unet import UNet

FAMILIES: tuple[Family, ...] = ("sd1", "sd2")


def as_diffusers(family: Family, path: Path, dtype: torch.dtype) -> Path:
    return save_diffusers(control_model(family), path, dtype)


def with_prefix(family: Family, path: Path, dtype: torch.dtype) -> Path:
    return save_original(control_model(family), path, "control_model.", dtype)


def without_prefix(family: Family, path: Path, dtype: torch.dtype) -> Path:
    return save_original(control_model(family), path, "", dtype)


def in_a_folder(family: Family, path: Path, dtype: torch.dtype) -> Path:
    folder = path.parent / "folder"
    control_model(family).to(dtype).save_pretrained(folder)
    return folder / "diffusion_pytorch_model.safetensors"


WAYS = [as_diffusers, with_prefix, without_prefix, in_a_folder]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("save", WAYS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_layout_gives_the_same_network(
    tmp_path: Path,
    family: Family,
    save: Callable[[Family, Path, torch.dtype], Path],
    dtype: torch.dtype,
) -> None:
    path = save(family, tmp_path / "control.safetensors", dtype)

    found = inspect_controlnet(path)
    network = load_part(found, dtype=torch.float32)

    assert isinstance(network, ControlNet)
    expected = ControlNet(network.config)
    state = original_state(control_model(family))
    expected.load_state_dict({name: tensor.to(dtype) for name, tensor in state.items()})
    assert equal_states(network, expected)
    assert found.dtype == dtype
    assert found.nbytes(torch.float32) == sum(p.nbytes for p in network.parameters())
    heads = (8, None) if family == "sd1" else (None, 64)
    assert (network.config.unet.num_heads, network.config.unet.head_channels) == heads


def test_a_single_tensor_is_that_of_the_whole_network(tmp_path: Path) -> None:
    found = inspect_controlnet(as_diffusers("sd1", tmp_path / "c.safetensors", torch.float16))
    network = load_part(found, dtype=torch.float32)

    for name, tensor in network.state_dict().items():
        assert torch.equal(read_part_tensor(found, name, dtype=torch.float32), tensor)
    with pytest.raises(CheckpointError, match="its ControlNet has no parameter nothing"):
        read_part_tensor(found, "nothing", dtype=torch.float32)


def test_a_controlnet_beside_its_checkpoint_is_found(tmp_path: Path) -> None:
    path = save_original(control_model("sd1"), tmp_path / "c.safetensors")
    unet = scrambled(UNet(UNETS["sd1"])).state_dict()
    whole = {f"model.diffusion_model.{name}": tensor for name, tensor in unet.items()}
    save_file({**load_file(path), **whole}, path)

    found = inspect_controlnet(path)

    assert all(name.startswith("control_model.") for name in found.names)


def test_a_config_beside_the_file_tells_the_heads(tmp_path: Path) -> None:
    control_model("sd1", attention_head_dim=4).save_pretrained(tmp_path)

    found = inspect_controlnet(tmp_path / "diffusion_pytorch_model.safetensors")

    assert isinstance(found.config, ControlNetConfig)
    assert found.config.unet.num_heads == 4


@pytest.mark.parametrize("options", [{}, {"cross_attention_dim": 80}])
def test_a_config_of_another_file_in_the_folder_is_left_aside(
    tmp_path: Path, options: dict[str, int]
) -> None:
    other = control_model("sd1", **options)
    other.save_config(tmp_path)
    model = control_model("sd1" if options else "sd2")
    file = save_diffusers(model, tmp_path / "mine.safetensors")
    (tmp_path / "alone").mkdir()
    alone = save_diffusers(model, tmp_path / "alone" / "mine.safetensors")

    assert inspect_controlnet(file).config == inspect_controlnet(alone).config


def test_metadata_tells_the_heads(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    said = {"nodegraph.unet": json.dumps({"num_heads": 2})}
    save_file(original_state(control_model("sd1")), path, said)

    found = inspect_controlnet(path)

    assert isinstance(found.config, ControlNetConfig)
    assert found.config.unet.num_heads == 2


@pytest.mark.parametrize(
    ("name", "pooled"),
    [
        ("control_v11e_sd15_shuffle", True),
        ("control_v11e_sd15_shuffle_fp16", True),
        ("control_v11p_sd15_canny", False),
    ],
)
def test_a_pooled_network_is_known_by_its_name(tmp_path: Path, name: str, pooled: bool) -> None:
    path = save_original(control_model("sd1"), tmp_path / f"{name}.safetensors")

    config = inspect_controlnet(path).config

    assert isinstance(config, ControlNetConfig)
    assert config.pooled is pooled


def test_a_pooled_network_is_known_by_its_config(tmp_path: Path) -> None:
    control_model("sd1", global_pool_conditions=True).save_pretrained(tmp_path)

    config = inspect_controlnet(tmp_path / "diffusion_pytorch_model.safetensors").config

    assert isinstance(config, ControlNetConfig)
    assert config.pooled


@pytest.mark.parametrize("dtype", [None, torch.float16])
def test_a_network_that_was_saved_is_read_back_with_its_heads(
    tmp_path: Path, dtype: torch.dtype | None
) -> None:
    odd = replace(UNETS["sd1"], num_heads=4)  # what shapes cannot show, and no family has
    network = scrambled(ControlNet(ControlNetConfig(odd, hint_channels=1)))
    path = tmp_path / "c.safetensors"

    save_control_net(path, network, metadata={"trained.on": "edges"}, dtype=dtype)

    found = inspect_controlnet(path)
    assert isinstance(found.config, ControlNetConfig)
    assert found.config.unet == replace(odd, out_channels=odd.in_channels)
    assert found.config.hint_channels == 1
    assert found.dtype == (dtype or torch.float32)
    assert found.file.metadata["trained.on"] == "edges"
    back = load_part(found, dtype=found.dtype)
    assert equal_states(back, network.to(found.dtype))


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("lora_controlnet", "a control-LoRA"),
        ("adapter.body.0.resnets.0.block1.weight", "a T2I adapter"),
        ("body.0.block1.weight", "a T2I adapter"),
        ("lllite_unet_input_blocks_1.weight", "a ControlNet-LLLite"),
        ("lora_unet_down_blocks_0.lora_up.weight", "a LoRA"),
        ("model.diffusion_model.output_blocks.0.0.weight", "a UNet or checkpoint"),
        ("controlnet_x_embedder.weight", "a ControlNet for Flux"),
        ("pos_embed_input.proj.weight", "a ControlNet for Stable Diffusion 3"),
        ("layer.weight", "another kind of model"),
    ],
)
def test_other_files_are_called_by_their_name(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / "control.safetensors"
    save_file({name: torch.zeros(2, 2)}, path)

    with pytest.raises(CheckpointError) as caught:
        inspect_controlnet(path)

    assert f"is {kind}" in str(caught.value)
    assert "expected a ControlNet" in str(caught.value)
    assert path.name in str(caught.value)


def changed(path: Path, change: Callable[[dict[str, Tensor]], None]) -> Path:
    state = original_state(control_model("sd1"))
    change(state)
    save_file(state, path)
    return path


def test_a_difference_to_a_model_is_refused(tmp_path: Path) -> None:
    path = changed(
        tmp_path / "d.safetensors", lambda state: state.update(difference=torch.zeros(1))
    )

    with pytest.raises(CheckpointError, match="as its difference to the model"):
        inspect_controlnet(path)


def test_a_union_of_controlnets_is_refused(tmp_path: Path) -> None:
    path = changed(
        tmp_path / "u.safetensors", lambda state: state.update(task_embedding=torch.zeros(6, 4))
    )

    with pytest.raises(CheckpointError, match="is a union of ControlNets"):
        inspect_controlnet(path)


def test_a_network_for_stable_diffusion_xl_is_refused(tmp_path: Path) -> None:
    vector = {"label_emb.0.0.weight": torch.zeros(128, 64)}
    path = changed(tmp_path / "xl.safetensors", lambda state: state.update(vector))

    with pytest.raises(CheckpointError, match="only ControlNets for Stable Diffusion 1 and 2"):
        inspect_controlnet(path)


def test_a_tensor_too_many_is_named(tmp_path: Path) -> None:
    path = changed(
        tmp_path / "c.safetensors", lambda state: state.update(extra_layer=torch.zeros(1))
    )

    with pytest.raises(CheckpointError, match=r"no part of a ControlNet .*\(extra_layer\)"):
        inspect_controlnet(path)


def test_a_tensor_that_is_missing_is_named(tmp_path: Path) -> None:
    path = changed(tmp_path / "c.safetensors", lambda state: state.pop("zero_convs.3.0.bias"))

    with pytest.raises(CheckpointError, match=r"ControlNet is not whole: .*zero_convs\.3\.0\.bias"):
        inspect_controlnet(path)


def test_a_tensor_of_the_wrong_shape_is_named(tmp_path: Path) -> None:
    path = changed(
        tmp_path / "c.safetensors",
        lambda state: state.update({"middle_block_out.0.bias": torch.zeros(3)}),
    )

    with pytest.raises(CheckpointError, match=r"middle_block_out\.0\.bias is \(3,\)"):
        inspect_controlnet(path)


def test_a_pickle_is_read_on_request_alone(tmp_path: Path) -> None:
    path = tmp_path / "control.pth"
    state = original_state(control_model("sd1"))
    torch.save({"state_dict": {f"control_model.{n}": t for n, t in state.items()}}, path)

    with pytest.raises(CheckpointError, match="allow-ckpt"):
        inspect_controlnet(path)
    assert len(inspect_controlnet(path, ckpt=True).names) == len(state)


def test_a_controlnet_is_no_checkpoint(tmp_path: Path) -> None:
    path = save_original(control_model("sd1"), tmp_path / "c.safetensors", "")

    with pytest.raises(CheckpointError, match="is a ControlNet: it holds no UNet"):
        inspect(path)
