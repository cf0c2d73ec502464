"""The nodes' ports against the ecosystem's: names, order, types, defaults, ranges, choices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import nodes
from nodegraph.catalogue import node_info
from nodegraph.node import ChoiceOf, FileOf
from nodegraph.plugins import load_all
from nodegraph.registry import Registry

ROOT = Path(__file__).parents[1]
TABLE: dict[str, dict[str, Any]] = json.loads(
    (ROOT / "tests" / "data" / "comfyui_ports.json").read_text()
)
# Of these choices ours are some: samplers grow with plugins, and other families are not read.
SOME = {("CLIPLoader", "type"), *((name, "sampler_name") for name in TABLE)}
OURS = {"CheckpointLoaderSimple": "LoadCheckpoint", "CLIPTextEncode": "CLIPEncode"}
OURS["VAELoader"] = "LoadVAE"


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
    expected = TABLE[name]

    info = node_info(registry, registry.nodes[name])

    assert info["input_order"]["required"] == [port[0] for port in expected["required"]]
    optional = [port[0] for port in expected.get("optional", [])]
    assert info["input_order"].get("optional", [])[: len(optional)] == optional
    outputs = list(zip(info["output_name"], info["output"], strict=True))
    assert outputs == [tuple(port) for port in expected["output"]]
    assert info["output_node"] is expected.get("output_node", False)
    assert info["category"] == expected["category"]


@pytest.mark.parametrize("name", TABLE)
def test_a_port_has_the_type_default_and_range_of_the_ecosystem(
    registry: Registry, name: str
) -> None:
    info = node_info(registry, registry.nodes[name])

    for section in ("required", "optional"):
        for port, wanted, *rest in TABLE[name].get(section, []):
            kind, options = info["input"][section][port]
            facts = rest[0] if rest else {}
            where = f"{name}.{port}"
            if wanted == "FILE":
                assert isinstance(registry.nodes[name].by_name[port].widget, FileOf), where
            elif (name, port) in SOME:
                assert set(kind) <= set(wanted), where
                assert kind == [choice for choice in wanted if choice in kind], where
                assert kind, where
            else:
                assert kind == wanted, where
            assert {key: options.get(key) for key in facts} == facts, where
            if section == "required" and "default" not in facts:
                assert "default" not in options, where


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
    assert kinds[("VAELoader", "vae_name")] == "vae"
    assert kinds[("UNETLoader", "unet_name")] == "unet"
    assert kinds[("LoadImage", "image")] == "input"
    assert kinds[("LoadLatent", "latent")] == "latents"


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
