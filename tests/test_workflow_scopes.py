"""Subgraphs: their edges, their nodes' names, and the values their instances hold."""

import json
from typing import Any

import pytest
import standin_nodes
from editor_files import EditorFile, subgraph

from nodegraph.errors import DocumentError
from nodegraph.registry import Registry
from nodegraph.workflow import convert

Inputs = dict[str, dict[str, Any]]


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.register(standin_nodes)
    return registry


def inputs_of(file: EditorFile, registry: Registry) -> Inputs:
    document = convert(file.data, registry).document
    return {id: entry["inputs"] for id, entry in document.items()}


def decoder() -> EditorFile:
    """A subgraph that decodes: samples and vae in, an image out."""
    level = subgraph("dec", inputs="vae samples", outputs="IMAGE", name="Decoder")
    level.node(1, "VAEDecode").link(-10, 1, 1, "samples", "LATENT").link(-10, 0, 1, "vae", "VAE")
    return level.out(1, 0, 0)


def sized(inner_values: Any = None) -> EditorFile:
    """A subgraph whose width and seed hang on its inputs, besides a model's socket."""
    level = subgraph("sized", inputs="model width seed", outputs="LATENT")
    level.node(1, "EmptyLatentImage", inner_values or [64, 64, 2])
    level.node(2, "KSampler", [1, "fixed", 20, 8, "euler", "normal", 1])
    level.link(-10, 1, 1, "width", "INT", widget=True)
    level.link(-10, 0, 2, "model", "MODEL").link(-10, 2, 2, "seed", "INT", widget=True)
    level.link(1, 0, 2, "latent_image", "LATENT")
    return level.out(2, 0, 0)


def test_the_nodes_of_a_subgraph_are_named_after_its_instance(registry: Registry) -> None:
    file = (
        EditorFile()
        .node(1, "LoadVAE", ["pixel_space"])
        .node(2, "EmptyLatentImage", [64, 64, 1])
        .node(3, "dec", gives="IMAGE", title="Decode it")
        .link(1, 0, 3, "vae", "VAE", as_object=True)
        .link(2, 0, 3, "samples", "LATENT")
        .node(4, "SaveImage", ["x"])
        .link(3, 0, 4, "images", "IMAGE")
        .defining(decoder())
    )

    found = inputs_of(file, registry)

    assert set(found) == {"1", "2", "3:1", "4"}
    assert found["3:1"] == {"vae": ["1", 0], "samples": ["2", 0]}
    assert found["4"]["images"] == ["3:1", 0]


def test_edges_are_matched_by_name_where_an_instance_lacks_a_slot(registry: Registry) -> None:
    level = subgraph("two", inputs="a b", outputs="first second")
    level.node(1, "VAEDecode").link(-10, 1, 1, "vae", "VAE")
    level.node(2, "LoadVAE", ["pixel_space"]).out(1, 0, 0).out(2, 0, 1)
    file = (
        EditorFile()
        .node(1, "LoadVAE", ["pixel_space"])
        .node(2, "two", gives="second")
        .link(1, 0, 2, "b", "VAE")
        .node(3, "VAEDecode")
        .link(2, 0, 3, "vae", "VAE")
        .defining(level)
    )

    found = inputs_of(file, registry)

    assert found["2:1"] == {"vae": ["1", 0]}
    assert found["3"] == {"vae": ["2:2", 0]}


def test_subgraphs_nest_and_may_be_used_twice(registry: Registry) -> None:
    outer = subgraph("outer", inputs="latent", outputs="IMAGE")
    outer.node(5, "LoadVAE", ["pixel_space"]).node(6, "dec", gives="IMAGE")
    outer.link(5, 0, 6, "vae", "VAE").link(-10, 0, 6, "samples", "LATENT").out(6, 0, 0)
    file = EditorFile().node(1, "EmptyLatentImage", [64, 64, 1]).defining(decoder(), outer)
    for id in (2, 3):
        file.node(id, "outer", gives="IMAGE").link(1, 0, id, "latent", "LATENT")
        file.node(id + 10, "SaveImage", ["x"]).link(id, 0, id + 10, "images", "IMAGE")

    found = inputs_of(file, registry)

    assert set(found) == {"1", "2:5", "2:6:1", "3:5", "3:6:1", "12", "13"}
    assert found["3:6:1"] == {"vae": ["3:5", 0], "samples": ["1", 0]}
    assert found["13"]["images"] == ["3:6:1", 0]


def test_an_edge_may_be_wired_straight_through(registry: Registry) -> None:
    level = subgraph("wire", inputs="in", outputs="out").out(-10, 0, 0)
    file = (
        EditorFile()
        .node(1, "LoadVAE", ["pixel_space"])
        .node(2, "wire", gives="out")
        .link(1, 0, 2, "in", "VAE")
        .node(3, "VAEDecode")
        .link(2, 0, 3, "vae", "VAE")
        .defining(level)
    )

    assert inputs_of(file, registry)["3"] == {"vae": ["1", 0]}


