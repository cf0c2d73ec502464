"""Handles of ControlNets: their facts, their keys, and that every way to the weights agrees."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from controlnet_models import control_model, save_diffusers, save_original
from node_support import Desk
from tiny_models import equal_states

import nodes
from nodegraph import Engine, NodeGraphError, Settings
from nodes.control_weights import ControlSource, open_control_net
from nodes.models.controlnet import ControlNet as ControlModule
from nodes.models.controlnet_file import inspect_controlnet
from nodes.models.errors import CheckpointError
from nodes.models.precision import Precision


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    for family in ("sd1", "sd2"):
        save_original(control_model(family), made.place("controlnet", f"{family}.safetensors"))
    return made


def source(desk: Desk, family: str = "sd1", **options: object) -> ControlSource:
    found = inspect_controlnet(desk.place("controlnet", f"{family}.safetensors"))
    return ControlSource(
        found,
        **{"identity": "hash", "precision": Precision(torch.float32), **options},  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(("family", "context", "last"), [("sd1", 48, 64), ("sd2", 80, 128)])
def test_a_handle_says_what_the_network_needs(
    desk: Desk, family: str, context: int, last: int
) -> None:
    handle = open_control_net(f"{family}.safetensors", desk.context)

    assert (handle.channels, handle.hint, handle.context) == (4, 3, context)
    assert handle.skips[0][1] == 0
    assert handle.skips[-1] == (last, 2 if family == "sd1" else 1)
    assert handle.name == f"{family}.safetensors"
    assert not handle.guess


@pytest.mark.parametrize(
    "precision",
    [
        Precision(torch.float32),
        Precision(torch.float16),
        Precision(torch.bfloat16, channels_last=True),
    ],
)
def test_every_way_to_the_weights_gives_the_same(desk: Desk, precision: Precision) -> None:
    made = source(desk, precision=precision)

    module, skeleton = made.load(), made.skeleton()

    state = module.state_dict()
    assert skeleton.state_dict().keys() == state.keys()
    assert all(tensor.is_meta for tensor in skeleton.state_dict().values())
    for name, tensor in state.items():
        single = made.tensor(name)
        assert torch.equal(single, tensor)
        assert single.dtype == tensor.dtype == precision.dtype
        assert single.stride() == tensor.stride()
    assert made.nbytes == sum(tensor.nbytes for tensor in state.values())


def test_weights_in_half_precision_are_those_of_the_file_rounded(desk: Desk) -> None:
    whole, half = source(desk).load(), source(desk, precision=Precision(torch.float16)).load()

    assert equal_states(whole.half(), half)


def test_keys_tell_file_precision_and_what_a_name_or_a_config_changes(
    desk: Desk, tmp_path: Path
) -> None:
    shuffle = tmp_path / "a_shuffle.safetensors"
    save_original(control_model("sd1"), shuffle)
    folder = tmp_path / "folder"
    control_model("sd1", attention_head_dim=4).save_pretrained(folder)
    plain = save_diffusers(control_model("sd1"), tmp_path / "plain.safetensors")
    config = folder / "diffusion_pytorch_model.safetensors"
    full = Precision(torch.float32)

    keys = [
        source(desk).key,
        source(desk, identity="other").key,
        source(desk, precision=Precision(torch.float16)).key,
        ControlSource(inspect_controlnet(shuffle), "hash", full).key,
        ControlSource(inspect_controlnet(config), "hash", full).key,
    ]

    assert len(set(keys)) == len(keys)
    assert ControlSource(inspect_controlnet(plain), "hash", full).key == keys[0]


def test_a_config_that_is_put_beside_a_file_is_not_missed_by_the_cache(tmp_path: Path) -> None:
    file = Desk(tmp_path).place("controlnet", "net.safetensors")
    save_diffusers(control_model("sd1"), file)
    graph = {"1": {"class_type": "LoadControlNet", "inputs": {"control_net_name": file.name}}}
    settings = Settings(models=(tmp_path / "models",), cache=tmp_path / "cache")

    with Engine(nodes.modules(), settings) as engine:
        [before] = engine.run(graph, targets=["1"]).require()["1"]
        control_model("sd1", attention_head_dim=4).save_config(file.parent)
        [after] = engine.run(graph, targets=["1"]).require()["1"]

    assert before.source.config.unet.num_heads == 8
    assert after.source.config.unet.num_heads == 4


def test_what_follows_a_file_that_its_name_makes_another_network_is_not_taken_from_the_cache(
    tmp_path: Path,
) -> None:
    files = [f"{name}.safetensors" for name in ("one", "two", "one_shuffle", "inner/two_shuffle")]
    for file in files:
        save_original(control_model("sd1"), Desk(tmp_path).place("controlnet", file))
    settings = Settings(models=(tmp_path / "models",), cache=tmp_path / "cache")

    with Engine(nodes.modules(), settings) as engine:
        graphs = [
            {"1": {"class_type": "LoadControlNet", "inputs": {"control_net_name": file}}}
            for file in files
        ]
        plans = [engine.plan(engine.load(graph, targets=["1"])) for graph in graphs]
    one, two, shuffle, inner = (plan.steps[0].content for plan in plans)

    assert one == two != shuffle == inner


def test_a_handle_is_leased_like_any_model(desk: Desk) -> None:
    handle = open_control_net("sd1.safetensors", desk.context)

    with desk.models.lease(handle.source) as module:
        assert isinstance(module, ControlModule)
        [stats] = desk.models.stats().devices["cpu"].models
        assert (stats.key, stats.nbytes) == (handle.source.key, handle.source.nbytes)


def test_a_file_that_is_none_is_named(desk: Desk) -> None:
    torch_file = desk.place("controlnet", "broken.safetensors")
    torch_file.write_bytes(b"<html>")

    with pytest.raises(CheckpointError, match=r"controlnet/broken\.safetensors: is a web page"):
        open_control_net("broken.safetensors", desk.context)
    with pytest.raises(NodeGraphError, match=r"nothing\.safetensors"):
        open_control_net("nothing.safetensors", desk.context)
