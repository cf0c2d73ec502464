"""POST /upload/image: what is stored, and what is not, through a real socket."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from PIL import Image
from server_parts import HOSTILE, Site, bomb, files_under, opened, picture, refused, site, stored

HTML = b"<!doctype html><script>alert(1)</script>"


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """For what leaves nothing behind."""
    with site(tmp_path_factory.mktemp("upload")) as running:
        yield running


# -- what is stored ------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_a_picture_goes_to_the_input_folder_byte_for_byte(at: Site, prefix: str) -> None:
    reply = at.upload(f"{prefix}/upload/image", picture())

    assert reply.json == {"name": "x.png", "subfolder": "", "type": "input"}
    assert (at.root / "input/x.png").read_bytes() == picture()
    assert stored(at) == ["input/x.png"]
    assert at.get("/view?filename=x.png&type=input").body == picture()


def test_it_may_go_elsewhere(at: Site) -> None:
    reply = at.upload("/upload/image", picture(), type="temp", subfolder="clip\\space/")

    assert reply.json == {"name": "x.png", "subfolder": "clip/space", "type": "temp"}
    assert stored(at) == ["temp/clip/space/x.png"]


def test_the_same_name_is_shared_by_the_same_bytes_only(at: Site) -> None:
    red, blue = picture(color=(255, 0, 0)), picture(color=(0, 0, 255))

    names = [
        at.upload("/upload/image", data).json["name"] for data in (red, blue, red, blue, picture())
    ]

    assert names == ["x.png", "x (1).png", "x.png", "x (1).png", "x (2).png"]
    assert (at.root / "input/x.png").read_bytes() == red
    assert (at.root / "input/x (1).png").read_bytes() == blue


@pytest.mark.parametrize(("yes", "names"), [("true", 1), ("1", 1), ("false", 2), ("", 2)])
def test_overwrite_replaces(at: Site, yes: str, names: int) -> None:
    at.upload("/upload/image", picture(color=(255, 0, 0)))
    reply = at.upload("/upload/image", picture(), overwrite=yes)

    assert len(stored(at)) == names
    assert (at.root / "input" / reply.json["name"]).read_bytes() == picture()


@pytest.mark.parametrize(
    ("given", "format", "name"),
    [
        ("evil.html", "PNG", "evil.png"),
        ("evil.svg", "PNG", "evil.png"),
        ("evil.png", "JPEG", "evil.jpg"),
        ("photo.JPEG", "JPEG", "photo.JPEG"),
        ("scan.tif", "TIFF", "scan.tif"),
        ("anim.apng", "PNG", "anim.apng"),
        ("no suffix", "WEBP", "no suffix.webp"),
        ("a.tar.gz", "GIF", "a.tar.gif"),
        (".hidden.png", "PNG", "_.hidden.png"),
        ("CON.png", "PNG", "_CON.png"),
        ("what?.png", "PNG", "what_.png"),
        ("ünï 画像 \N{GRINNING FACE}.png", "PNG", "ünï 画像 \N{GRINNING FACE}.png"),
        ("x" * 300 + ".png", "PNG", "x" * 196 + ".png"),
    ],
)
def test_the_name_is_made_usable_and_tells_the_format(
    at: Site, given: str, format: str, name: str
) -> None:
    reply = at.upload("/upload/image", picture(format), given)

    assert reply.json["name"] == name
    assert stored(at) == [f"input/{name}"]


@pytest.mark.parametrize(
    "format", ["BMP", "GIF", "ICO", "JPEG2000", "PPM", "TGA", "TIFF", "WEBP", "AVIF", "QOI"]
)
def test_formats_that_nodes_can_load_are_taken(at: Site, format: str) -> None:
    reply = at.upload("/upload/image", picture(format, size=(16, 16)), "x.bin")

    assert reply.status == 200
    assert opened((at.root / "input" / reply.json["name"]).read_bytes()).format == format


def test_an_animation_is_taken_whole(at: Site) -> None:
    frames = [Image.new("RGB", (9, 9), (shade, 0, 0)) for shade in (10, 120, 250)]
    for format in ("GIF", "WEBP", "PNG"):
        out = io.BytesIO()
        frames[0].save(out, format, save_all=True, append_images=frames[1:])

        reply = at.upload("/upload/image", out.getvalue(), f"{format}.x")

        assert (at.root / "input" / reply.json["name"]).read_bytes() == out.getvalue()


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "not a picture"),
        (HTML, "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (b"%PDF-1.7", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "not a picture"),
        (picture()[:30], "not a picture"),
        (picture(size=(200, 200))[:60], "damaged or cut short"),
        (picture(size=(200, 200))[:-40], "damaged or cut short"),
        (picture("JPEG", size=(200, 200))[:500], "damaged or cut short"),
        (bomb(), "too many pixels"),
    ],
)
def test_what_is_no_whole_picture_is_refused(shared: Site, content: bytes, error: str) -> None:
    assert error in refused(shared.upload("/upload/image", content), shared)


def test_an_animation_that_is_cut_short_is_refused(shared: Site) -> None:
    noise = [Image.effect_noise((64, 64), 90) for _ in range(3)]
    out = io.BytesIO()
    noise[0].save(out, "GIF", save_all=True, append_images=noise[1:])

    reply = shared.upload("/upload/image", out.getvalue()[:-3000])

    assert "damaged or cut short" in refused(reply, shared)


def test_a_page_hidden_in_a_picture_can_only_be_a_picture(at: Site) -> None:
    name = at.upload("/upload/image", picture() + HTML, "both.html").json["name"]

    reply = at.get(f"/view?filename={name}&type=input")

    assert name == "both.png"
    assert reply.headers["content-type"] == "image/png"


@pytest.mark.parametrize("name", [*HOSTILE, ".hidden", "a/.hidden", "a/" * 17])
def test_hostile_subfolders_are_refused(shared: Site, name: str) -> None:
    if "\r" in name:  # nothing can be sent like that in a header, but a field is only text
        assert shared.upload("/upload/image", picture(), subfolder=name).status == 400
    error = refused(shared.upload("/upload/image", picture(), subfolder=name), shared)
    assert "subfolder" in error


@pytest.mark.parametrize(
    "name", ["../x.png", "a/x.png", "..", "a/../../x.png", "%2e%2e/x.png", "C:/x.png"]
)
def test_filenames_with_folders_in_them_are_refused(shared: Site, name: str) -> None:
    assert "filename" in refused(shared.upload("/upload/image", picture(), name), shared)


@pytest.mark.parametrize(
    "name", [name for name in HOSTILE if "\r" not in name and "\0" not in name]
)
def test_hostile_filenames_stay_in_the_folder_or_are_refused(at: Site, name: str) -> None:
    reply = at.upload("/upload/image", picture(), name)

    if reply.status == 200:
        assert stored(at) == [f"input/{reply.json['name']}"]
        assert at.get("/internal/files/input").json == [reply.json["name"]]
    else:
        refused(reply, at)


def test_a_subfolder_that_is_a_link_out_is_refused(at: Site) -> None:
    (at.root / "input").mkdir()
    (at.root / "elsewhere").mkdir()
    (at.root / "input/link").symlink_to(at.root / "elsewhere")

    for subfolder in ("link", "link/deeper"):
        assert at.upload("/upload/image", picture(), subfolder=subfolder).status == 400
    assert files_under(at.root / "elsewhere") == []


def test_a_file_where_the_subfolder_should_be_is_told(at: Site) -> None:
    at.upload("/upload/image", picture())

    for subfolder in ("x.png", "x.png/y"):
        assert at.upload("/upload/image", picture(), subfolder=subfolder).status == 400


def test_a_full_disk_is_told_and_leaves_nothing(
    shared: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    reply = shared.upload("/upload/image", picture())

    assert "No space left on device" in refused(reply, shared, 507)


def test_many_uploads_of_one_name_at_once_lose_nothing(at: Site) -> None:
    count = 10
    sent = [picture(color=(shade * 20, 0, 0), size=(200, 200)) for shade in range(count)]
    barrier = Barrier(count)

    def send(data: bytes) -> str:
        barrier.wait()
        return at.upload("/upload/image", data).json["name"]

    with ThreadPoolExecutor(count) as pool:
        names = list(pool.map(send, sent))

    assert len(set(names)) == count
    for name, data in zip(names, sent, strict=True):
        assert (at.root / "input" / name).read_bytes() == data
    assert len(stored(at)) == count
