"""Names that lead elsewhere, at every route that takes one, against a whole server.

Around the server's folders lie files that nobody may read, write or hear of.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image
from server_parts import HOSTILE, form
from server_process import Answer, ServerProcess, serving
from server_wire import assert_calm, assert_safe

from nodegraph.names import portable

SECRET = "the-canary-sings"
HOMES = ("input", "output", "temp", "state", "cache", "stderr.txt", "ran.log")  # may be written
UP = ("../../secret", "../../../secret", "x/../../secret", "..\\..\\secret")
ENDS = (".txt", ".png", ".json", ".safetensors")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server in `outer/site`; secrets lie in both, and links in its folders lead to them."""
    outer = tmp_path_factory.mktemp("outer")
    site = outer / "site"
    for folder in ("output/x", "input/x", "temp", "models/checkpoints", "state/user/default/x"):
        (site / folder).mkdir(parents=True)
    secrets = {f"secret{end}": SECRET.encode() for end in ENDS} | {"secret.png": picture()}
    secrets["secret.safetensors"] = header({SECRET: SECRET})
    for folder in (outer, site, outer / "secrets"):
        folder.mkdir(exist_ok=True)
        for name, content in secrets.items():
            (folder / name).write_bytes(content)
    (site / "models/checkpoints/plain.safetensors").write_bytes(header({"plain": "yes"}))
    lay_links(site)
    with serving(site) as server:
        before = around(server)
        yield server
        assert around(server) == before
        assert_calm(server)


@pytest.fixture(autouse=True)
def links(server: ServerProcess) -> None:
    """Uploads replace links, as they should: by files of their own."""
    lay_links(server.folder)


def lay_links(site: Path) -> None:
    outer = site.parent
    for folder in ("output", "input", "temp", "state/user/default"):
        places = {f"link{end}": outer / f"secret{end}" for end in ENDS} | {"way": outer}
        for name, place in places.items():
            link = site / folder / name
            link.unlink(missing_ok=True)
            link.symlink_to(place)
        (site / folder / "plain.png").write_bytes(picture("plain"))
        (site / folder / "plain.json").write_text("{}")


def picture(text: str = SECRET) -> bytes:
    """A PNG with a text in it, which a conversion would take along."""
    from PIL.PngImagePlugin import PngInfo

    file, info = io.BytesIO(), PngInfo()
    info.add_text("prompt", text)
    Image.new("RGB", (3, 3), (1, 2, 3)).save(file, "PNG", pnginfo=info)
    return file.getvalue()


def header(metadata: dict[str, str]) -> bytes:
    """The smallest safetensors file that says this of itself."""
    text = json.dumps({"__metadata__": metadata}).encode()
    return len(text).to_bytes(8, "little") + text


def around(server: ServerProcess) -> dict[str, str]:
    """Every file outside of the folders that are written to, with its content."""
    site = server.folder
    homes = [site / name for name in HOMES]
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(site.parent.rglob("*"))
        if path.is_file() and not any(path.is_relative_to(home) for home in homes)
    }


def names(server: ServerProcess) -> list[str]:
    """Names of the secrets, and others that mean trouble, as they are after one decoding."""
    outer = server.folder.parent
    found = [f"{stem}{end}" for stem in ("../secret", "link") for end in ENDS]
    found += [f"{stem}.png" for stem in UP] + ["way/secret.txt", "way/secret.png"]
    found += [f"{outer}/secret.png", f"{outer}/secret.safetensors"]
    found += [f"//{outer}/secret.txt", f"file://{outer}/secret.txt", f"C:{outer}/secret.txt"]
    found += ["../state/jobs.sqlite", "../../etc/passwd", "/proc/self/environ", "/dev/zero"]
    found += ["..", "../", ".", "", "way", "link.png\0.png", "~/secret.txt", "%2e%2e/secret.txt"]
    found += [
        "..%2fsecret.txt",
        "..%252fsecret.txt",
        "..\u2215secret.txt",
        "\uff0e\uff0e/secret.txt",
    ]
    return list(dict.fromkeys([*found, *HOSTILE]))


def spellings(name: str) -> Iterator[str]:
    """How a name may stand in a URL."""
    once = quote(name, safe="")
    yield once
    if ".." in name:
        yield quote(once, safe="")
        yield once.replace("..", "%2e%2E")
        yield quote(name, safe="/")  # dots and slashes as they are


# What stands for {} is the name. A path is sent as it is, without being tidied.
READING = (
    "/view?filename={}",
    "/view?filename={}&type=input",
    "/view?filename={}&type=temp&preview=webp",
    "/view?filename={}%20[input]",
    "/view?filename=x.png&subfolder={}",
    "/view?filename=secret.png&subfolder={}",
    "/view?filename=plain.png&type={}",
    "/view?filename={}&channel=a",
    "/userdata?dir={}",
    "/userdata?dir={}&recurse=true&full_info=true",
    "/userdata?dir={}&recurse=true&split=true",
    "/v2/userdata?path={}",
    "/v2/userdata/deleted?path={}",
    "/userdata/{}",
    "/userdata/{}/versions",
    "/userdata/{}/versions/1",
    "/userdata/workflows%2F{}/versions/1",
    "/userdata/workflows%2Fplain.json/versions/{}",
    "/view_metadata/checkpoints?filename={}",
    "/view_metadata/{}?filename=secret.safetensors",
    "/models/{}",
    "/experiment/models/{}",
    "/experiment/models/preview/checkpoints/0/{}",
    "/experiment/models/preview/{}/0/secret.safetensors",
    "/experiment/models/preview/checkpoints/{}/secret.safetensors",
    "/internal/files/{}",
    "/object_info/{}",
    "/settings/{}",
    "/history/{}",
    "/jobs/{}",
    "/extensions/{}",
    "/assets/{}",
    "/api/{}",
    "/{}",
)


