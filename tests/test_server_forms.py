"""Forms that are broken, cut off or too large, through a real socket."""

from __future__ import annotations

import io
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from server_parts import Site, form, picture, refused, site, stored

LIMIT = 400_000


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """For what leaves nothing behind."""
    with site(tmp_path_factory.mktemp("forms"), max_upload_bytes=LIMIT) as running:
        yield running


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


EDGE = "multipart/form-data; boundary=edge"
NO_FORMS: dict[str, tuple[str | None, bytes]] = {
    "no type": (None, b""),
    "JSON": ("application/json", b"{}"),
    "a form of another kind": ("application/x-www-form-urlencoded", b"image=x"),
    "no boundary": ("multipart/form-data", b"--edge--\r\n"),
    "an empty boundary": ("multipart/form-data; boundary=", b"--\r\n"),
    "a long boundary": (f"multipart/form-data; boundary={'x' * 99}", b""),
    "nothing": (EDGE, b""),
    "no part": (EDGE, b"--edge--\r\n"),
    "no edge": (EDGE, b"no edge at all"),
    "half an edge": (EDGE, b"--edge"),
    "no headers": (EDGE, b"--edge\r\n\r\nx\r\n--edge--\r\n"),
    "a broken header": (EDGE, b"--edge\r\nbroken\r\n\r\nx\r\n--edge--\r\n"),
    "a broken name": (EDGE, b"--edge\r\nContent-Disposition: ;;==\r\n\r\nx\r\n--edge--\r\n"),
    "a long header": (EDGE, b"--edge\r\nA: " + b"x" * 20_000 + b"\r\n\r\nx\r\n--edge--\r\n"),
    "many headers": (EDGE, b"--edge\r\n" + b"A: x\r\n" * 500 + b"\r\nx\r\n--edge--\r\n"),
    "no end": (EDGE, form(picture())[0][:-60]),
    "no middle": (EDGE, form(picture())[0][:100]),
    "another form": (
        EDGE,
        form(None, a="x")[0].replace(b"\r\n\r\nx", b"\r\nContent-Type: multipart/mixed\r\n\r\nx"),
    ),
    "no text": (EDGE, form(None, type="x")[0].replace(b"\r\nx\r\n", b"\r\n\xff\r\n")),
    "a long charset": (EDGE, form(None, _charset_="x" * 99)[0]),
}


@pytest.mark.parametrize("which", NO_FORMS)
@pytest.mark.parametrize("path", ["/upload/image", "/upload/mask"])
def test_what_is_no_form_is_refused(shared: Site, path: str, which: str) -> None:
    kind, body = NO_FORMS[which]
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


def test_as_many_bytes_as_are_allowed_are_taken_and_no_more(tmp_path: Path) -> None:
    padding = LIMIT - len(picture())

    with site(tmp_path, max_upload_bytes=LIMIT) as at:
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
