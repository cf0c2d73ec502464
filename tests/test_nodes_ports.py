"""The nodes' ports against the ecosystem's: names, order, types, defaults, ranges, choices."""

from __future__ import annotations

from pathlib import Path

import pytest
from comfyui_ports import TABLE, assert_order, assert_ports

import nodes
from nodegraph.catalogue import node_info
from nodegraph.node import ChoiceOf, FileOf
from nodegraph.plugins import load_all
from nodegraph.registry import Registry

ROOT = Path(__file__).parents[1]
OURS = {"CheckpointLoaderSimple": "LoadCheckpoint", "CLIPTextEncode": "CLIPEncode"}
OURS |= {"VAELoader": "LoadVAE", "ControlNetLoader": "LoadControlNet"}
OURS |= {"LoraLoader": "LoadLora", "LoraLoaderModelOnly": "LoadLoraModelOnly"}


@pytest.fixture(scope="module")
def registry() -> Registry:
    made = Registry()
    made.register(*nodes.modules())
    assert not load_all([ROOT / "plugins" / "comfyui"], made, ())
    return made


@pytest.mark.parametrize("name", TABLE)
def test_a_node_has_the_ports_of_the_ecosystem_in_the_same_order(
    registry: Registry, name: str
) -> None:
    assert_order(name, node_info(registry, registry.nodes[name]))


@pytest.mark.parametrize("name", TABLE)
def test_a_port_has_the_type_default_and_range_of_the_ecosystem(
    registry: Registry, name: str
) -> None:
    assert_ports(name, node_info(registry, registry.nodes[name]))


@pytest.mark.parametrize("name", TABLE)
def test_a_port_for_files_is_one(registry: Registry, name: str) -> None:
    ports = registry.nodes[name].by_name
    wanted = [*TABLE[name]["required"], *TABLE[name].get("optional", [])]

    files = {port[0] for port in wanted if port[1] == "FILE"}

    assert files == {port.name for port in ports.values() if isinstance(port.widget, FileOf)}


def test_file_ports_choose_from_the_folder_of_their_kind(registry: Registry) -> None:
    kinds = {
        (node.name, port.name): port.widget.kind
        for node in registry.nodes.values()
        for port in node.inputs
        if isinstance(port.widget, FileOf)
    }

    assert kinds[("CheckpointLoaderSimple", "ckpt_name")] == "checkpoints"
    assert kinds[("DiffusersLoader", "model_path")] == "diffusers"
    assert kinds[("CLIPLoader", "clip_name")] == "text_encoders"
    assert kinds[("CLIPVisionLoader", "clip_name")] == "clip_vision"
    assert kinds[("VAELoader", "vae_name")] == "vae"
    assert kinds[("UNETLoader", "unet_name")] == "unet"
    assert kinds[("LoraLoader", "lora_name")] == "loras"
    assert kinds[("LoraLoaderModelOnly", "lora_name")] == "loras"
    assert kinds[("ControlNetLoader", "control_net_name")] == "controlnet"
    assert kinds[("LoadImage", "image")] == "input"
    assert kinds[("LoadImageMask", "image")] == "input"
    assert kinds[("LoadLatent", "latent")] == "latents"
    assert kinds[("UpscaleModelLoader", "model_name")] == "upscale_models"


def test_the_identity_vae_is_among_the_choices(registry: Registry) -> None:
    choices = node_info(registry, registry.nodes["VAELoader"])["input"]["required"]["vae_name"][0]

    assert choices == ["pixel_space"]


def test_samplers_and_schedules_are_what_is_registered(registry: Registry) -> None:
    for name in ("KSampler", "KSamplerAdvanced", "KSamplerSelect"):
        assert registry.nodes[name].by_name["sampler_name"].widget == ChoiceOf("samplers")
    for name in ("KSampler", "KSamplerAdvanced", "BasicScheduler"):
        assert registry.nodes[name].by_name["scheduler"].widget == ChoiceOf("schedules")
    assert {"euler", "euler_ancestral", "ddpm", "ddim"} <= set(registry.extensions["samplers"])


def test_the_ecosystems_names_stand_for_ours(registry: Registry) -> None:
    for theirs, ours in OURS.items():
        assert registry.nodes[theirs].function is registry.nodes[ours].function


def test_every_node_says_what_it_does(registry: Registry) -> None:
    assert all(kind.description for kind in registry.nodes.values())
