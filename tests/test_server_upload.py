"""POST /upload/image and /upload/mask, through a real socket."""

from __future__ import annotations

import io
import json
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from server_parts import HOSTILE, Reply, Site, bomb, files_under, form, opened, picture, site

LIMIT = 400_000
HTML = b"<!doctype html><script>alert(1)</script>"


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, max_upload_bytes=LIMIT) as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """For what leaves nothing behind."""
    with site(tmp_path_factory.mktemp("upload"), max_upload_bytes=LIMIT) as running:
        yield running


def stored(at: Site) -> list[str]:
    """All files in the three folders."""
    return [
        f"{place}/{name}"
        for place in ("input", "output", "temp")
        for name in files_under(at.root / place)
    ]


def refused(reply: Reply, at: Site, status: int = 400) -> str:
    """The error of a refusal that left nothing behind."""
    assert reply.status == status, reply
    assert stored(at) == []
    return reply.error


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


@pytest.mark.parametrize(
    ("file", "filename", "fields", "error"),
    [
        (None, "", {}, "There is no image"),
        (None, "", {"image": "text"}, "image is not a file"),
        (picture(), "", {}, "image is not a file"),
        (picture(), "x.png", {"type": "models"}, "type is wrong"),
        (picture(), "x.png", {"type": "../input"}, "type is wrong"),
        (picture(), "x.png", {f"f{n}": "" for n in range(40)}, "too many parts"),
    ],
)
def test_incomplete_forms_are_refused(
    shared: Site, file: bytes | None, filename: str, fields: dict[str, str], error: str
) -> None:
    assert error in refused(shared.upload("/upload/image", file, filename, **fields), shared)


def test_a_second_picture_in_the_form_is_refused(shared: Site) -> None:
    body, kind = form(picture())
    twice = body.removesuffix(b"--edge--\r\n") + body

    reply = shared.ask("POST", "/upload/image", twice, {"Content-Type": kind})

    assert "more than one image" in refused(reply, shared)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (None, b""),
        ("application/json", b"{}"),
        ("application/x-www-form-urlencoded", b"image=x"),
        ("multipart/form-data", b"--edge--\r\n"),
        ("multipart/form-data; boundary=", b"--\r\n"),
        (f"multipart/form-data; boundary={'x' * 99}", b""),
        ("multipart/form-data; boundary=edge", b""),
        ("multipart/form-data; boundary=edge", b"no edge at all"),
        ("multipart/form-data; boundary=edge", b"--edge"),
        ("multipart/form-data; boundary=edge", b"--edge\r\n\r\nx\r\n--edge--\r\n"),
        ("multipart/form-data; boundary=edge", b"--edge\r\nbroken\r\n\r\nx\r\n--edge--\r\n"),
        ("multipart/form-data; boundary=edge", form(picture())[0][:-60]),
        ("multipart/form-data; boundary=edge", form(picture())[0][:100]),
        (
            "multipart/form-data; boundary=edge",
            b'--edge\r\nContent-Disposition: form-data; name="a"\r\n'
            b"Content-Type: multipart/mixed; boundary=in\r\n\r\n--in--\r\n--edge--\r\n",
        ),
        (
            "multipart/form-data; boundary=edge",
            b'--edge\r\nContent-Disposition: form-data; name="type"\r\n\r\n\xff\r\n--edge--\r\n',
        ),
        (
            "multipart/form-data; boundary=edge",
            b"--edge\r\nContent-Disposition: ;;==\r\n\r\nx\r\n--edge--\r\n",
        ),
        (
            "multipart/form-data; boundary=edge",
            b'--edge\r\nContent-Disposition: form-data; name="_charset_"\r\n\r\n'
            + b"x" * 99
            + b"\r\n--edge--\r\n",
        ),
        (
            "multipart/form-data; boundary=edge",
            b"--edge\r\n" + b"A: " + b"x" * 20_000 + b"\r\n\r\nx\r\n--edge--\r\n",
        ),
        (
            "multipart/form-data; boundary=edge",
            b"--edge\r\n" + b"A: x\r\n" * 500 + b"\r\nx\r\n--edge--\r\n",
        ),
    ],
)
@pytest.mark.parametrize("path", ["/upload/image", "/upload/mask"])
def test_what_is_no_form_is_refused(shared: Site, path: str, kind: str | None, body: bytes) -> None:
    headers = {} if kind is None else {"Content-Type": kind}

    refused(shared.ask("POST", path, body, headers), shared)


def test_a_body_that_is_packed_wrongly_is_refused(shared: Site) -> None:
    request = (
        b"POST /upload/image HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: multipart/form-data; boundary=edge\r\n\r\n5\r\n--edg\r\nwrong"
    )
    with socket.create_connection(("127.0.0.1", shared.port), timeout=30) as connection:
        connection.sendall(request)
        head = connection.recv(4096)

    assert b" 400 " in head.partition(b"\r\n")[0]
    assert stored(shared) == []


# -- how much ------------------------------------------------------------------------------------


def test_as_many_bytes_as_are_allowed_are_taken_and_no_more(at: Site) -> None:
    padding = LIMIT - len(picture())

    assert at.upload("/upload/image", picture() + bytes(padding + 1)).status == 413
    assert stored(at) == []
    assert at.upload("/upload/image", picture() + bytes(padding)).status == 200


def test_an_upload_that_says_that_it_is_too_long_is_refused_at_once(shared: Site) -> None:
    request = (
        b"POST /upload/image HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n"
        b"Content-Type: multipart/form-data; boundary=edge\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", shared.port), timeout=30) as connection:
        connection.sendall(request)
        head = connection.recv(4096)

    assert head.startswith(b"HTTP/1.1 413")


def test_an_endless_upload_is_cut_off(shared: Site) -> None:
    body, kind = form(picture())
    head = (
        f"POST /upload/image HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        f"Content-Type: {kind}\r\n\r\n"
    ).encode()
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    start = body[: body.index(picture())]
    with socket.create_connection(("127.0.0.1", shared.port), timeout=30) as connection:
        connection.sendall(head + f"{len(start):x}\r\n".encode() + start + b"\r\n")
        for _ in range(LIMIT // 0x10000 + 6):
            connection.sendall(chunk)
        answer = connection.recv(4096)

    assert answer.startswith(b"HTTP/1.1 413")
    assert stored(shared) == []


def test_a_field_is_no_place_for_a_file(shared: Site) -> None:
    reply = shared.upload("/upload/image", picture(), subfolder="x" * 70_000)

    refused(reply, shared, 413)


def unnamed_files(folder: Path) -> list[str]:
    """Files of this process that are open in a folder and have no name."""
    found: list[str] = []
    for link in Path("/proc/self/fd").glob("*"):
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target.startswith(str(folder)) and target.endswith("(deleted)"):
            found.append(target)
    return found


@pytest.mark.parametrize("length", [40, 120, 200, 100_000])
def test_a_dropped_upload_leaves_nothing(shared: Site, length: int) -> None:
    noise = Image.effect_noise((400, 400), 90)
    out = io.BytesIO()
    noise.save(out, "PNG")
    body, kind = form(out.getvalue())
    head = (
        f"POST /upload/image HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: {kind}\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", shared.port), timeout=30) as connection:
        connection.sendall(head + body[:length])
        deadline = time.monotonic() + 30
        while Path("/proc/self/fd").exists() and not unnamed_files(shared.root):
            assert time.monotonic() < deadline
            time.sleep(0.005)

    while unnamed_files(shared.root):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert stored(shared) == []


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


# -- masks ---------------------------------------------------------------------------------------


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
