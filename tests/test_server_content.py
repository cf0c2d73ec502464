"""Pages and programs that somebody stored on the server: no browser runs them from there."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import pytest
from PIL import Image
from server_parts import form
from server_process import Answer, ServerProcess, serving
from server_routes import PLACES
from server_wire import HOST, assert_calm, assert_safe, exchange

SCRIPT = b"<script>alert(document.domain)</script>"
ACTIVE = {
    "page.html": b"<!doctype html><html>" + SCRIPT,
    "page.htm": b"<html>" + SCRIPT,
    "page.xhtml": b'<html xmlns="http://www.w3.org/1999/xhtml"><script>alert(1)</script></html>',
    "page.xml": b'<?xml version="1.0"?><x:script xmlns:x="http://www.w3.org/1999/xhtml">alert(1)'
    b"</x:script>",
    "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)">'
    b"<script>alert(1)</script></svg>",
    "drawing.svgz": b"\x1f\x8b\x08\x00" + b"\0" * 20,
    "program.js": b"alert(1)",
    "program.mjs": b"export default alert(1)",
    "style.css": b"@import url(http://evil.example/)",
    "paper.pdf": b"%PDF-1.4\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj",
    "film.swf": b"CWS\x0a",
    "mail.mht": b"MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n" + SCRIPT,
    "module.wasm": b"\0asm\1\0\0\0",
    "app.webmanifest": b"{}",
    "none": b"<html>" + SCRIPT,
    ".html": b"<html>" + SCRIPT,
    "text.txt": b"<html>" + SCRIPT,
    "data.json": b'"<script>alert(1)</script>"',
    "bytes.png": b"<html>" + SCRIPT,
    "bytes.jpg": b"\xff\xd8" + SCRIPT,
    "bytes.gif": b"GIF88a" + SCRIPT,
    "bytes.webp": b"RIFF\0\0\0\0WEBX" + SCRIPT,
    "bytes.bmp": b"BM" + SCRIPT,
    "double.png.html": b"\x89PNG\r\n\x1a\n" + SCRIPT,
    "polyglot.gif": b"GIF89a/*" + bytes(20) + b"*/=1;alert(1)",
}
SEEN = re.compile(r"image/(png|jpeg|gif|webp|bmp|avif)|text/plain|application/(json|octet-stream)")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("content")
    for place in ("output", "input", "temp"):
        (folder / place).mkdir()
        for name, content in ACTIVE.items():
            (folder / place / name).write_bytes(content)
    (folder / "output/polyglot.html").write_bytes(polyglot())
    (folder / "output/polyglot.png").write_bytes(polyglot())
    with serving(folder) as server:
        yield server
        assert_calm(server)


def polyglot() -> bytes:
    """A PNG with a page in it."""
    from PIL.PngImagePlugin import PngInfo

    file, info = io.BytesIO(), PngInfo()
    info.add_text("Comment", "<html>" + SCRIPT.decode())
    Image.new("RGB", (2, 2)).save(file, "PNG", pnginfo=info)
    return file.getvalue()


def assert_harmless(answer: Answer) -> None:
    """It is a picture, or plain text, or is saved; and whatever it is, it runs nothing."""
    assert_safe(answer)
    if answer.status >= 400:
        return
    headers = {name.lower(): value for name, value in answer.headers.items()}
    media = headers["content-type"].partition(";")[0]
    assert SEEN.fullmatch(media), answer
    inline = not headers["content-disposition"].startswith("attachment")
    assert not inline or media != "application/octet-stream", answer
    policy = {part.strip() for part in headers["content-security-policy"].split(";")}
    assert {"default-src 'none'", "sandbox"} <= policy, answer
    assert not any(part.startswith(("script-src", "object-src")) for part in policy), answer


@pytest.mark.parametrize("place", ["output", "input", "temp"])
@pytest.mark.parametrize("more", ["", "&preview=webp", "&channel=rgb", "&preview=jpeg;1&channel=a"])
def test_what_lies_in_a_folder_is_harmless(server: ServerProcess, place: str, more: str) -> None:
    for name, content in ACTIVE.items():
        answer = server.request("GET", f"/view?filename={name}&type={place}{more}")

        assert_harmless(answer)
        inline = not answer.headers.get("Content-Disposition", "").startswith("attachment")
        if more == "" and answer.status == 200 and inline:
            assert name in ("polyglot.gif",), (name, content, answer)


def test_a_picture_with_a_page_in_it_is_a_picture(server: ServerProcess) -> None:
    shown = server.request("GET", "/view?filename=polyglot.png")
    saved = server.request("GET", "/view?filename=polyglot.html")

    assert_harmless(shown)
    assert shown.headers["Content-Type"] == "image/png"
    assert_harmless(saved)
    assert saved.headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize("name", ACTIVE)
def test_what_a_user_stores_is_harmless(server: ServerProcess, name: str) -> None:
    server.request("POST", f"/userdata/{name}", ACTIVE[name])

    answer = server.request("GET", f"/userdata/{name}")

    assert_harmless(answer)
    if answer.status == 200:
        assert answer.body == ACTIVE[name]


@pytest.mark.parametrize("name", ACTIVE)
def test_what_is_no_picture_is_not_taken_as_one(server: ServerProcess, name: str) -> None:
    body, kind = form(ACTIVE[name], name)

    answer = server.request("POST", "/upload/image", body, {"Content-Type": kind})

    assert_safe(answer, status=400)


@pytest.mark.parametrize("name", ["x.html", "x.svg", "x.js", "x.png.html", "x", "x.php", "x.shtml"])
def test_an_uploaded_picture_has_the_name_of_a_picture(server: ServerProcess, name: str) -> None:
    body, kind = form(polyglot(), name)

    told = server.request("POST", "/upload/image", body, {"Content-Type": kind}).json

    assert told["name"].endswith(".png")
    answer = server.request("GET", f"/view?filename={told['name']}&type=input")
    assert_harmless(answer)
    assert answer.headers["Content-Type"] == "image/png"


def test_an_uploaded_page_cannot_say_that_it_is_a_picture(server: ServerProcess) -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="x.png"\r\n'
        b"Content-Type: image/png\r\n\r\n<html>" + SCRIPT + b"\r\n--b--\r\n"
    )
    kind = {"Content-Type": "multipart/form-data; boundary=b"}

    assert_safe(server.request("POST", "/upload/image", body, kind), status=400)


# -- every route ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), PLACES)
def test_every_answer_of_every_route_says_what_a_browser_may_do(
    server: ServerProcess, method: str, path: str
) -> None:
    for asked in (path, f"{path}?preview=nothing&limit=x", f"{path}/no/such"):
        for body in (None, b"{", b"[]"):
            assert_safe(server.request(method, asked, body))
    for other in ("HEAD", "OPTIONS", "PUT", "PATCH"):
        assert_safe(server.request(other, path))
    for plain in (path, path.removeprefix("/api")):
        for name in ("Range: bytes=0-0", "If-None-Match: *", "Accept: text/html", "Host: evil.com"):
            target = f"GET {plain or '/'} HTTP/1.1\r\n".encode()
            host = b"" if name.startswith("Host") else HOST
            answer, *_ = exchange(server, target + host + name.encode() + b"\r\n\r\n")
            assert_safe(answer)


def test_the_page_of_the_server_runs_its_own_scripts_alone(server: ServerProcess) -> None:
    policy = server.request("GET", "/").headers["Content-Security-Policy"]

    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
