"""POST /upload/mask, through a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from server_parts import Site, opened, picture, site, stored


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as running:
        yield running


def original(at: Site, name: str = "original.png", place: str = "output", **options: Any) -> None:
    path = at.root / place / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 12), (10, 20, 30)).save(path, **options)


def reference(filename: str, **more: Any) -> str:
    return json.dumps({"filename": filename, **more})


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_a_mask_goes_on_to_the_original_which_keeps_its_texts(at: Site, prefix: str) -> None:
    texts = PngInfo()
    texts.add_text("prompt", '{"3": {}}')
    texts.add_itxt("workflow", '{"name": "画像"}', "en", "key")
    original(at, pnginfo=texts)

    reply = at.upload(
        f"{prefix}/upload/mask",
        picture(color=(255, 255, 255, 77)),
        "clipspace-mask.png",
        original_ref=reference("original.png"),
        subfolder="clipspace",
    )

    assert reply.json == {"name": "clipspace-mask.png", "subfolder": "clipspace", "type": "input"}
    image = opened((at.root / "input/clipspace/clipspace-mask.png").read_bytes())
    assert image.getpixel((3, 3)) == (10, 20, 30, 77)
    assert image.info["prompt"] == '{"3": {}}'
    assert image.info["workflow"] == '{"name": "画像"}'
    assert stored(at) == ["input/clipspace/clipspace-mask.png", "output/original.png"]


def test_the_original_may_be_anywhere_and_of_any_format(at: Site) -> None:
    original(at, "a/photo.jpg", "temp")
    places = [
        reference("photo.jpg", type="temp", subfolder="a"),
        reference("photo.jpg [temp]", subfolder="a"),
        reference("a/photo.jpg", type="temp"),
    ]

    for place in places:
        reply = at.upload("/upload/mask", picture(color=(0, 0, 0, 0)), "m.html", original_ref=place)

        assert reply.json["name"] == "m.png"
        image = opened((at.root / "input/m.png").read_bytes())
        assert (image.format, image.getchannel("A").getextrema()) == ("PNG", (0, 0))


def test_a_mask_without_transparency_covers_nothing(at: Site) -> None:
    original(at)

    name = at.upload("/upload/mask", picture(), original_ref=reference("original.png")).json["name"]

    alpha = opened((at.root / "input" / name).read_bytes()).getchannel("A")
    assert alpha.getextrema() == (255, 255)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (None, 400),
        ("", 400),
        ("original.png", 400),
        ("[]", 400),
        ("null", 400),
        ("{}", 400),
        ("[" * 5000, 400),
        ('{"filename": 3}', 400),
        ('{"filename": "original.png", "type": "models"}', 400),
        ('{"filename": "original.png", "subfolder": []}', 400),
        ('{"filename": "\\ud800"}', 400),
        ('{"filename": "../input/original.png"}', 400),
        ('{"filename": "original.png", "subfolder": "../output"}', 403),
        ('{"filename": "missing.png"}', 404),
        ('{"filename": "original.png", "type": "input"}', 404),
        ('{"filename": "text.png"}', 400),
    ],
)
def test_a_bad_original_is_an_error_and_writes_nothing(
    at: Site, given: str | None, status: int
) -> None:
    original(at)
    (at.root / "output/text.png").write_text("text")
    fields = {} if given is None else {"original_ref": given}

    reply = at.upload("/upload/mask", picture(color=(1, 2, 3, 4)), **fields)

    assert reply.status == status, reply
    assert stored(at) == ["output/original.png", "output/text.png"]


def test_a_mask_of_another_size_is_an_error(at: Site) -> None:
    original(at)

    reply = at.upload(
        "/upload/mask", picture(size=(20, 20)), original_ref=reference("original.png")
    )

    assert reply.status == 400
    assert "20x20 pixels over 16x12" in reply.error


def test_a_turned_photograph_gets_its_mask_as_it_is_seen(at: Site) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    original(at, "turned.jpg", exif=exif)

    reply = at.upload("/upload/mask", picture(size=(12, 16)), original_ref=reference("turned.jpg"))

    assert reply.status == 200
    assert opened((at.root / "input/x.png").read_bytes()).size == (12, 16)


@pytest.mark.parametrize(("mode", "value"), [("I;16", 32768), ("I", 32768), ("F", 0.5)])
def test_a_deep_greyscale_keeps_its_greys(at: Site, mode: str, value: float) -> None:
    (at.root / "output").mkdir(parents=True, exist_ok=True)
    Image.new(mode, (16, 12), value).save(at.root / "output/depth.tiff")

    reply = at.upload(
        "/upload/mask", picture(color=(0, 0, 0, 9)), original_ref=reference("depth.tiff")
    )

    assert reply.status == 200, reply
    image = opened((at.root / "input/x.png").read_bytes())
    assert image.getpixel((3, 3)) == (128, 128, 128, 9)
