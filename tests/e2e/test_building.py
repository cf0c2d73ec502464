"""Graphs made from nothing, by mouse and keyboard alone, and graphs that come out of files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from desk import (
    announced,
    cables,
    centre,
    choose,
    clear,
    drag,
    draw,
    draw_out,
    drop,
    fill,
    input,
    node,
    output,
    shown,
)
from editor_files import text_to_image
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Page, expect
from server_process import HOME, ServerProcess, serving, until

PROMPT = "CLIP Text Encode (Prompt)"
PROGRAM = "from nodes.__main__ import main; main()"
MODEL = "emoji.safetensors"

# Text to image as ComfyUI writes it: what ran, and the editor's file.
RAN: dict[str, Any] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "model": ["4", 0],
            "positive": ["6", 0],
            "negative": ["7", 0],
            "latent_image": ["5", 0],
            "seed": 5,
            "steps": 2,
            "cfg": 4.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1.0,
        },
        "_meta": {"title": "KSampler"},
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": MODEL}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "cat face", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["4", 1]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "ComfyUI"}},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that knows the names of ComfyUI's nodes by the plugin that comes along."""
    folder = tmp_path_factory.mktemp("building")
    shutil.copytree(HOME / "input", folder / "input")
    shutil.copytree(HOME / "plugins" / "comfyui", folder / "mine" / "comfyui")
    settings = ("--models", str(HOME / "models"), "--plugins", str(folder / "mine"))
    with serving(folder, *settings, program=PROGRAM) as server:
        yield server


def socket(name: str, type: str, link: int) -> dict[str, Any]:
    return {"name": name, "type": type, "link": link}


def result(name: str, type: str, *links: int) -> dict[str, Any]:
    return {"name": name, "type": type, "links": list(links), "slot_index": 0}


def drawn_node(
    id: int,
    type: str,
    place: tuple[int, int],
    inputs: list[dict[str, Any]],
    outputs: list[dict[str, Any]],
    values: list[Any],
    **rest: Any,
) -> dict[str, Any]:
    return {
        "id": id,
        "type": type,
        "pos": list(place),
        "size": [315, 200],
        "flags": {},
        "order": id,
        "mode": 0,
        "inputs": inputs,
        "outputs": outputs,
        "properties": {"Node name for S&R": type},
        "widgets_values": values,
        **rest,
    }


EDITED: dict[str, Any] = {
    "last_node_id": 9,
    "last_link_id": 9,
    "nodes": [
        drawn_node(
            4,
            "CheckpointLoaderSimple",
            (26, 474),
            [],
            [result("MODEL", "MODEL", 1), result("CLIP", "CLIP", 3, 5), result("VAE", "VAE", 8)],
            [MODEL],
        ),
        drawn_node(
            5,
            "EmptyLatentImage",
            (473, 609),
            [],
            [result("LATENT", "LATENT", 2)],
            [64, 64, 1],
            title="A small picture",
            color="#232",
            bgcolor="#353",
        ),
        drawn_node(
            6,
            "CLIPTextEncode",
            (415, 186),
            [socket("clip", "CLIP", 3)],
            [result("CONDITIONING", "CONDITIONING", 4)],
            ["red apple"],
        ),
        drawn_node(
            7,
            "CLIPTextEncode",
            (413, 389),
            [socket("clip", "CLIP", 5)],
            [result("CONDITIONING", "CONDITIONING", 6)],
            [""],
            title="Not this",
        ),
        drawn_node(
            3,
            "KSampler",
            (863, 186),
            [
                socket("model", "MODEL", 1),
                socket("positive", "CONDITIONING", 4),
                socket("negative", "CONDITIONING", 6),
                socket("latent_image", "LATENT", 2),
            ],
            [result("LATENT", "LATENT", 7)],
            [5, "randomize", 2, 4, "euler", "normal", 1],
        ),
        drawn_node(
            8,
            "VAEDecode",
            (1209, 188),
            [socket("samples", "LATENT", 7), socket("vae", "VAE", 8)],
            [result("IMAGE", "IMAGE", 9)],
            [],
        ),
        drawn_node(9, "SaveImage", (1451, 189), [socket("images", "IMAGE", 9)], [], ["ComfyUI"]),
    ],
    "links": text_to_image()["links"],
    "groups": [
        {
            "title": "The words",
            "bounding": [400, 110, 440, 480],
            "color": "#3f789e",
            "font_size": 24,
        }
    ],
    "config": {},
    "extra": {},
    "version": 0.4,
}


