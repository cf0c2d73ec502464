"""Documents from files and requests, whatever form they come in."""

import json
from pathlib import Path
from typing import Any

import pytest
import standin_nodes
from editor_files import TEXT_TO_IMAGE, EditorFile, text_to_image

from nodegraph.errors import DocumentError
from nodegraph.registry import Alias, Registry
from nodegraph.workflow import is_workflow, load_document


@pytest.fixture
def registry() -> Registry:
    names = type(pytest)("comfyui_names")
    names.NAMES = Alias(  # type: ignore[attr-defined]
        {
            "CheckpointLoaderSimple": ("LoadCheckpoint", "Load Checkpoint"),
            "CLIPTextEncode": ("CLIPEncode", "CLIP Text Encode (Prompt)"),
        }
    )
    registry = Registry()
    registry.register(standin_nodes, names)
    return registry


FORMS = [
    (TEXT_TO_IMAGE, None),
    (text_to_image(), text_to_image()),
    ({"prompt": TEXT_TO_IMAGE, "client_id": "x"}, None),
    ({"prompt": text_to_image()}, text_to_image()),
    (
        {
            "prompt": TEXT_TO_IMAGE,
            "extra_data": {"extra_pnginfo": {"workflow": text_to_image()}},
        },
        text_to_image(),
    ),
    ({"prompt": TEXT_TO_IMAGE, "workflow": text_to_image()}, text_to_image()),
    ({"prompt": TEXT_TO_IMAGE, "extra_data": {"extra_pnginfo": []}, "workflow": 3}, None),
]


@pytest.mark.parametrize(("data", "workflow"), FORMS)
def test_every_form_of_a_graph_gives_the_same_document(
    registry: Registry, data: dict[str, Any], workflow: dict[str, Any] | None
) -> None:
    assert load_document(data, registry) == (TEXT_TO_IMAGE, workflow)


@pytest.mark.parametrize("as_text", [True, False])
def test_a_file_is_read_from_its_path(registry: Registry, tmp_path: Path, as_text: bool) -> None:
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(text_to_image()))

    document, workflow = load_document(str(path) if as_text else path, registry)

    assert document == TEXT_TO_IMAGE
    assert workflow == text_to_image()


def test_a_node_may_be_called_prompt(registry: Registry) -> None:
    document = {"prompt": {"class_type": "LoadVAE", "inputs": {"vae_name": "pixel_space"}}}

    assert load_document(document, registry) == (document, None)


def test_warnings_of_the_conversion_are_passed_on(registry: Registry) -> None:
    heard: list[str] = []

    load_document(EditorFile().node(1, "Sparkle", [1]).data, registry, warn=heard.append)

    assert heard == ["node 1 (Sparkle): its type is unknown, so its 1 widget values have no names"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "graph.json is not JSON: line 1, column 2"),
        ("[1]", "graph.json is no graph: expected an object of nodes by id"),
        ('{"nodes": [{}]}', r"graph.json, nodes\[0\].type is missing"),
    ],
)
def test_what_is_no_graph_is_refused_with_the_files_name(
    registry: Registry, tmp_path: Path, content: str, complaint: str
) -> None:
    path = tmp_path / "graph.json"
    path.write_text(content)

    with pytest.raises(DocumentError, match=complaint):
        load_document(path, registry)


def test_a_file_that_is_not_there_is_named(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"gone\.json cannot be read"):
        load_document(tmp_path / "gone.json", registry)


@pytest.mark.parametrize("data", [None, 3, "nodes", [], {}, {"nodes": {}}, TEXT_TO_IMAGE])
def test_only_a_list_of_nodes_makes_a_workflow(data: Any) -> None:
    assert not is_workflow(data)
    assert is_workflow({"nodes": []})
