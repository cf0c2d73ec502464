"""The example workflows, as the page gets them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_parts import Site
from server_parts import site as served

from nodegraph.server import templates


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workflows"
    folder.mkdir()
    (folder / "b.json").write_text('{"1": {"class_type": "B", "inputs": {}}}')
    (folder / "a.json").write_text("{}")
    (folder / "train.py").write_text("")
    monkeypatch.setattr(templates, "PLACES", (tmp_path / "nowhere", folder))
    return folder


def test_the_examples_are_listed_by_name_and_nothing_else_is(site: Site, folder: Path) -> None:
    assert json.loads(site.get("/api/templates").body) == ["a", "b"]


def test_an_example_is_the_file_as_it_is(site: Site, folder: Path) -> None:
    reply = site.get("/api/templates/b")

    assert reply.body.decode() == (folder / "b.json").read_text()
    assert reply.headers["content-type"] == "application/json"


@pytest.mark.parametrize("name", ["none", "..%2Fsecret", "train.py", "a.json", "%00"])
def test_nothing_else_is_served(site: Site, folder: Path, name: str) -> None:
    (folder.parent / "secret.json").write_text("{}")

    assert site.get(f"/api/templates/{name}").status in (400, 404)


def test_without_examples_the_list_is_empty(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "PLACES", ())

    assert json.loads(site.get("/api/templates").body) == []


def test_the_examples_that_come_along_have_the_one_that_the_page_opens() -> None:
    assert "text_to_image" in templates.templates()
