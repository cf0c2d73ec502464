"""What is said of a file that is sent."""

from email.message import Message
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_parts import picture

from nodegraph.server.sending import disposition, document_media, picture_media, sniffed


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "AVIF"])
def test_pictures_that_browsers_show_are_known_by_their_bytes(format: str) -> None:
    assert sniffed(picture(format)[:64]) == f"image/{format.lower()}"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<!doctype html><script>alert(1)</script>",
        b"%PDF-1.7",
        b"\x89PNG\r\n\x1a\n<script>",
        b"BM<script>alert(1)</script>",
        b"RIFF....<script>",
        b"GIF8<script>",
        b"\0\0\0\x20ftypmp42avif",
        picture("TIFF"),
        picture("ICO"),
    ],
)
def test_nothing_else_counts_as_a_picture(content: bytes) -> None:
    assert sniffed(content[:64]) is None


def test_a_picture_is_shown_only_under_a_name_of_a_picture(tmp_path: Path) -> None:
    for name in ("x.png", "x.PNG", "x.jpg", "x.html", "x.svg", "x"):
        (tmp_path / name).write_bytes(picture())

    shown = {path.name: picture_media(path) for path in tmp_path.iterdir()}

    assert shown == {
        "x.png": "image/png",
        "x.PNG": "image/png",
        "x.jpg": "image/png",  # as it is, and not as it is called
        "x.html": None,
        "x.svg": None,
        "x": None,
    }


def test_of_documents_json_and_plain_text_are_shown() -> None:
    assert document_media("a/b.JSON") == "application/json"
    assert document_media("b.txt") == "text/plain; charset=utf-8"
    for name in ("a.html", "a.svg", "a.xml", "a.js", "a.css", "a.md", "json", "a.json.html"):
        assert document_media(name) is None


def test_a_plain_name_is_told_plainly() -> None:
    assert disposition("inline", "a b.png") == 'inline; filename="a b.png"'


def test_other_names_are_told_twice() -> None:
    assert (
        disposition("attachment", 'ü"\\.png')
        == "attachment; filename=\"___.png\"; filename*=UTF-8''%C3%BC%22%5C.png"
    )


@given(st.text())
def test_whatever_the_name_the_header_is_one_line_and_gives_it_back(name: str) -> None:
    header = disposition("attachment", name)

    assert header.isascii()
    assert header.isprintable()
    message = Message()
    message["Content-Disposition"] = header
    assert message.get_content_disposition() == "attachment"
    *_, encoded = header.rpartition("UTF-8''")
    whole = unquote(encoded) if "UTF-8''" in header else header.partition('"')[2][:-1]
    assert whole == name.encode(errors="replace").decode()
