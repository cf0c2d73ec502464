"""A picture of the embedded model made again: 64 x 64 pixels, two steps."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image, PngImagePlugin

import nodes
from nodegraph.cli import Core
from nodegraph.cli.app import cli
from nodegraph.cli.verify import _changes, _compare

HOME = Path(__file__).parent.parent
GRAPH = str(HOME / "workflows" / "text_to_image.json")
QUICK = ["--set", "5.steps=2", "--set", "4.batch_size=1"]
Call = Callable[..., tuple[Any, str]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NODEGRAPH_DEVICE", "cpu")

    def call(*arguments: str, code: int = 0) -> tuple[Any, str]:
        """The JSON answer, and what was said on standard error."""
        command = ["run", *arguments, "--json"]
        result = CliRunner().invoke(cli, command, obj=Core(nodes.modules, HOME))
        assert result.exit_code == code, result.output
        return json.loads(result.stdout), result.stderr

    return call


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture, made once for all tests."""
    folder = tmp_path_factory.mktemp("made")
    folders = ["--out", str(folder), "--cache", str(folder / "cache"), "--device", "cpu"]
    command = ["run", GRAPH, *QUICK, *folders]
    result = CliRunner().invoke(cli, command, obj=Core(nodes.modules, HOME))
    assert result.exit_code == 0, result.output
    return folder / "text_to_image_00001_.png"


@pytest.fixture
def picture(made: Path, tmp_path: Path) -> str:
    """A copy of it."""
    copy = tmp_path / "picture.png"
    copy.write_bytes(made.read_bytes())
    return copy.name


def save_as(name: str, change: Callable[[Any], Any] = lambda texts: texts) -> None:
    """Save a PNG anew, with its texts changed: parsed JSON, by name."""
    with Image.open(name) as picture:
        picture.load()
        texts = change({key: json.loads(text) for key, text in picture.info.items()})
    info = PngImagePlugin.PngInfo()
    for key, value in texts.items():
        info.add_text(key, json.dumps(value))
    picture.save(name, pnginfo=info)


def test_a_picture_is_verified_and_one_tampered_pixel_is_found(call: Call, picture: str) -> None:
    same, _ = call("--verify", picture)
    with Image.open(picture) as opened:
        red, green, blue = opened.getpixel((3, 5))  # type: ignore[misc]
        opened.putpixel((3, 5), (red, (green + 4) % 256, blue))
        info = PngImagePlugin.PngInfo()
        for name, text in opened.info.items():
            info.add_text(name, text)
        opened.save("tampered.png", pnginfo=info)
    different, _ = call("--verify", "tampered.png", code=6)

    assert same == {
        "status": "same",
        "picture": picture,
        "differing": 0,
        "values": 64 * 64 * 3,
        "largest": 0,
        "changed": [],
    }
    assert (different["status"], different["differing"]) == ("different", 1)
    assert different["largest"] in (4, 252)
    assert not Path("output").exists()  # what it makes again, it leaves nowhere


@pytest.mark.parametrize(("format", "suffix"), [("jpeg", ".jpg"), ("webp", ".webp")])
def test_lossy_pictures_of_a_batch_are_verified_as_well(
    call: Call, format: str, suffix: str
) -> None:
    batch = ["--set", "5.steps=2", "--set", "4.batch_size=2", "--set", f"7.format={format}"]

    files = call(GRAPH, *batch)[0]["files"]

    assert [Path(file).suffix for file in files] == [suffix, suffix]
    assert call("--verify", files[1])[0]["status"] == "same"


def test_it_is_made_in_the_precision_it_was_made_in_unless_another_is_named(call: Call) -> None:
    (file,) = call(GRAPH, *QUICK, "--precision", "bf16")[0]["files"]

    as_it_was, _ = call("--verify", file)
    assert (as_it_was["status"], as_it_was["changed"]) == ("same", [])

    other, _ = call("--verify", file, "--precision", "fp32", code=6)
    assert other["differing"] > 0
    assert other["changed"] == ["precision: was bf16, is fp32"]


def test_a_changed_prompt_inside_a_picture_is_found(call: Call, picture: str) -> None:
    def change(texts: Any) -> Any:
        texts["prompt"]["2"]["inputs"]["text"] = "red apple"
        return texts

    save_as(picture, change)

    assert call("--verify", picture, code=6)[0]["differing"] > 1000


