import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import standin_nodes
from editor_files import EditorFile

from nodegraph import Extension, FileReader
from nodegraph.documents import Document, load_document, read_json
from nodegraph.errors import DocumentError, NodeGraphError
from nodegraph.registry import Registry

GRAPH = {"1": {"class_type": "EmptyLatentImage", "inputs": {"width": 64}}}
MANIFEST = {"node": "1", "batch_index": 0}


def editor_file() -> dict[str, Any]:
    return EditorFile().node(1, "EmptyLatentImage", [64, 512, 1], gives="LATENT").data


def reading(texts: Any) -> Registry:
    """A registry that knows how to read .cat files: they say `texts`, whatever is in them."""

    def found(path: Path) -> Any:
        if isinstance(texts, Exception):
            raise texts
        return texts

    module = ModuleType("readers")
    module.READER = Extension("file_readers", {".cat": FileReader(found, lambda path: None)})
    registry = Registry()
    registry.register(standin_nodes, module)
    return registry


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.CAT"
    path.write_bytes(b"\x89")
    return path


def test_data_is_a_document_as_it_is() -> None:
    assert load_document(GRAPH, reading({})) == Document(GRAPH)


def test_ids_become_texts() -> None:
    assert load_document({7: GRAPH["1"]}, reading({})).document == {"7": GRAPH["1"]}  # type: ignore[dict-item]


@pytest.mark.parametrize("as_text", [False, True])
def test_a_json_file_is_read_whatever_it_is_called(tmp_path: Path, as_text: bool) -> None:
    path = tmp_path / "graph.txt"
    path.write_text(json.dumps(GRAPH))

    document = load_document(str(path) if as_text else path, reading({}))

    assert document == Document(GRAPH, path)


def test_an_editors_file_is_converted_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "workflow.json"
    path.write_text(json.dumps(editor_file()))

    document = load_document(path, reading({}))

    inputs = {"width": 64, "height": 512, "batch_size": 1}
    assert document.document["1"]["inputs"] == inputs
    assert document.workflow == editor_file()
    assert document.warnings == ()


def test_what_a_conversion_cannot_keep_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "workflow.json"
    path.write_text(json.dumps(EditorFile().node(1, "Sparkle", [1]).data))

    document = load_document(path, reading({}))

    assert len(document.warnings) == 1
    assert document.warnings[0].startswith("node 1 (Sparkle): ")


def test_a_picture_gives_its_graph_workflow_and_manifest(picture: Path) -> None:
    texts = {"prompt": GRAPH, "workflow": editor_file(), "nodegraph": MANIFEST}

    document = load_document(picture, reading(texts))

    assert document == Document(GRAPH, picture, editor_file(), MANIFEST)


@pytest.mark.parametrize("prompt", [{}, None, [1]])
def test_a_picture_with_a_workflow_alone_is_converted(picture: Path, prompt: Any) -> None:
    document = load_document(picture, reading({"prompt": prompt, "workflow": editor_file()}))

    assert document.document["1"]["inputs"]["width"] == 64
    assert document.workflow == editor_file()
    assert document.manifest == {}


def test_a_workflow_under_the_other_name_is_kept_too(picture: Path) -> None:
    document = load_document(picture, reading({"prompt": editor_file()}))

    assert document.document["1"]["inputs"]["width"] == 64
    assert document.workflow == editor_file()


@pytest.mark.parametrize("texts", [{}, {"nodegraph": MANIFEST}, {"prompt": {}, "workflow": 3}])
def test_a_picture_without_a_graph_says_so(picture: Path, texts: Any) -> None:
    with pytest.raises(DocumentError, match=r"picture\.CAT carries no graph: it has no text"):
        load_document(picture, reading(texts))


def test_whatever_a_reader_raises_names_the_file_once(picture: Path) -> None:
    with pytest.raises(DocumentError) as caught:
        load_document(picture, reading(ValueError("picture.CAT: cut short")))

    assert str(caught.value) == f"{picture} cannot be read: cut short"


def test_a_readers_own_error_of_this_package_passes_through(picture: Path) -> None:
    with pytest.raises(NodeGraphError, match=r"^as it was$"):
        load_document(picture, reading(NodeGraphError("as it was")))


@pytest.mark.parametrize("name", ["gone.json", "gone.cat"])
def test_a_file_that_is_not_there_is_told_whatever_it_would_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(DocumentError) as caught:
        load_document(tmp_path / name, reading({}))

    assert str(caught.value) == f"there is no file {tmp_path / name}"


@pytest.mark.parametrize(
    ("name", "message"),
    [(".", "is a folder"), ("x" * 300, "cannot be read"), ("a\0b", "cannot be read")],
)
def test_what_cannot_be_a_file_is_told(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        load_document(tmp_path / name, reading({}))


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    path.write_text("no JSON at all")

    with pytest.raises(DocumentError) as caught:
        read_json(path, max_bytes=13)

    assert str(caught.value) == f"{path} has 14 bytes; a graph may have 13"
    with pytest.raises(DocumentError, match="is not JSON"):
        read_json(path, max_bytes=14)


def test_json_that_is_no_graph_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text("[1]")

    with pytest.raises(DocumentError) as caught:
        load_document(path, reading({}))

    assert str(caught.value).startswith(f"{path} is no graph: expected an object")
    with pytest.raises(DocumentError, match=r"^the document is no graph"):
        load_document([1], reading({}))  # type: ignore[arg-type]
