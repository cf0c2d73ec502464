"""What the page makes of graphs, and what nodegraph makes of them: the same.

The page's tests (web/test) compare the page with files in web/test/fixtures; the tests here compare
those files with nodegraph. So neither needs the other's tools. If one fails: `make web-fixtures`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import web_fixtures
from web_fixtures import FOLDER

from nodegraph.documents import load_document
from nodegraph.inputs import slot_index
from nodegraph.registry import Registry
from nodegraph.workflow import convert
from nodes.imaging.files import metadata

ANEW = "run `make web-fixtures`, and commit web/test/fixtures"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with web_fixtures.core(tmp_path_factory.mktemp("core")) as engine:
        yield engine.registry


def stored(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


def numbered(document: dict[str, Any], registry: Registry) -> dict[str, Any]:
    """The document with outputs by number, where it names them."""

    def value_of(value: Any) -> Any:
        if not isinstance(value, list) or not isinstance(value[1], str):
            return value
        return [value[0], slot_index(registry.nodes[document[value[0]]["class_type"]], value[1])]

    return {
        id: {**entry, "inputs": {name: value_of(v) for name, v in entry["inputs"].items()}}
        for id, entry in document.items()
    }


def test_the_catalogue_is_the_servers(registry: Registry) -> None:
    made = json.loads(json.dumps(web_fixtures.catalogue(registry)))

    assert stored("catalogue.json") == made, ANEW


def test_the_conversions_are_nodegraphs(registry: Registry) -> None:
    made = json.loads(json.dumps(web_fixtures.conversions(registry)))

    assert stored("conversions.json") == made, ANEW


SAVED = stored("saved.json")


@pytest.mark.parametrize("name", SAVED)
def test_a_workflow_that_the_page_saved_is_the_same_graph(name: str, registry: Registry) -> None:
    document, file = SAVED[name]["document"], SAVED[name]["file"]

    converted = convert(file, registry)

    assert converted.warnings == ()
    assert converted.document == numbered(document, registry)


def test_graphs_at_random_run_as_the_page_sends_them(registry: Registry) -> None:
    samples = stored("random.json")

    assert len(samples) >= 40
    assert sum(bool(sample["warnings"]) for sample in samples) >= 5
    for sample in samples:
        converted = convert(sample["file"], registry)

        assert converted.document == sample["prompt"]
        assert sorted(converted.warnings) == sorted(sample["warnings"])


@pytest.mark.parametrize("name", ["both.png", "both.webp", "both.jpg", "foreign.png"])
def test_the_pictures_carry_what_ours_carry(name: str, registry: Registry) -> None:
    texts = metadata(FOLDER / "pictures" / name)
    made = web_fixtures.pictures()[name]

    assert texts == metadata(made), ANEW
    assert load_document(FOLDER / "pictures" / name, registry).document