def test_a_picture_without_a_manifest_says_why_it_cannot_be_verified(
    call: Call, picture: str
) -> None:
    save_as(picture, lambda texts: {"prompt": texts["prompt"]})

    answer, said = call("--verify", picture, code=3)

    assert answer["error"]["message"].startswith(f"{picture} cannot be verified: it does not say")
    assert said.startswith(f"error: {picture} cannot be verified")


@pytest.mark.parametrize("node", ["99", "", 5, None])
def test_a_manifest_that_names_no_node_of_its_graph_is_refused(
    call: Call, picture: str, node: Any
) -> None:
    save_as(picture, lambda texts: {**texts, "nodegraph": {"node": node}})

    assert "cannot be verified" in call("--verify", picture, code=3)[0]["error"]["message"]


def test_a_manifest_beyond_the_batch_is_refused(call: Call, picture: str) -> None:
    save_as(picture, lambda texts: {**texts, "nodegraph": {"node": "7", "batch_index": 4}})

    message = call("--verify", picture, code=3)[0]["error"]["message"]

    assert message == f"{picture}: it is picture 5 of node 7, which made 1 this time"


def test_a_picture_whose_model_is_gone_lists_the_faults_of_its_graph(
    call: Call, picture: str
) -> None:
    def change(texts: Any) -> Any:
        texts["prompt"]["1"]["inputs"]["ckpt_name"] = "gone.safetensors"
        return texts

    save_as(picture, change)
    answer, said = call("--verify", picture, code=3)

    assert answer["status"] == "invalid"
    assert "1" in answer["node_errors"]
    assert f"  --> {picture}: node 1 (LoadCheckpoint), input ckpt_name\n" in said


def test_a_picture_is_a_graph_that_runs_with_other_values(
    call: Call, picture: str, made: Path
) -> None:
    folders = ["--out", "there", "--cache", str(made.parent / "cache")]

    answer, _ = call(picture, "--set", "Save.filename_prefix=again", *folders)

    assert answer["files"] == ["there/again_00001_.png"]
    with Image.open(picture) as first, Image.open(answer["files"][0]) as again:
        assert first.tobytes() == again.tobytes()
    assert answer["nodes"][-1]["class_type"] == "SaveImage"
    assert answer["nodes"][-1]["status"] == "ran"


def test_a_grid_loads_the_model_once(call: Call) -> None:
    answer, _ = call(GRAPH, *QUICK, "--grid", "5.seed=1,2", "--grid", "5.cfg=1,4")

    first, *others = (
        {node["class_type"]: node["status"] for node in cell["nodes"]} for cell in answer["cells"]
    )
    assert first["LoadCheckpoint"] == first["CLIPEncode"] == "ran"
    for cell in others:
        assert cell["LoadCheckpoint"] == cell["CLIPEncode"] == "cached"
        assert cell["KSampler"] == cell["SaveImage"] == "ran"
    assert len({file for cell in answer["cells"] for file in cell["files"]}) == 4


def test_pictures_of_different_sizes_differ_everywhere() -> None:
    import torch

    verdict = _compare(Path("x.png"), torch.zeros(1, 4, 2, 3), torch.zeros(1, 2, 2, 3), ("a",))

    assert (verdict.differing, verdict.values, verdict.largest) == (24, 24, 255)
    assert verdict.changed == ("size: was 2 x 4, is 2 x 2", "a")
    assert str(verdict) == "x.png: 24 of 24 values differ, by at most 255 of 255"


def test_what_changed_since_is_listed_whatever_a_manifest_holds() -> None:
    file = {"node": "1", "input": "ckpt_name", "name": "a", "sha256": "00"}
    plugins = {"film": {"version": "1", "code": "22"}, "new": {"code": "1"}}
    now = {"torch": "2", "nodes": {"A": 2, "B": 1}, "files": [{**file, "sha256": "11"}]}
    now["plugins"] = plugins

    before = {"torch": "1", "nodes": {"A": 1, "C": 1}, "files": [file, 5, {}]}
    before["plugins"] = {"film": {"version": "1", "code": "11"}, "gone": {"code": "1"}, "odd": 5}
    assert list(_changes(before, now)) == [
        "torch: was 1, is 2",
        "node type A: was version 1, is 2",
        "plugin film: its code has changed",
        "file 1.ckpt_name a: its content has changed",
    ]
    assert list(_changes({"torch": "2", "nodes": 5, "files": 5, "plugins": 5}, now)) == []
