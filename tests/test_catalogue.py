"""The catalogue as JSON, against what ComfyUI gives for the same nodes."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import standin_nodes
from standin_nodes import Image

from nodegraph.catalogue import node_info, object_info, widget_ports
from nodegraph.folders import Folders
from nodegraph.node import LAZY, OPTIONAL, SOCKET, ChoiceOf, Number, Text, Tip, declare, node
from nodegraph.registry import Extension, Registry

Info = dict[str, Any]


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.register(standin_nodes)
    return registry


def info_of(registry: Registry, function: Any) -> Info:
    known = {kind.python: name for name, kind in registry.port_types.items()}
    return node_info(registry, declare(function, function.__node__, known))


def test_a_sampler_is_described_as_the_ecosystem_describes_it(registry: Registry) -> None:
    info = object_info(registry)["KSampler"]

    assert info["input"] == {
        "required": {
            "model": ["MODEL", {}],
            "seed": [
                "INT",
                {
                    "default": 0,
                    "min": 0,
                    "max": 18446744073709551615,
                    "control_after_generate": True,
                },
            ],
            "steps": ["INT", {"default": 20, "min": 1, "max": 10000}],
            "cfg": [
                "FLOAT",
                {"default": 8.0, "min": 0.0, "max": 100.0, "step": 0.1, "round": 0.01},
            ],
            "sampler_name": [["euler", "dpmpp_2m", "ddim"], {}],
            "scheduler": [["normal", "karras", "simple"], {}],
            "positive": ["CONDITIONING", {}],
            "negative": ["CONDITIONING", {}],
            "latent_image": ["LATENT", {}],
            "denoise": ["FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01}],
        }
    }
    assert list(info["input"]["required"]) == info["input_order"]["required"]
    assert info["input_order"]["required"][:3] == ["model", "seed", "steps"]
    assert (info["output"], info["output_is_list"]) == (["LATENT"], [False])
    assert (info["output_name"], info["category"]) == (["LATENT"], "sampling")
    assert (info["output_node"], info["name"]) == (False, "KSampler")


def test_ports_marked_optional_stand_apart_after_the_required_ones(registry: Registry) -> None:
    info = object_info(registry)["ImageScale"]

    assert info["input_order"] == {
        "required": ["image", "upscale_method", "width", "height"],
        "optional": ["mask", "blend"],
    }
    assert info["input"]["optional"] == {
        "mask": ["MASK", {}],
        "blend": ["FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0}],
    }


def test_outputs_keep_their_names_types_and_tooltips(registry: Registry) -> None:
    infos = object_info(registry)

    assert infos["ControlNetApplyAdvanced"]["output"] == ["CONDITIONING", "CONDITIONING"]
    assert infos["ControlNetApplyAdvanced"]["output_name"] == ["positive", "negative"]
    assert infos["LoadImage"]["output_tooltips"] == ["", "1 where the picture is transparent"]
    assert "output_tooltips" not in infos["KSampler"]
    assert (infos["SaveImage"]["output"], infos["SaveImage"]["output_node"]) == ([], True)


def test_files_are_listed_at_every_call(tmp_path: Path) -> None:
    vaes = tmp_path / "vae"
    vaes.mkdir()
    registry = Registry(Folders((tmp_path,), tmp_path, tmp_path, tmp_path))
    registry.register(standin_nodes)

    before = object_info(registry)["LoadVAE"]["input"]["required"]["vae_name"]
    (vaes / "new.safetensors").write_bytes(b"")
    after = object_info(registry)["LoadVAE"]["input"]["required"]["vae_name"]

    assert before == [["pixel_space"], {}]
    assert after == [["new.safetensors", "pixel_space"], {}]


def test_a_picture_to_upload_says_so(registry: Registry) -> None:
    required = object_info(registry)["LoadImage"]["input"]["required"]

    assert required == {"image": [[], {"image_upload": True}]}


def test_everything_a_port_can_say_has_its_option(registry: Registry) -> None:
    @node("Options", category="tests", needs=lambda: (), deprecated=True, experimental=True)
    def options(
        prompt: Annotated[str, Text(True, True, "a cat"), Tip("what to draw")] = "",
        flag: bool = False,
        count: Annotated[int, SOCKET] = 0,
        later: Annotated[Image | None, LAZY] = None,
        number: Annotated[float, Number(min=0, max=float("inf")), OPTIONAL] = 0.0,
    ) -> list[str]:
        """Says a lot."""
        raise NotImplementedError

    info = info_of(registry, options)

    assert info["input"]["required"] == {
        "prompt": [
            "STRING",
            {
                "default": "",
                "placeholder": "a cat",
                "tooltip": "what to draw",
                "multiline": True,
                "dynamicPrompts": True,
            },
        ],
        "flag": ["BOOLEAN", {"default": False}],
        "count": ["INT", {"default": 0, "forceInput": True}],
    }
    assert info["input"]["optional"] == {
        "later": ["IMAGE", {"lazy": True}],
        "number": ["FLOAT", {"default": 0.0, "min": 0}],
    }
    assert (info["deprecated"], info["experimental"]) == (True, True)
    assert (info["output"], info["output_is_list"]) == (["STRING"], [True])
    assert info["description"] == "Says a lot."
    assert info["python_module"] == __name__


def test_choices_from_an_extension_point_are_those_registered(registry: Registry) -> None:
    class Plugin:
        SHAPES = Extension("shapes", {"round": 1, "square": 2})

    @node("Shape", category="tests")
    def shape(kind: Annotated[str, ChoiceOf("shapes")]) -> None:
        raise NotImplementedError

    module = type(pytest)("shapes_plugin")
    module.SHAPES = Plugin.SHAPES  # type: ignore[attr-defined]
    registry.register(module)

    assert info_of(registry, shape)["input"]["required"]["kind"] == [["round", "square"], {}]


def test_the_catalogue_is_json_without_exceptions(registry: Registry) -> None:
    infos = object_info(registry)

    assert json.loads(json.dumps(infos, allow_nan=False)) == infos
    assert set(infos) == set(registry.nodes)


def test_widgets_are_drawn_for_plain_values_required_ones_first() -> None:
    @node("Mixed", category="tests")
    def mixed(
        *,
        late: Annotated[int, OPTIONAL] = 0,
        mode: Literal["a", "b"],
        anything: Any = None,
        either: int | str = 0,
        text: str = "",
        flag: bool = False,
    ) -> None:
        raise NotImplementedError

    kind = declare(mixed, mixed.__node__, {})  # type: ignore[attr-defined]

    assert [port.name for port in widget_ports(kind)] == ["mode", "text", "flag", "late"]


def test_a_port_that_only_takes_links_has_no_widget(registry: Registry) -> None:
    @node("Sized", category="tests")
    def sized(count: Annotated[int, SOCKET], width: int) -> None:
        raise NotImplementedError

    kind = declare(sized, sized.__node__, {})  # type: ignore[attr-defined]

    assert [port.name for port in widget_ports(kind)] == ["width"]
