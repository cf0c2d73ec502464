"""The editor's file to a graph document: links, titles, virtual nodes, mute and bypass."""

from typing import Any

import pytest
import standin_nodes
from editor_files import TEXT_TO_IMAGE, EditorFile, text_to_image

from nodegraph.errors import DocumentError
from nodegraph.graph import validate
from nodegraph.registry import Alias, Registry
from nodegraph.workflow import convert

NAMES = Alias(
    {
        "CheckpointLoaderSimple": ("LoadCheckpoint", "Load Checkpoint"),
        "CLIPTextEncode": ("CLIPEncode", "CLIP Text Encode (Prompt)"),
    }
)


@pytest.fixture
def registry() -> Registry:
    names = type(pytest)("comfyui_names")
    names.NAMES = NAMES  # type: ignore[attr-defined]
    registry = Registry()
    registry.register(standin_nodes, names)
    return registry


def inputs_of(file: EditorFile, registry: Registry) -> dict[str, dict[str, Any]]:
    document = convert(file.data, registry).document
    return {id: entry["inputs"] for id, entry in document.items()}


def test_a_text_to_image_file_becomes_the_graph_the_editor_would_send(registry: Registry) -> None:
    converted = convert(text_to_image(), registry)

    assert converted.document == TEXT_TO_IMAGE
    assert converted.warnings == ()


def test_what_comes_out_is_a_valid_graph(registry: Registry) -> None:
    graph = validate(convert(text_to_image(), registry).document, registry, strict=True)

    assert graph.targets == ("9",)
    assert graph.nodes["6"].title == "Positive"


def test_links_are_read_as_objects_too(registry: Registry) -> None:
    file = text_to_image()
    keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    file["links"] = [dict(zip(keys, link, strict=True)) for link in file["links"]]
    file["reroutes"] = [{"id": 1, "pos": [3, 4], "linkIds": [9]}]

    assert convert(file, registry).document == TEXT_TO_IMAGE


def test_values_are_read_by_name_too(registry: Registry) -> None:
    file = text_to_image()
    file["nodes"][2]["widgets_values"] = {"height": 768, "width": 512, "batch_size": 1}

    assert convert(file, registry).document == TEXT_TO_IMAGE


def test_a_link_to_a_widget_wins_over_the_value_and_the_value_keeps_its_place(
    registry: Registry,
) -> None:
    file = (
        EditorFile()
        .node(1, "Size")
        .node(2, "EmptyLatentImage", [64, 128, 3])
        .link(1, 0, 2, "width", "INT", widget=True)
    )

    assert inputs_of(file, registry)["2"] == {"width": ["1", 0], "height": 128, "batch_size": 3}


def test_an_input_is_named_after_the_widget_it_stands_for(registry: Registry) -> None:
    file = EditorFile().node(1, "Size").node(2, "EmptyLatentImage", [64, 128, 3])
    file.link(1, 0, 2, "breadth", "INT").data["nodes"][1]["inputs"][0]["widget"] = {"name": "width"}

    assert inputs_of(file, registry)["2"] == {"width": ["1", 0], "height": 128, "batch_size": 3}


def test_reroutes_vanish_however_many_follow_each_other(registry: Registry) -> None:
    file = EditorFile().node(1, "LoadVAE", ["pixel_space"])
    for id in range(2, 3000):
        file.node(id, "Reroute", gives="*")
    for id in range(2, 3000):
        file.data["nodes"][id - 1]["inputs"] = [{"name": "", "type": "*", "link": id - 1}]
        file.data["links"].append([id - 1, id - 1, 0, id, 0, "*"])
    file.node(3000, "VAEDecode").link(2999, 0, 3000, "vae", "VAE")

    assert inputs_of(file, registry) == {
        "1": {"vae_name": "pixel_space"},
        "3000": {"vae": ["1", 0]},
    }


def test_reroutes_in_a_circle_lead_nowhere(registry: Registry) -> None:
    file = (
        EditorFile()
        .node(1, "Reroute")
        .node(2, "Reroute")
        .link(1, 0, 2, "")
        .link(2, 0, 1, "")
        .node(3, "SaveImage", ["x"])
        .link(2, 0, 3, "images", "IMAGE")
    )

    converted = convert(file.data, registry)

    assert converted.document["3"]["inputs"] == {"filename_prefix": "x"}
    assert converted.warnings == ("node 3 (SaveImage): the link at images leads nowhere",)


def test_a_primitive_gives_its_value_to_every_widget_it_feeds(registry: Registry) -> None:
    file = (
        EditorFile()
        .node(1, "PrimitiveNode", [768, "fixed"])
        .node(2, "EmptyLatentImage", [64, 64, 3])
        .node(4, "Reroute")
        .link(1, 0, 4, "")
        .link(1, 0, 2, "width", "INT", widget=True)
        .link(4, 0, 2, "height", "INT", widget=True)
    )

    assert inputs_of(file, registry) == {"2": {"width": 768, "height": 768, "batch_size": 3}}