def test_a_muted_instance_takes_its_nodes_with_it(registry: Registry) -> None:
    file = (
        EditorFile()
        .node(3, "dec", gives="IMAGE", mode=2)
        .node(4, "SaveImage", ["x"])
        .link(3, 0, 4, "images", "IMAGE")
        .defining(decoder())
    )

    assert inputs_of(file, registry) == {}


def test_a_bypassed_instance_hands_on_what_fits(registry: Registry) -> None:
    file = (
        EditorFile()
        .node(1, "LoadImage", ["a.png"])
        .node(3, "dec", gives="IMAGE", mode=4)
        .link(1, 0, 3, "picture", "IMAGE")
        .node(4, "SaveImage", ["x"])
        .link(3, 0, 4, "images", "IMAGE")
        .defining(decoder())
    )

    assert inputs_of(file, registry) == {
        "1": {"image": "a.png"},
        "4": {"filename_prefix": "x", "images": ["1", 0]},
    }


def test_each_instance_holds_its_own_values_of_widgets_shown(registry: Registry) -> None:
    file = (
        EditorFile()
        .node(1, "sized", [256, 11], inputs=[{"name": "model", "type": "MODEL"}])
        .node(2, "sized", [512, 12])
        .node(3, "sized", [])
        .defining(sized())
    )

    found = inputs_of(file, registry)

    assert [found[f"{id}:1"]["width"] for id in (1, 2, 3)] == [256, 512, 64]
    assert [found[f"{id}:2"]["seed"] for id in (1, 2, 3)] == [11, 12, 1]
    assert found["1:1"]["height"] == 64


def test_a_cable_from_outside_wins_over_the_value_an_instance_holds(registry: Registry) -> None:
    file = (
        EditorFile()
        .node(1, "PrimitiveNode", [1024, "fixed"])
        .node(2, "sized", [256, 11])
        .link(1, 0, 2, "width", "INT", widget=True)
        .node(3, "sized", [256, 11])
        .link(9, 0, 3, "width", "INT", widget=True)
        .defining(sized())
    )

    found = inputs_of(file, registry)

    assert found["2:1"]["width"] == 1024
    assert found["3:1"]["width"] == 256


def test_a_value_held_for_an_edge_is_not_taken_for_what_is_outside(registry: Registry) -> None:
    level = subgraph("wire", inputs="in", outputs="out").out(-10, 0, 0)
    file = (
        EditorFile()
        .node(1, "EmptyLatentImage", [64, 64, 1])
        .node(2, "EmptyLatentImage", [64, 64, 1])
        .node(3, "Reroute")
        .node(4, "wire", {"in": 5}, gives="out")
        .link(3, 0, 4, "in", "INT")
        .link(4, 0, 1, "width", "INT", widget=True)
        .link(3, 0, 2, "width", "INT", widget=True)
        .defining(level)
    )

    found = inputs_of(file, registry)

    assert (found["1"]["width"], found["2"]["width"]) == (5, 64)


def test_an_outer_value_wins_where_nothing_else_reads_it(registry: Registry) -> None:
    outer = subgraph("outer", inputs="wide")
    outer.node(7, "sized", [300, 11]).link(-10, 0, 7, "width", "INT", widget=True)
    file = EditorFile().node(1, "outer", [900]).defining(sized(), outer)

    assert inputs_of(file, registry)["1:7:1"]["width"] == 900


def test_the_outermost_instance_decides(registry: Registry) -> None:
    outer = subgraph("outer", inputs="wide")
    outer.node(7, "sized", [300, 11]).link(-10, 0, 7, "width", "INT", widget=True)
    outer.node(8, "EmptyLatentImage", [8, 8, 1]).link(-10, 0, 8, "width", "INT", widget=True)
    file = EditorFile().node(1, "outer", [900]).node(2, "outer").defining(sized(), outer)

    found = inputs_of(file, registry)

    assert (found["1:7:1"]["width"], found["1:8"]["width"]) == (900, 900)
    assert (found["2:7:1"]["width"], found["2:8"]["width"]) == (300, 8)
    assert found["1:7:2"]["seed"] == 11


@pytest.mark.parametrize("as_text", [True, False])
def test_values_may_be_listed_by_inner_node_and_widget(registry: Registry, as_text: bool) -> None:
    proxies = [
        ["2", "seed"],
        ["2", "control_after_generate"],
        ["-1", "width"],
        ["3", "$$canvas-image-preview"],
        ["1", "height"],
    ]
    file = (
        EditorFile()
        .node(
            4,
            "sized",
            [77, "randomize", 512, None, 48],
            properties={"proxyWidgets": json.dumps(proxies) if as_text else proxies},
        )
        .defining(sized())
    )

    found = inputs_of(file, registry)

    assert (found["4:1"]["width"], found["4:1"]["height"]) == (512, 48)
    assert found["4:2"]["seed"] == 77
    assert "control_after_generate" not in found["4:2"]


