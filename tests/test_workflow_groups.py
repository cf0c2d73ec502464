"""Group nodes, the forerunners of subgraphs."""

from typing import Any

import pytest
import standin_nodes
from editor_files import EditorFile

from nodegraph.errors import DocumentError
from nodegraph.registry import Registry
from nodegraph.workflow import convert


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.register(standin_nodes)
    return registry


def slot(name: str, type: str) -> dict[str, str]:
    return {"name": name, "type": type}


def sampling(**more: Any) -> dict[str, Any]:
    """A latent, a sampler and a decoder, the sampler's latent wired inside."""
    sockets = [
        slot("model", "MODEL"),
        slot("positive", "CONDITIONING"),
        slot("negative", "CONDITIONING"),
        slot("latent_image", "LATENT"),
    ]
    return {
        "nodes": [
            {"type": "EmptyLatentImage", "index": 0, "outputs": [slot("LATENT", "LATENT")]},
            {
                "type": "KSampler",
                "index": 1,
                "inputs": sockets,
                "outputs": [slot("LATENT", "LATENT")],
            },
            {
                "type": "VAEDecode",
                "index": 2,
                "inputs": [slot("samples", "LATENT"), slot("vae", "VAE")],
                "outputs": [slot("IMAGE", "IMAGE")],
            },
        ],
        "links": [
            [0, 0, 1, 3, 12, "LATENT"],
            [1, 0, 2, 0, 13, "LATENT"],
            [None, 0, 1, 0, 4, "MODEL"],
        ],
        "external": [],
        **more,
    }


def file_with(group: Any, values: Any = None, type: str = "workflow>Sampling") -> EditorFile:
    return (
        EditorFile(extra={"groupNodes": {"Sampling": group}})
        .node(1, "LoadCheckpoint", ["a.ckpt"])
        .node(2, "CLIPEncode", ["hi"])
        .node(5, type, values, gives="IMAGE")
        .link(1, 0, 5, "model", "MODEL")
        .link(2, 0, 5, "positive", "CONDITIONING")
        .link(1, 2, 5, "vae", "VAE")
        .node(6, "SaveImage", ["x"])
        .link(5, 0, 6, "images", "IMAGE")
    )


VALUES = [64, 32, 2, 9, "fixed", 20, 8, "euler", "normal", 0.5]


@pytest.mark.parametrize("type", ["workflow>Sampling", "workflow/Sampling"])
def test_a_group_node_becomes_the_nodes_it_stands_for(registry: Registry, type: str) -> None:
    converted = convert(file_with(sampling(), VALUES, type).data, registry)

    found = {id: entry["inputs"] for id, entry in converted.document.items()}
    assert found["5:0"] == {"width": 64, "height": 32, "batch_size": 2}
    assert found["5:1"] == {
        "seed": 9,
        "steps": 20,
        "cfg": 8,
        "sampler_name": "euler",
        "scheduler": "normal",
        "denoise": 0.5,
        "model": ["1", 0],
        "positive": ["2", 0],
        "latent_image": ["5:0", 0],
    }
    assert found["5:2"] == {"samples": ["5:1", 0], "vae": ["1", 2]}
    assert found["6"]["images"] == ["5:2", 0]
    assert converted.warnings == ()


def test_outputs_used_inside_are_given_only_if_they_are_external(registry: Registry) -> None:
    group = sampling(external=[[1, 0, "LATENT"]])

    document = convert(file_with(group, VALUES).data, registry).document

    assert document["6"]["inputs"]["images"] == ["5:1", 0]


def test_inputs_of_one_name_are_told_apart_by_the_nodes_title(registry: Registry) -> None:
    encode = {"type": "CLIPEncode", "inputs": [slot("clip", "CLIP")], "outputs": []}
    group = {"nodes": [encode, {**encode, "title": "Second"}], "links": []}
    file = (
        EditorFile(extra={"groupNodes": {"Two": group}})
        .node(1, "LoadCheckpoint", ["a.ckpt"])
        .node(2, "LoadCheckpoint", ["b.ckpt"])
        .node(3, "workflow>Two", ["one", "two"])
        .link(2, 1, 3, "Second clip", "CLIP")
        .link(1, 1, 3, "clip", "CLIP")
    )

    document = convert(file.data, registry).document

    assert document["3:0"]["inputs"] == {"text": "one", "clip": ["1", 1]}
    assert document["3:1"]["inputs"] == {"text": "two", "clip": ["2", 1]}