def test_an_empty_primitive_leaves_the_widget_its_own_value(registry: Registry) -> None:
    file = (
        EditorFile()
        .node(1, "PrimitiveNode")
        .node(2, "EmptyLatentImage", [64, 128, 3])
        .link(1, 0, 2, "width", "INT", widget=True)
    )

    assert inputs_of(file, registry)["2"]["width"] == 64


def test_notes_are_left_out(registry: Registry) -> None:
    file = EditorFile().node(1, "Note", ["hello"]).node(2, "MarkdownNote", ["# hello"])

    assert convert(file.data, registry).document == {}


def test_list_values_are_marked_as_values(registry: Registry) -> None:
    file = EditorFile().node(1, "Anything", [["1", 0]])

    assert inputs_of(file, registry)["1"] == {"items": {"__value__": ["1", 0]}}


# -- muted ----------------------------------------------------------------------------------------


def test_a_muted_node_takes_with_it_what_cannot_run_without_it(registry: Registry) -> None:
    file = text_to_image()
    file["nodes"][3]["mode"] = 2

    converted = convert(file, registry)

    assert set(converted.document) == {"4", "5", "6", "7"}
    assert converted.warnings == (
        "node 8 (VAEDecode): left out, since samples comes from muted node 3",
        "node 9 (SaveImage): left out, since images comes from node 8, left out too",
    )


def test_an_optional_input_from_a_muted_node_is_dropped(registry: Registry) -> None:
    file = (
        EditorFile()
        .node(1, "LoadImageMask", ["a.png", "red", "image"], mode=2)
        .node(2, "LoadImage", ["b.png", "image"])
        .node(3, "ImageScale", ["area", 64, 64, 0.25])
        .link(2, 0, 3, "image", "IMAGE")
        .link(1, 0, 3, "mask", "MASK")
    )

    converted = convert(file.data, registry)

    assert converted.document["3"]["inputs"] == {
        "image": ["2", 0],
        "upscale_method": "area",
        "width": 64,
        "height": 64,
        "blend": 0.25,
    }
    (warning,) = converted.warnings
    assert warning == "node 3 (ImageScale): mask came from muted node 1; it is left out"


def test_an_optional_input_from_a_node_left_out_is_dropped(registry: Registry) -> None:
    file = (
        EditorFile()
        .node(1, "LoadVAE", ["pixel_space"], mode=2)
        .node(2, "VAEDecode")
        .link(1, 0, 2, "vae", "VAE")
        .node(3, "Unknown")
        .link(2, 0, 3, "image", "IMAGE")
    )

    assert inputs_of(file, registry) == {"3": {}}


def test_a_widget_fed_by_a_muted_node_uses_its_own_value(registry: Registry) -> None:
    file = (
        EditorFile()
        .node(1, "Method", mode=2)
        .node(2, "ImageScale", ["area"])
        .link(1, 0, 2, "upscale_method", "COMBO", widget=True)
    )

    converted = convert(file.data, registry)

    assert converted.document["2"]["inputs"] == {"upscale_method": "area"}
    assert converted.warnings == (
        "node 2 (ImageScale): upscale_method came from muted node 1; its own value is used",
    )


def test_an_own_value_comes_back_when_the_node_that_fed_it_is_left_out(registry: Registry) -> None:
    file = (
        EditorFile()
        .node(1, "LoadVAE", ["pixel_space"], mode=2)
        .node(2, "VAEDecode")
        .link(1, 0, 2, "vae", "VAE")
        .node(3, "ImageScale", ["area"])
        .link(2, 0, 3, "upscale_method", "COMBO", widget=True)
    )

    assert inputs_of(file, registry) == {"3": {"upscale_method": "area"}}


# -- bypassed -------------------------------------------------------------------------------------


def test_a_bypassed_node_hands_on_the_input_of_its_outputs_type(registry: Registry) -> None:
    file = (
        EditorFile()
        .node(1, "LoadCheckpoint", ["a.ckpt"], gives="MODEL CLIP VAE")
        .node(2, "LoraLoader", ["b", 1, 1], mode=4, gives="MODEL CLIP")
        .link(1, 0, 2, "model", "MODEL")
        .link(1, 1, 2, "clip", "CLIP")
        .node(3, "CLIPEncode", ["hi"])
        .link(2, 1, 3, "clip", "CLIP")
        .node(4, "KSampler")
        .link(2, 0, 4, "model", "MODEL")
    )

    found = inputs_of(file, registry)

    assert set(found) == {"1", "3", "4"}
    assert found["3"]["clip"] == ["1", 1]
    assert found["4"]["model"] == ["1", 0]


def test_a_bypassed_node_prefers_the_input_at_the_outputs_place(registry: Registry) -> None:
    cond = {"type": "CONDITIONING", "links": []}
    file = (
        EditorFile()
        .node(1, "CLIPEncode", ["good"])
        .node(2, "CLIPEncode", ["bad"])
        .node(
            3,
            "ControlNetApplyAdvanced",
            mode=4,
            outputs=[{"name": "positive", **cond}, {"name": "negative", **cond}],
        )
        .link(1, 0, 3, "positive", "CONDITIONING")
        .link(2, 0, 3, "negative", "CONDITIONING")
        .node(4, "KSampler")
        .link(3, 0, 4, "positive", "CONDITIONING")
        .link(3, 1, 4, "negative", "CONDITIONING")
    )

    found = inputs_of(file, registry)["4"]

    assert (found["positive"], found["negative"]) == (["1", 0], ["2", 0])