def test_values_may_be_given_by_name(registry: Registry) -> None:
    proxies = {"proxyWidgets": [["1", "height"]]}
    file = (
        EditorFile().node(4, "sized", {"width": 512, "height": 48}, properties=proxies)
    ).defining(sized())

    found = inputs_of(file, registry)

    assert (found["4:1"]["width"], found["4:1"]["height"]) == (512, 48)


def test_a_widget_shown_two_levels_up_is_set_two_levels_down(registry: Registry) -> None:
    outer = subgraph("outer")
    outer.node(7, "sized", properties={"proxyWidgets": [["1", "height"]]})
    proxies = {"proxyWidgets": [["7", "height"], ["7", "width"]]}
    file = EditorFile().node(1, "outer", [40, 80], properties=proxies).defining(sized(), outer)

    found = inputs_of(file, registry)

    assert (found["1:7:1"]["height"], found["1:7:1"]["width"]) == (40, 80)


def test_the_value_of_a_primitive_may_be_shown(registry: Registry) -> None:
    level = subgraph("prim")
    level.node(1, "PrimitiveNode", [5, "fixed"]).node(2, "EmptyLatentImage", [64, 64, 1])
    level.link(1, 0, 2, "batch_size", "INT", widget=True)
    proxies = {"proxyWidgets": [["1", "value"]]}
    file = EditorFile().node(1, "prim", [9], properties=proxies).node(2, "prim").defining(level)

    found = inputs_of(file, registry)

    assert [found[id]["batch_size"] for id in ("1:2", "2:2")] == [9, 5]


def test_values_that_fit_no_order_are_not_guessed(registry: Registry) -> None:
    file = EditorFile().node(4, "sized", [1, 2, 3, 4]).defining(sized())

    converted = convert(file.data, registry)

    assert converted.document["4:1"]["inputs"]["width"] == 64
    (warning,) = converted.warnings
    assert warning == (
        "node 4: the values of its widgets do not fit the widgets of the subgraph sized; the "
        "subgraph's own values are used"
    )


def test_a_file_may_name_its_edges_otherwise(registry: Registry) -> None:
    level = decoder()
    level.data["inputNode"]["id"] = "way-in"
    for link in level.data["links"]:
        link[1] = "way-in" if link[1] == -10 else link[1]
    file = (
        EditorFile()
        .node(1, "LoadVAE", ["pixel_space"])
        .node(3, "dec")
        .link(1, 0, 3, "vae", "VAE")
        .defining(level)
    )

    assert inputs_of(file, registry)["3:1"] == {"vae": ["1", 0]}


def test_a_definition_inside_a_definition_is_found(registry: Registry) -> None:
    outer = subgraph("outer").node(1, "dec").defining(decoder())
    file = EditorFile().node(1, "outer").defining(outer)

    assert set(inputs_of(file, registry)) == {"1:1:1"}


@pytest.mark.parametrize("circle", [["a"], ["a", "b"], ["a", "b", "c"]])
def test_a_subgraph_that_contains_itself_is_refused(registry: Registry, circle: list[str]) -> None:
    levels = [
        subgraph(name, name=f"Loop {name}").node(1, circle[(index + 1) % len(circle)])
        for index, name in enumerate(circle)
    ]
    file = EditorFile().node(1, "a").defining(*levels)

    with pytest.raises(DocumentError, match="the workflow: the subgraph Loop a contains itself"):
        convert(file.data, registry)


def test_subgraphs_nested_too_deep_are_refused(registry: Registry) -> None:
    levels = [subgraph(f"level {n}").node(1, f"level {n + 1}") for n in range(40)]
    file = EditorFile().node(1, "level 0").defining(*levels)

    with pytest.raises(DocumentError, match="more than 32 levels deep"):
        convert(file.data, registry)


def test_subgraphs_that_multiply_are_refused_in_time(registry: Registry) -> None:
    levels = []
    for n in range(30):
        level = subgraph(f"level {n}")
        for id in range(10):
            level.node(id, f"level {n + 1}")
        levels.append(level)
    file = EditorFile().node(1, "level 0").defining(*levels)

    with pytest.raises(DocumentError, match="more than 100,000 nodes"):
        convert(file.data, registry)


def test_two_nodes_of_one_name_are_refused(registry: Registry) -> None:
    file = EditorFile().node(3, "dec").defining(decoder())
    file.data["nodes"].append({"id": "3:1", "type": "SaveImage"})

    with pytest.raises(DocumentError, match="two nodes have the id 3:1"):
        convert(file.data, registry)
