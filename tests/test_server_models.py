"""The routes that tell which models there are, through a real socket."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from server_parts import HOSTILE, Site, opened, picture, site

from nodegraph.folders import Folders
from nodegraph.model_paths import ExtraFolder


def safetensors(header: object) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text


FILES: dict[str, bytes] = {
    "models/checkpoints/a.safetensors": safetensors({"__metadata__": {"title": "A"}}),
    "models/checkpoints/sd/b.safetensors": safetensors({"__metadata__": {}}),
    "models/checkpoints/sd/b.png": picture(),
    "models/checkpoints/a.preview.jpg": picture("JPEG", color=(1, 200, 1)),
    "models/checkpoints/a.png": picture(color=(200, 1, 1)),
    "models/checkpoints/notes.txt": b"no model",
    "models/checkpoints/damaged.png": b"no picture",
    "models/checkpoints/plain.ckpt": b"pickled",
    "models/embeddings/deep/easy.neg.pt": b"",
    "models/embeddings/bad.safetensors": b"",
    "more/checkpoints/a.safetensors": safetensors({"__metadata__": {"title": "other"}}),
    "more/checkpoints/c.ckpt": b"xx",
    "special/odd.safetensors": safetensors({}),
    "secret.safetensors": safetensors({"__metadata__": {"secret": "1"}}),
    "secret.png": picture(),
}


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("models")
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    folders = Folders(
        (root / "models", root / "more"),
        *(root / place for place in ("input", "output", "temp")),
        extra=(ExtraFolder("special", root / "special"),),
    )
    with site(root, folders) as running:
        yield running


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_kinds_and_their_models_are_listed(at: Site, prefix: str) -> None:
    kinds = at.get(f"{prefix}/models").json

    assert {"checkpoints", "loras", "vae", "text_encoders", "special"} <= set(kinds)
    assert at.get(f"{prefix}/models/checkpoints").json == [
        "a.safetensors",
        "c.ckpt",
        "plain.ckpt",
        "sd/b.safetensors",
    ]
    assert at.get(f"{prefix}/models/loras").json == []
    assert at.get(f"{prefix}/models/clip").json == []  # the older name of text_encoders


def test_embeddings_are_listed_without_suffixes(at: Site) -> None:
    assert at.get("/embeddings").json == ["bad", "deep/easy.neg"]


@pytest.mark.parametrize("kind", ["nothing", "input", "output", "temp", "latents", "..", "%2e%2e"])
def test_what_is_no_kind_is_not_found(at: Site, kind: str) -> None:
    assert at.get(f"/models/{kind}").status == 404
    assert at.get(f"/experiment/models/{kind}").status == 404
    assert at.get(f"/view_metadata/{kind}?filename=a.safetensors").status == 404
    assert at.get(f"/experiment/models/preview/{kind}/0/a.png").status == 404


def test_folders_are_told_by_name_alone(at: Site) -> None:
    rows = {row["name"]: row["folders"] for row in at.get("/experiment/models").json}

    assert rows["checkpoints"] == ["checkpoints", "checkpoints"]
    assert set(rows["special"]) == {"special"}
    assert rows["text_encoders"] == ["text_encoders", "clip", "text_encoders", "clip"]
    assert not rows.keys() & {"configs", "custom_nodes"}
    assert at.get("/internal/folder_paths").json["checkpoints"] == ["checkpoints", "checkpoints"]


def test_files_are_told_with_their_folder_size_and_times(at: Site) -> None:
    os.utime(at.root / "models/checkpoints/sd/b.safetensors", (5, 1_234_567_890))

    rows = at.get("/experiment/models/checkpoints").json

    assert [(row["name"], row["pathIndex"]) for row in rows] == [
        ("a.safetensors", 0),
        ("a.safetensors", 1),
        ("c.ckpt", 1),
        ("plain.ckpt", 0),
        ("sd/b.safetensors", 0),
    ]
    assert rows[-1]["modified"] == 1_234_567_890
    assert rows[2]["size"] == 2


# -- metadata ------------------------------------------------------------------------------------


def test_a_file_tells_of_itself(at: Site) -> None:
    ask = "/view_metadata/checkpoints?filename="

    assert at.get(f"{ask}a.safetensors").json == {"title": "A"}
    assert at.get(f"{ask}sd/b.safetensors").json == {}
    assert at.get(f"{ask}sd%5Cb.safetensors").json == {}


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?filename=",
        "?filename=missing.safetensors",
        "?filename=c.ckpt",
        "?filename=sd",
        "?filename=notes.txt",
    ],
)
def test_what_tells_nothing_is_not_found(at: Site, query: str) -> None:
    assert at.get(f"/view_metadata/checkpoints{query}").status == 404


@pytest.mark.parametrize("name", [*HOSTILE, "../../secret.safetensors"])
def test_metadata_outside_the_folders_is_not_found(at: Site, name: str) -> None:
    once, twice = quote(name, safe=""), quote(quote(name, safe=""), safe="")

    assert at.get(f"/view_metadata/checkpoints?filename={once}").status == 404
    assert at.get(f"/view_metadata/checkpoints?filename={twice}").status == 404


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\1\0\0",
        struct.pack("<Q", 1 << 62),
        struct.pack("<Q", 1 << 20) + b"{}",
        safetensors(b"{]"),
        safetensors(b"\xff"),
        safetensors(b"[" * 100_000),
        safetensors([]),
        safetensors({"__metadata__": ["x"]}),
        safetensors(b'{"__metadata__": {"a": ' + b"[" * 500 + b"]" * 500 + b"}}"),
        safetensors(b'{"__metadata__": {"a": ' + b"9" * 5000 + b"}}"),
    ],
)
def test_damaged_files_tell_nothing(at: Site, content: bytes) -> None:
    (at.root / "models/checkpoints/zz.safetensors").write_bytes(content)

    assert at.get("/view_metadata/checkpoints?filename=zz.safetensors").status == 404
    (at.root / "models/checkpoints/zz.safetensors").unlink()


def test_numbers_that_json_lacks_are_null(at: Site) -> None:
    odd = safetensors(b'{"__metadata__": {"a": NaN, "b": [-Infinity]}}')
    (at.root / "models/loras").mkdir(exist_ok=True)
    (at.root / "models/loras/odd.safetensors").write_bytes(odd)

    found = at.get("/view_metadata/loras?filename=odd.safetensors").json

    assert found == {"a": None, "b": [None]}


# -- previews ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "color"),
    [
        ("a.safetensors", (1, 200, 1)),  # .preview goes before the picture itself
        ("a.webp", (1, 200, 1)),
        ("a", (1, 200, 1)),
        ("sd/b.safetensors", (200, 30, 60)),
        ("sd%2Fb.webp", (200, 30, 60)),
        ("sd%5Cb.webp", (200, 30, 60)),
    ],
)
def test_the_picture_beside_a_model_is_found(
    at: Site, name: str, color: tuple[int, int, int]
) -> None:
    reply = at.get(f"/experiment/models/preview/checkpoints/0/{name}")
    image = opened(reply.body)

    assert reply.status == 200
    assert image.format == "WEBP"
    got = image.convert("RGB").getpixel((4, 4))
    assert max(abs(a - b) for a, b in zip(got, color, strict=True)) < 12  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "path",
    [
        "1/a.webp",
        "2/a.webp",
        "-1/a.webp",
        "0x0/a.webp",
        "%C2%B2/a.webp",
        "99999999999999999999/a.webp",
        "0/missing.webp",
        "0/damaged.webp",
        "0/notes.txt",
        "0/sd",
        "0/../../secret.png",
        "0/..%2F..%2Fsecret.png",
        "0/%2e%2e/%2e%2e/secret.png",
        "0/..%5C..%5Csecret.png",
        "0/..%252F..%252Fsecret.png",
        "0//etc/passwd",
        "0/%00",
    ],
)
def test_other_pictures_are_not_found(at: Site, path: str) -> None:
    assert at.get(f"/experiment/models/preview/checkpoints/{path}").status == 404


def test_a_preview_is_no_way_out_of_the_folder(at: Site) -> None:
    folder = at.root / "models/vae"
    folder.mkdir()
    (folder / "link.png").symlink_to(at.root / "secret.png")
    (folder / "up").symlink_to(at.root)

    assert at.get("/experiment/models/preview/vae/0/link.webp").status == 404
    assert at.get("/experiment/models/preview/vae/0/up/secret.webp").status == 404


def test_nothing_there_yet_is_no_error(tmp_path: Path) -> None:
    with site(tmp_path) as empty:
        assert empty.get("/embeddings").json == []
        assert empty.get("/models/checkpoints").json == []
        assert empty.get("/experiment/models/checkpoints").json == []