def test_a_bypassed_node_takes_the_first_of_the_type_where_places_differ(
    registry: Registry,
) -> None:
    file = (
        EditorFile()
        .node(1, "LoadImage", ["a.png"], gives="IMAGE MASK")
        .node(2, "Blend", mode=4, gives="IMAGE")
        .link(1, 1, 2, "mask", "MASK")
        .link(1, 0, 2, "image", "IMAGE,LATENT")
        .node(3, "SaveImage", ["x"])
        .link(2, 0, 3, "images", "IMAGE")
    )

    assert inputs_of(file, registry)["3"]["images"] == ["1", 0]


def test_a_bypassed_node_without_such_an_input_gives_nothing(registry: Registry) -> None:
    file = (
        EditorFile()
        .node(2, "VAEDecode", mode=4, gives="IMAGE", inputs=[{"name": "samples", "type": "LATENT"}])
        .node(3, "SaveImage", ["x"])
        .link(2, 0, 3, "images", "IMAGE")
    )

    converted = convert(file.data, registry)

    assert converted.document["3"]["inputs"] == {"filename_prefix": "x"}
    assert converted.warnings == ("node 3 (SaveImage): the link at images leads nowhere",)


# -- what does not fit ----------------------------------------------------------------------------


def test_a_node_of_an_unknown_type_is_kept_with_its_links(registry: Registry) -> None:
    file = (
        EditorFile()
        .node(1, "LoadImage", ["a.png", "image"])
        .node(2, "Sparkle", [0.5, "blue"], title="Shine")
        .link(1, 0, 2, "image", "IMAGE")
        .node(3, "Glitter", {"amount": 2})
    )

    converted = convert(file.data, registry)

    assert converted.document["2"] == {
        "class_type": "Sparkle",
        "inputs": {"image": ["1", 0]},
        "_meta": {"title": "Shine"},
    }
    assert converted.document["3"]["inputs"] == {"amount": 2}
    assert converted.warnings == (
        "node 2 (Sparkle): its type is unknown, so its 2 widget values have no names",
    )


def test_a_link_that_is_not_in_the_file_is_reported(registry: Registry) -> None:
    file = EditorFile().node(1, "SaveImage", ["x"])
    file.data["nodes"][0]["inputs"] = [{"name": "images", "type": "IMAGE", "link": 99}]

    assert convert(file.data, registry).warnings == (
        "node 1 (SaveImage): the link at images leads nowhere",
    )


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"nodes": None}, 'photo.json is not in the editor\'s format: it has no list "nodes"'),
        ({"nodes": [3]}, r"photo.json, nodes\[0\]: expected an object, not a number"),
        ({"nodes": [{"id": 1}]}, r"nodes\[0\].type is missing; give the name of a node type"),
        ({"nodes": [{"type": "A"}]}, r"nodes\[0\].id is missing; give a number or text"),
        ({"nodes": [{"type": "A", "id": True}]}, "expected a number or text, not a boolean"),
        ({"nodes": [{"type": "A", "id": "x" * 201}]}, "an id has 1 to 200 characters"),
        ({"nodes": [{"type": "A", "id": 10**5000}]}, "an id has 1 to 200 characters"),
        ({"nodes": [{"type": "A", "id": 1}] * 2}, r"nodes\[1\]: another node has the id 1, too"),
        ({"nodes": [{"type": "A", "id": 1, "inputs": [{}]}]}, r"inputs\[0\].name is missing"),
        ({"nodes": [{"type": "A", "id": 1, "widgets_values": 3}]}, "a list or an object"),
        ({"links": {}}, "links: expected a list, not an object"),
        ({"links": [[1, 2]]}, r"links\[0\]: expected \[id, source, source slot"),
        ({"links": [[1, 2, "x", 4, 0]]}, r"links\[0\], its source slot: expected the index"),
        ({"links": [[1, 2, 0, 4, 0], [1, 3, 0, 4, 0]]}, r"links\[1\]: another link has the id 1"),
        ({"links": [{"id": 1}]}, r"links\[0\], its source is missing"),
        ({"definitions": {"subgraphs": [{}]}}, r"definitions.subgraphs\[0\].id is missing"),
    ],
)
def test_a_malformed_file_is_refused_with_the_place(
    registry: Registry, change: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(DocumentError, match=complaint):
        convert(text_to_image() | change, registry, title="photo.json")


def test_links_removed_by_the_editor_are_passed_over(registry: Registry) -> None:
    file = text_to_image()
    file["links"].insert(2, None)
    file["links"].append(file["links"][0])

    assert convert(file, registry).document == TEXT_TO_IMAGE