def png(path: Path, **texts: Any) -> Path:
    """A picture with text chunks, as ComfyUI's SaveImage writes them."""
    about = PngInfo()
    for name, data in texts.items():
        about.add_text(name, json.dumps(data))
    Image.new("RGB", (64, 64), "teal").save(path, pnginfo=about, compress_level=4)
    return path


def webp(path: Path, **texts: Any) -> Path:
    """A picture with EXIF entries, as ComfyUI's SaveAnimatedWEBP writes them."""
    picture = Image.new("RGB", (64, 64), "teal")
    about = picture.getexif()
    about[0x0110] = f"prompt:{json.dumps(texts['prompt'])}"
    about[0x010F] = f"workflow:{json.dumps(texts['workflow'])}"
    picture.save(path, exif=about)
    return path


def as_json(path: Path, **texts: Any) -> Path:
    path.write_text(json.dumps(next(iter(texts.values()))), encoding="utf-8")
    return path


def test_a_graph_is_built_on_an_empty_canvas_drawn_and_taken_apart_step_by_step(page: Page) -> None:
    clear(page)
    undo = page.get_by_role("button", name="Undo")
    redo = page.get_by_role("button", name="Redo")

    # By keyboard: Tab, and typing.
    page.keyboard.press("Tab")
    choose(page, "load checkpoint")
    # By mouse: cables to empty space, of which the palette takes only what fits.
    drag(page, centre(output(page, "CLIP", "Load Checkpoint")), (640, 730))
    search = page.get_by_role("combobox", name="Add a node")
    search.fill("encode")
    expect(page.get_by_role("option").filter(has_text=PROMPT).first).to_be_visible()
    expect(page.get_by_role("option").filter(has_text="VAE Encode")).to_have_count(0)
    search.press("Escape")
    draw_out(page, output(page, "CLIP", "Load Checkpoint"), "text encode")
    draw_out(page, output(page, "CONDITIONING", PROMPT), "ksampler")
    draw_out(page, input(page, "latent_image", "KSampler"), "empty latent")
    draw_out(page, output(page, "LATENT", "KSampler"), "vae decode")
    # By mouse: from port to port, both ways, and onto a node, whose free port that fits takes it.
    draw(page, output(page, "MODEL", "Load Checkpoint"), input(page, "model", "KSampler"))
    draw(page, input(page, "negative", "KSampler"), output(page, "CONDITIONING", PROMPT))
    header = node(page, "VAE Decode").get_by_text("VAE Decode")
    draw(page, output(page, "VAE", "Load Checkpoint"), header)
    until(lambda: cables(page) == 7)
    # By keyboard: a port's list, and from it a new node.
    output(page, "IMAGE", "VAE Decode").press("Enter")
    ports = page.get_by_role("combobox", name="Join IMAGE of VAE Decode with")
    ports.fill("new node")
    ports.press("Enter")
    choose(page, "save image")
    page.get_by_role("button", name="Arrange").click()
    until(lambda: cables(page) == 8)

    page.get_by_role("textbox", name="text, CLIP Text Encode").fill("cat face")
    for name, text in (("width, Empty", "32*2"), ("height, Empty", "64"), ("steps, KS", "2")):
        fill(page, name, text)
    page.keyboard.press("Control+Enter")
    shown(page, "Save Image")

    while node(page, "Load Checkpoint").count() and undo.is_enabled():
        undo.click()
    expect(page.locator(".react-flow__node")).to_have_count(0)
    assert cables(page) == 0
    while redo.is_enabled():
        redo.click()
    until(lambda: cables(page) == 8)
    expect(page.get_by_role("textbox", name="text, CLIP Text Encode")).to_have_value("cat face")
    expect(page.get_by_role("spinbutton", name="width, Empty")).to_have_value("64")


def test_what_does_not_fit_is_refused_with_its_reason_and_what_fits_takes_the_others_place(
    page: Page,
) -> None:
    before = cables(page)
    latent = output(page, "LATENT", "Size")

    for port, why in (
        (input(page, "clip", "Prompt"), "takes CLIP, and the output gives LATENT"),
        (input(page, "images", "Save"), "takes IMAGE, and the output gives LATENT"),
        (output(page, "LATENT", "Sampler"), "A cable goes from an output to an input"),
    ):
        drag(page, centre(latent), centre(port), drop=False)
        expect(page.get_by_role("alert").get_by_text(why)).to_be_visible()
        page.mouse.up()
    drag(
        page,
        centre(output(page, "LATENT", "Sampler")),
        centre(input(page, "latent_image", "Sampler")),
        drop=False,
    )
    expect(page.get_by_role("alert").get_by_text("A node cannot feed itself")).to_be_visible()
    page.mouse.up()
    assert cables(page) == before
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()

    # An input takes one cable: a new one goes in place of the old.
    draw(page, output(page, "CONDITIONING", "Negative prompt"), input(page, "positive", "Sampler"))
    expect(page.get_by_role("button", name="Undo")).to_be_enabled()
    assert cables(page) == before
    page.keyboard.press("Control+z")
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()


