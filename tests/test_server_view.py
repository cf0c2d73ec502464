"""GET /view, through a real socket."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image
from server_parts import HOSTILE, Site, bomb, opened, picture, site

HTML = b"<!doctype html><script>alert(document.domain)</script>"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("view")
    (root / "secret.txt").write_text("secret")
    with site(root) as running:
        yield running


def put(at: Site, name: str, content: bytes, place: str = "output") -> Path:
    path = at.root / place / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_a_picture_comes_as_it_is(at: Site, prefix: str) -> None:
    put(at, "plain.png", picture())

    reply = at.get(f"{prefix}/view?filename=plain.png")

    assert (reply.status, reply.body) == (200, picture())
    assert reply.headers["content-type"] == "image/png"
    assert reply.headers["content-disposition"] == 'inline; filename="plain.png"'
    assert "sandbox" in reply.headers["content-security-policy"]


@pytest.mark.parametrize(
    "query",
    [
        "filename=x.png&type=temp&subfolder=a/b",
        "filename=x.png&type=temp&subfolder=a%5Cb%5C",
        "filename=a/b/x.png&type=temp",
        "filename=b/x.png&type=temp&subfolder=a/",
        "filename=x.png%20[temp]&subfolder=a/b",
        "filename=a/b/x.png[temp]&type=output&subfolder=.",
    ],
)
def test_the_folder_may_be_said_in_several_ways(at: Site, query: str) -> None:
    put(at, "a/b/x.png", picture(), "temp")

    assert at.get(f"/view?{query}").status == 200


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("filename=", 400),
        ("filename=%20[output]", 404),
        ("filename=plain.png&type=models", 400),
        ("filename=plain.png&type=OUTPUT", 400),
        ("filename=plain.png&channel=g", 400),
        ("filename=plain.png&preview=png;90", 400),
        ("filename=plain.png&preview=webp;101", 400),
        ("filename=plain.png&preview=webp;9%0a", 400),
        ("filename=plain.png&size=0", 400),
        ("filename=plain.png&size=small", 400),
        ("filename=missing.png", 404),
        ("filename=plain.png&subfolder=elsewhere", 404),
        ("filename=plain.png&type=input", 404),
        ("filename=plain.png/x", 404),
        ("filename=plain.png&subfolder=..", 403),
        ("filename=plain.png&subfolder=/", 403),
        ("filename=secret.txt&subfolder=../", 403),
        ("filename=secret.txt&subfolder=a/../..", 403),
        ("filename=plain.png&subfolder=a%00", 403),
    ],
)
def test_what_is_wrong_has_its_status(at: Site, query: str, status: int) -> None:
    put(at, "plain.png", picture())

    assert at.get(f"/view?{query}").status == status


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_refused(at: Site, name: str) -> None:
    escaped = quote(name, safe="")

    assert at.get(f"/view?filename={escaped}").status in (400, 404)
    assert at.get(f"/view?filename=secret.txt&subfolder={escaped}").status in (403, 404)
    assert at.get(f"/view?filename={quote(escaped, safe='')}").status in (400, 404)


def test_hidden_files_are_not_there(at: Site) -> None:
    put(at, ".hidden.png", picture())
    put(at, ".git/x.png", picture())

    for query in ("filename=.hidden.png", "filename=.git/x.png", "filename=x.png&subfolder=.git"):
        assert at.get(f"/view?{query}").status == 404


def test_links_that_leave_the_folder_are_refused_and_others_followed(at: Site) -> None:
    put(at, "real.png", picture())
    output = at.root / "output"
    (output / "out.txt").symlink_to(at.root / "secret.txt")
    (output / "up").symlink_to(at.root)
    (output / "in.png").symlink_to(output / "real.png")
    (output / "loop.png").symlink_to(output / "loop.png")

    assert at.get("/view?filename=out.txt").status == 403
    assert at.get("/view?filename=up/secret.txt").status == 403
    assert at.get("/view?filename=secret.txt&subfolder=up").status == 403
    assert at.get("/view?filename=in.png").status == 200
    assert at.get("/view?filename=loop.png").status == 404


def test_what_is_no_file_is_not_there(at: Site) -> None:
    put(at, "sub/x.png", picture())
    assert at.get("/view?filename=sub").status == 404

    if hasattr(os, "mkfifo"):
        os.mkfifo(at.root / "output/pipe")
        assert at.get("/view?filename=pipe").status == 404


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.svg", SVG),
        ("a.html", HTML),
        ("a.xhtml", HTML),
        ("a.js", b"alert(1)"),
        ("a.css", b"*{}"),
        ("a.xml", b"<?xml version='1.0'?><x/>"),
        ("a.pdf", b"%PDF-1.7"),
        ("a.txt", b"text"),
        ("a.png", HTML),
        ("b.png", SVG),
        ("c.png", b""),
        ("a", picture()),
        ("picture.html", picture() + HTML),
        ("picture.svg", picture()),
    ],
)
def test_active_content_is_only_ever_saved(at: Site, name: str, content: bytes) -> None:
    put(at, f"active/{name}", content)

    reply = at.get(f"/view?filename={name}&subfolder=active")

    assert (reply.status, reply.body) == (200, content)
    assert reply.headers["content-type"] == "application/octet-stream"
    assert reply.headers["content-disposition"].startswith("attachment;")


def test_a_page_hidden_in_a_picture_is_shown_as_a_picture_and_as_nothing_else(at: Site) -> None:
    put(at, "both.png", picture() + HTML)

    reply = at.get("/view?filename=both.png")

    assert reply.headers["content-type"] == "image/png"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in reply.headers["content-security-policy"]


def test_a_name_cannot_put_headers_into_the_answer(at: Site) -> None:
    name = 'a"; filename="evil.html ünï.png'
    put(at, name, picture())

    reply = at.get(f"/view?filename={quote(name)}")

    assert reply.status == 200
    header = reply.headers["content-disposition"]
    assert re.fullmatch(r"inline; filename=\"[^\"]*\"; filename\*=UTF-8''[\w%.]+", header)


def test_a_compressed_file_beside_it_is_not_sent_instead(at: Site) -> None:
    put(at, "beside.png", picture())
    put(at, "beside.png.gz", HTML)
    put(at, "beside.png.br", HTML)

    reply = at.get("/view?filename=beside.png", Accept_Encoding="gzip, br")

    assert reply.body == picture()
    assert "content-encoding" not in reply.headers


def test_headers_that_are_no_text_do_no_harm(at: Site) -> None:
    put(at, "odd.png", picture())

    reply = at.ask(
        "GET", "/view?filename=odd.png", headers={"X-Odd": "\xff\xfe", "Referer": "\xe9"}
    )

    assert (reply.status, reply.body) == (200, picture())


def test_parts_of_a_file_can_be_asked_for(at: Site) -> None:
    put(at, "long.bin", bytes(range(200)))

    part = at.get("/view?filename=long.bin", Range="bytes=10-19")
    beyond = at.get("/view?filename=long.bin", Range="bytes=500-")

    assert (part.status, part.body) == (206, bytes(range(10, 20)))
    assert beyond.status == 416


def test_what_the_client_has_already_is_not_sent_again(at: Site) -> None:
    put(at, "known.png", picture())
    for day, query in enumerate(("filename=known.png", "filename=known.png&preview=webp;50")):
        tag = at.get(f"/view?{query}").headers["etag"]

        again = at.get(f"/view?{query}", If_None_Match=tag)
        os.utime(at.root / "output/known.png", (day * 86400, day * 86400))
        changed = at.get(f"/view?{query}", If_None_Match=tag)

        assert (again.status, again.body) == (304, b"")
        assert changed.status == 200


def test_a_file_that_is_another_by_now_is_not_sent_in_part(at: Site) -> None:
    put(at, "other.png", picture())

    assert at.get("/view?filename=other.png", If_Match='"of-yore"').status == 412


def test_only_the_headers_can_be_asked_for(at: Site) -> None:
    put(at, "head.png", picture())

    for query in ("filename=head.png", "filename=head.png&preview=jpeg"):
        reply = at.ask("HEAD", f"/view?{query}")

        assert (reply.status, reply.body) == (200, b"")
        assert int(reply.headers["content-length"]) > 50


@pytest.mark.parametrize(
    ("query", "media", "mode"),
    [
        ("preview=webp", "webp", "RGBA"),
        ("preview=webp;50", "webp", "RGBA"),
        ("preview=jpeg;50", "jpeg", "RGB"),
        ("preview=jpeg;50&channel=rgb", "jpeg", "RGB"),
        ("preview=jpeg&channel=rgba", "webp", "RGBA"),
        ("preview=webp&channel=rgb", "webp", "RGB"),
        ("channel=rgb", "png", "RGB"),
        ("channel=a", "png", "RGBA"),
        ("channel=rgba", "png", "RGBA"),
    ],
)
def test_a_picture_can_be_had_as_another(at: Site, query: str, media: str, mode: str) -> None:
    put(at, "clear.png", picture(color=(10, 200, 30, 128)))

    reply = at.get(f"/view?filename=clear.png&{query}")
    image = opened(reply.body)

    assert reply.headers["content-type"] == f"image/{media}"
    assert (image.format, image.mode, image.size) == (media.upper(), mode, (16, 12))
    assert reply.headers["content-disposition"].startswith('inline; filename="clear.')
    red, green, blue, *alpha = image.getpixel((5, 5))  # type: ignore[misc]
    if "channel=a" in query:
        assert (red, green, blue) == (0, 0, 0)
    else:
        assert max(abs(red - 10), abs(green - 200), abs(blue - 30)) < 12
    assert alpha == ([128] if mode == "RGBA" else [])


@pytest.mark.parametrize(
    ("query", "form", "size"),
    [
        ("size=30", "WEBP", (30, 15)),
        ("size=30&preview=jpeg;50", "JPEG", (30, 15)),
        ("size=30&channel=rgb", "WEBP", (30, 15)),
        ("size=500", "WEBP", (120, 60)),
        ("size=", "PNG", (120, 60)),
    ],
)
def test_a_picture_can_be_had_smaller_and_never_larger(
    at: Site, query: str, form: str, size: tuple[int, int]
) -> None:
    Image.new("RGB", (120, 60), "teal").save(at.root / "output" / "wide.png")

    image = opened(at.get(f"/view?filename=wide.png&{query}").body)

    assert (image.format, image.size) == (form, size)


def test_each_size_of_a_picture_is_known_for_itself(at: Site) -> None:
    Image.new("RGB", (120, 60), "teal").save(at.root / "output" / "sizes.png")
    small = at.get("/view?filename=sizes.png&size=30").headers["etag"]

    other = at.get("/view?filename=sizes.png&size=60", If_None_Match=small)
    same = at.get("/view?filename=sizes.png&size=30", If_None_Match=small)

    assert (other.status, same.status) == (200, 304)


def test_quality_makes_a_difference(at: Site) -> None:
    noise = Image.effect_noise((64, 64), 80)
    noise.save(at.root / "output" / "noise.png")

    sizes = [
        len(at.get(f"/view?filename=noise.png&preview=jpeg;{quality}").body)
        for quality in (10, 50, 95)
    ]

    assert sizes == sorted(set(sizes))


def test_a_turned_photograph_is_turned_in_its_preview(at: Site) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    put(at, "turned.jpg", picture("JPEG", exif=exif))

    assert opened(at.get("/view?filename=turned.jpg&preview=webp").body).size == (12, 16)


def test_a_picture_too_long_for_the_format_is_made_smaller(at: Site) -> None:
    Image.new("L", (20000, 2)).save(at.root / "output" / "long.png")

    assert opened(at.get("/view?filename=long.png&preview=webp").body).size == (16383, 2)


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("bomb.png", bomb(), "too many pixels"),
        ("cut.png", picture(size=(300, 300))[:-60], "damaged or cut short"),
        ("cut.jpg", picture("JPEG", size=(300, 300))[:400], "damaged or cut short"),
        ("page.png", HTML, "not a picture"),
        ("vector.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "not a picture"),
        ("empty.png", b"", "not a picture"),
    ],
)
@pytest.mark.parametrize("query", ["preview=webp;90", "channel=a"])
def test_what_cannot_be_decoded_is_a_clear_error(
    at: Site, name: str, content: bytes, error: str, query: str
) -> None:
    put(at, name, content)

    reply = at.get(f"/view?filename={name}&{query}")

    assert reply.status == 400
    assert error in reply.error


def test_a_picture_somewhat_over_the_limit_is_refused_wherever_warnings_go(
    at: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(at, "over.png", picture())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.setattr(Image, "_decompression_bomb_check", lambda size: None)

    reply = at.get("/view?filename=over.png&preview=webp")

    assert reply.status == 400
    assert "100" in reply.error


def test_a_deep_greyscale_is_shown_with_its_greys(at: Site) -> None:
    path = at.root / "output" / "depth.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("I;16", (16, 12), 32768).save(path)

    reply = at.get("/view?filename=depth.png&channel=rgb")

    assert opened(reply.body).getpixel((3, 3)) == (128, 128, 128)