def test_inputs_renamed_by_an_unknown_rule_are_matched_by_place(registry: Registry) -> None:
    group = {"nodes": [{"type": "VAEDecode", "inputs": [slot("vae", "VAE")]}], "links": []}
    file = (
        EditorFile(extra={"groupNodes": {"One": group}})
        .node(1, "LoadVAE", ["pixel_space"])
        .node(3, "workflow>One")
        .link(1, 0, 3, "my own decoder", "VAE")
    )

    assert convert(file.data, registry).document["3:0"]["inputs"] == {"vae": ["1", 0]}


def test_what_the_user_hid_or_renamed_is_heeded(registry: Registry) -> None:
    config = {
        "0": {"input": {"height": {"visible": False}, "batch_size": {"visible": False}}},
        "1": {"input": {"positive": {"name": "prompt"}}, "output": {"0": {"visible": False}}},
        "2": {"output": {"0": {"visible": True}}},
    }
    group = sampling(config=config, external=[[1, 0, "LATENT"]])
    group["nodes"][0]["widgets_values"] = [8, 48, 3]
    file = file_with(group, [64, 9, "fixed", 20, 8, "euler", "normal", 0.5])
    entry = next(e for e in file.data["nodes"][2]["inputs"] if e["name"] == "positive")
    entry["name"] = "prompt"

    document = convert(file.data, registry).document

    assert document["5:0"]["inputs"] == {"width": 64, "height": 48, "batch_size": 3}
    assert document["5:1"]["inputs"]["positive"] == ["2", 0]
    assert document["6"]["inputs"]["images"] == ["5:2", 0]


def test_a_primitive_in_a_group_holds_its_value_there(registry: Registry) -> None:
    width = {**slot("width", "INT"), "widget": {"name": "width"}}
    group = {
        "nodes": [
            {"type": "PrimitiveNode", "widgets_values": [5, "fixed"]},
            {"type": "EmptyLatentImage", "inputs": [width]},
        ],
        "links": [[0, 0, 1, 0]],
    }
    file = EditorFile(extra={"groupNodes": {"One": group}})
    file.node(3, "workflow>One", [640, "fixed", 480, 2])

    document = convert(file.data, registry).document

    assert document == {
        "3:1": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": 640, "height": 480, "batch_size": 2},
            "_meta": {"title": "EmptyLatentImage"},
        }
    }


def test_values_that_do_not_fit_are_not_guessed(registry: Registry) -> None:
    group = sampling()
    group["nodes"][0]["widgets_values"] = [8, 48, 3]

    converted = convert(file_with(group, VALUES[:-1]).data, registry)

    assert converted.document["5:0"]["inputs"] == {"width": 8, "height": 48, "batch_size": 3}
    assert "the values of its widgets do not fit" in converted.warnings[0]


def test_a_group_that_is_not_in_the_file_is_an_unknown_node(registry: Registry) -> None:
    file = EditorFile().node(1, "workflow>Lost", [1])

    converted = convert(file.data, registry)

    assert converted.document["1"]["class_type"] == "workflow>Lost"
    assert "type is unknown" in converted.warnings[0]


@pytest.mark.parametrize(
    ("group", "complaint"),
    [
        (3, "the workflow, group node Sampling is not a group"),
        ({"nodes": [{}]}, r"group node Sampling.nodes\[0\].type is missing"),
        ({"nodes": [], "links": [[1]]}, r"links\[0\]: expected \[source, slot, target, slot\]"),
        ({"nodes": [{"type": "workflow>Sampling"}]}, "workflow>Sampling contains itself"),
    ],
)
def test_a_malformed_group_is_refused(registry: Registry, group: Any, complaint: str) -> None:
    with pytest.raises(DocumentError, match=complaint):
        convert(file_with(group).data, registry)