@pytest.mark.parametrize(
    ("make", "name", "media", "parts"),
    [
        (png, "both.png", "image/png", ("prompt", "workflow")),
        (png, "editor.png", "image/png", ("workflow",)),
        (webp, "both.webp", "image/webp", ("prompt", "workflow")),
        (as_json, "editor.json", "application/json", ("workflow",)),
    ],
    ids=["png", "png with the graph alone", "webp", "json"],
)
def test_a_file_in_the_format_of_comfyui_opens_as_its_author_laid_it_out(
    page: Page,
    tmp_path: Path,
    make: Callable[..., Path],
    name: str,
    media: str,
    parts: tuple[str, ...],
) -> None:
    texts = {"prompt": RAN, "workflow": EDITED}

    drop(page, make(tmp_path / name, **{part: texts[part] for part in parts}), media)

    expect(node(page, "A small picture")).to_be_visible()
    expect(node(page, "Not this")).to_be_visible()
    expect(node(page, "The words")).to_be_visible()
    expect(page.get_by_role("textbox", name="text, CLIP Text Encode")).to_have_value("red apple")
    until(lambda: cables(page) == 9)
    announced(page, f"Opened {name.rsplit('.')[0]}")


@pytest.mark.parametrize(
    ("make", "name", "media"),
    [(png, "ran.png", "image/png"), (as_json, "ran.json", "application/json")],
    ids=["png", "json"],
)
def test_a_file_with_what_ran_alone_opens_laid_out_and_runs(
    page: Page, tmp_path: Path, make: Callable[..., Path], name: str, media: str
) -> None:
    drop(page, make(tmp_path / name, prompt=RAN), media)

    until(lambda: cables(page) == 9)
    expect(page.get_by_role("textbox", name="text, CLIP Text Encode").first).to_have_value(
        "cat face"
    )
    page.keyboard.press("Control+Enter")
    shown(page, "Save Image")


def test_a_subgraph_can_be_looked_into(page: Page, tmp_path: Path) -> None:
    decode = "1b2f6f0e-0000-4000-8000-000000000001"
    inner = {
        "id": decode,
        "name": "Latents to files",
        "inputNode": {"id": -10, "bounding": [-300, 0, 120, 60]},
        "outputNode": {"id": -20, "bounding": [700, 0, 120, 60]},
        "inputs": [{"id": "a", "name": "latent", "type": "LATENT", "linkIds": [1]}],
        "outputs": [],
        "nodes": [
            drawn_node(
                1,
                "VAEDecode",
                (0, 0),
                [socket("samples", "LATENT", 1)],
                [result("IMAGE", "IMAGE", 2)],
                [],
            ),
            drawn_node(
                2, "SaveImage", (350, 0), [socket("images", "IMAGE", 2)], [], ["x"], title="Kept"
            ),
        ],
        "links": [[1, -10, 0, 1, 0, "LATENT"], [2, 1, 0, 2, 0, "IMAGE"]],
        "groups": [],
    }
    instance = drawn_node(
        1, decode, (0, 0), [{"name": "latent", "type": "LATENT", "link": None}], [], [], title="End"
    )
    file = {"nodes": [instance], "links": [], "version": 0.4, "definitions": {"subgraphs": [inner]}}
    path = as_json(tmp_path / "nested.json", workflow=file)

    drop(page, path, "application/json")
    node(page, "End").get_by_role("button", name="Look inside").click()

    inside = page.get_by_role("dialog", name="Inside of End")
    kept = inside.get_by_role("group", name="Kept", exact=True)
    expect(kept).to_be_visible()
    expect(inside.get_by_role("group", name="Inputs of the subgraph")).to_be_visible()
    kept.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Delete")
    expect(kept).to_be_visible()
    page.keyboard.press("Escape")
    expect(inside).to_have_count(0)
    expect(node(page, "End")).to_be_visible()
