"""The example workflows, as the page gets them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from server_parts import Site
from server_parts import site as served

from nodegraph.server import templates

README = """# Examples

## Control

| file | what it shows |
|---|---|
| `b.json` | what `b.json` shows (the plugin [edges](../plugins/edges/README.md)) |

## Training

| `train_lora.json` | a LoRA ([docs/lora.md](../docs/lora.md)); half a minute |
| `gone.json` | what is not there |
"""
PICTURE = b"RIFF....WEBP"


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
    (folder / "train_lora.json").write_text("{}")
    (folder / "train.py").write_text("")
    (folder / "README.md").write_text(README)
    (folder / "thumbnails").mkdir()
    (folder / "thumbnails" / "b.webp").write_bytes(PICTURE)
    monkeypatch.setattr(templates, "PLACES", (tmp_path / "nowhere", folder))
    return folder


def test_the_examples_are_listed_as_the_readme_has_them_and_nothing_else_is(
    site: Site, folder: Path
) -> None:
    about = "what b.json shows (the plugin edges)"

    assert json.loads(site.get("/api/templates").body) == [
        {"name": "b", "title": "B", "group": "Control", "description": about, "picture": True},
        {
            "name": "train_lora",
            "title": "Train LoRA",
            "group": "Training",
            "description": "a LoRA; half a minute",
            "picture": False,
        },
        {"name": "a", "title": "A", "group": "", "description": "", "picture": False},
    ]


def test_examples_without_a_readme_are_listed_by_name(site: Site, folder: Path) -> None:
    (folder / "README.md").unlink()

    listed = json.loads(site.get("/api/templates").body)

    assert [each["name"] for each in listed] == ["a", "b", "train_lora"]


def test_an_example_is_the_file_as_it_is(site: Site, folder: Path) -> None:
    reply = site.get("/api/templates/b")

    assert reply.body.decode() == (folder / "b.json").read_text()
    assert reply.headers["content-type"] == "application/json"


def test_an_example_has_a_picture(site: Site, folder: Path) -> None:
    reply = site.get("/api/templates/b/picture")

    assert reply.body == PICTURE
    assert reply.headers["content-type"] == "image/webp"
    assert site.get("/api/templates/a/picture").status == 404


@pytest.mark.parametrize("name", ["none", "..%2Fsecret", "train.py", "a.json", "%00"])
def test_nothing_else_is_served(site: Site, folder: Path, name: str) -> None:
    (folder.parent / "secret.json").write_text("{}")

    assert site.get(f"/api/templates/{name}").status in (400, 404)
    assert site.get(f"/api/templates/{name}/picture").status in (400, 404)


def test_without_examples_the_list_is_empty(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "PLACES", ())

    assert json.loads(site.get("/api/templates").body) == []


def test_the_examples_that_come_along_have_the_one_that_the_page_opens() -> None:
    assert "text_to_image" in [each.name for each in templates.templates()]


@pytest.mark.parametrize("example", templates.templates(), ids=lambda each: each.name)
def test_each_example_has_a_group_a_description_and_a_small_picture(
    example: templates.Template,
) -> None:
    path = templates.picture(example.name)

    assert example.group
    assert example.description
    assert path is not None, "python -m benchmarks.thumbnails makes it"
    assert path.stat().st_size <= 12_000
    with Image.open(path) as picture:
        assert picture.format == "WEBP"
        assert max(picture.size) == 256