def assert_tells_nothing(server: ServerProcess, answer: Answer) -> None:
    assert_safe(answer)
    told = answer.body + str(answer.headers).encode()
    assert SECRET.encode() not in told, answer
    assert b"root:" not in told, answer
    assert str(server.folder.parent).encode() not in told.replace(b"\\/", b"/"), answer


@pytest.mark.parametrize("path", READING)
def test_nothing_outside_is_read(server: ServerProcess, path: str) -> None:
    for name in names(server):
        for spelling in spellings(name):
            answer = server.request("GET", path.replace("{}", spelling))

            echoed = str(server.folder.parent) in name  # who knows it, is told it
            if not echoed or answer.status == 200:
                assert_tells_nothing(server, answer)
            assert b"secret.txt" not in answer.body or answer.status >= 400, answer


def test_the_names_would_work_inside(server: ServerProcess) -> None:
    """Else the tests above would be about nothing."""
    for path in READING[:2]:
        assert server.request("GET", path.replace("{}", "plain.png")).status == 200
    assert server.get("/userdata/plain.json") == {}
    assert server.get("/view_metadata/checkpoints?filename=plain.safetensors") == {"plain": "yes"}


WRITING = (
    ("POST", "/userdata/{}"),
    ("DELETE", "/userdata/{}"),
    ("POST", "/userdata/{}/move/taken.json"),
    ("POST", "/userdata/plain.json/move/{}"),
    ("POST", "/userdata/{}/versions/1/restore"),
    ("POST", "/userdata/workflows%2Fplain.json/versions/{}/restore"),
    ("POST", "/settings/{}"),
)


@pytest.mark.parametrize(("method", "path"), WRITING)
def test_nothing_outside_is_written(server: ServerProcess, method: str, path: str) -> None:
    before = around(server)
    for name in names(server):
        for spelling in spellings(name):
            answer = server.request(method, path.replace("{}", spelling), b"{}")
            assert_safe(answer)
            if path.startswith("/userdata/plain.json"):  # it was moved to where it may be
                server.post("/userdata/plain.json", {})

    assert around(server) == before


@pytest.mark.parametrize("field", ["filename", "subfolder", "type"])
@pytest.mark.parametrize("overwrite", ["true", "false"])
def test_no_upload_goes_outside(server: ServerProcess, field: str, overwrite: str) -> None:
    before = around(server)
    for name in names(server):
        fields = {"filename": "x.png", "subfolder": "", "overwrite": overwrite, field: name}
        body, kind = form(picture("mine"), **fields)
        answer = server.request("POST", "/upload/image", body, {"Content-Type": kind})
        assert_safe(answer)
        if answer.status == 200:
            told = answer.json
            folder = server.folder / told["type"]
            assert portable(told["name"])  # it could be the name of a file on every system
            assert (folder / told["subfolder"] / told["name"]).read_bytes() == picture("mine")

    assert around(server) == before


@pytest.mark.parametrize("field", ["filename", "subfolder", "type"])
def test_no_mask_is_put_on_what_is_outside(server: ServerProcess, field: str) -> None:
    for name in names(server):
        reference = {"filename": "secret.png", "subfolder": "", "type": "output", field: name}
        body, kind = form(picture("mask"), "mask.png", original_ref=json.dumps(reference))
        answer = server.request("POST", "/upload/mask", body, {"Content-Type": kind})
        assert_tells_nothing_but_names(answer)
        assert answer.status in (400, 403, 404), (name, answer)


def assert_tells_nothing_but_names(answer: Answer) -> None:
    assert_safe(answer)
    assert SECRET.encode() not in answer.body, answer


@pytest.mark.parametrize(
    ("class_type", "field", "annotated"),
    [
        ("Look", "name", ""),
        ("Look", "name", " [output]"),
        ("Look", "name", "[temp]"),
        ("Read", "name", ""),
    ],
)
def test_no_node_reads_a_file_outside(
    server: ServerProcess, class_type: str, field: str, annotated: str
) -> None:
    for name in names(server):
        given = {field: f"{name}{annotated}"}
        graph: dict[str, Any] = {"1": {"class_type": class_type, "inputs": given}}
        if class_type == "Read":
            graph["2"] = {"class_type": "Show", "inputs": {"value": ["1", 0]}}
        answer = server.request("POST", "/prompt", {"prompt": graph})

        assert_tells_nothing_but_names(answer)
        assert answer.status == 400, (name, answer)


@pytest.mark.parametrize("class_type", ["Save", "Write"])
def test_no_node_writes_a_file_outside(server: ServerProcess, class_type: str) -> None:
    before, jobs = around(server), []
    for name in names(server):
        given = {"value": 1, "prefix": name}
        graph = {"1": {"class_type": class_type, "inputs": given}}
        jobs.append(server.submit(graph))
    for id in jobs:
        server.ended(id)

    assert around(server) == before
    told = json.dumps(server.get("/history"))
    assert SECRET not in told
    assert f"{server.folder}/" not in told


def test_a_job_may_not_name_its_files(server: ServerProcess) -> None:
    """Files that a client claims a job has saved: there is no way to say so."""
    lie = {"filename": "../../secret.txt", "subfolder": "..", "type": "output"}
    id = server.submit(
        {"1": {"class_type": "Show", "inputs": {"value": json.dumps([lie])}}},
        extra_data={"outputs": {"1": {"images": [lie]}}},
    )

    assert server.ended(id)["outputs"] == {"1": {"text": [json.dumps([lie])]}}
