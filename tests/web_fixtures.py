"""What the page's own tests compare with: the catalogue, conversions, pictures that carry a graph.

Written anew by `make web-fixtures`. tests/test_web_fixtures.py makes sure that nobody
forgets to.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from editor_files import EditorFile, text_to_image

import nodes
from nodegraph import Engine, Settings
from nodegraph.catalogue import node_info
from nodegraph.registry import Registry
from nodegraph.workflow import convert
from nodes.imaging.files import encode

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "web" / "test" / "fixtures"
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
TYPES = (
    "CheckpointLoaderSimple",
    "CLIPTextEncode",
    "ConditioningZeroOut",
    "ControlNetApplyAdvanced",
    "EmptyLatentImage",
    "ImageScale",
    "InvertMask",
    "KSampler",
    "KSamplerAdvanced",
    "LoadImage",
    "LoraLoader",
    "SaveImage",
    "VAEDecode",
    "VAELoader",
)


def core(folder: Path) -> Engine:
    """The core nodes and plugins, with no model at all, so that no choice depends on the machine.

    Output, cache and the like are in `folder`.
    """
    parts = {name: folder / name for name in ("input", "output", "temp", "cache", "state")}
    settings = Settings(models=(folder / "models",), plugins=(ROOT / "plugins",), **parts)
    return Engine(nodes.modules(), settings)


def catalogue(registry: Registry) -> dict[str, Any]:
    """The node types of the example workflows and of the files below, as /object_info has them."""
    documents = [json.loads(path.read_text()) for path in WORKFLOWS]
    used = {entry["class_type"] for document in documents for entry in document.values()}
    return {name: node_info(registry, registry.nodes[name]) for name in sorted(used | {*TYPES})}


def files() -> dict[str, dict[str, Any]]:
    """Files in the editor's format, by name."""
    muted, bypassed = text_to_image(), text_to_image()
    muted["nodes"][3]["mode"] = 2
    bypassed["nodes"][3]["mode"] = 4
    named = text_to_image()
    named["nodes"][2]["widgets_values"] = {"height": 768, "width": 512, "batch_size": 1}
    keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    objects = text_to_image()
    objects["links"] = [dict(zip(keys, link, strict=True)) for link in objects["links"]]
    objects["reroutes"] = [{"id": 1, "pos": [3, 4], "linkIds": [9]}]
    objects["links"][-1]["parentId"] = 1
    return {
        "text to image": text_to_image(),
        "muted sampler": muted,
        "bypassed sampler": bypassed,
        "values by name": named,
        "links as objects": objects,
        "large seed": _with_values(2**64 - 1, "randomize", 20, 8, "euler", "normal", 1),
        "first editors' seed": _with_values(5, True, 20, 8, "euler", "normal", 1),
        "few values": _with_values(5, "increment"),
        "reroutes in a circle": _circle().data,
        "reroutes and values": _reroutes().data,
        "muted and optional": _optional().data,
        "own value comes back": _own_value().data,
        "bypassed chain": _chain().data,
        "unknown types": _unknown().data,
    }


def _with_values(*values: Any) -> dict[str, Any]:
    """Text to image with these values of the sampler."""
    file = text_to_image()
    file["nodes"][3]["widgets_values"] = [*values]
    return file


def _circle() -> EditorFile:
    return (
        EditorFile()
        .node(1, "Reroute", gives="*")
        .node(2, "Reroute", gives="*")
        .node(3, "SaveImage", ["x"])
        .link(1, 0, 2, "")
        .link(2, 0, 1, "")
        .link(2, 0, 3, "images", "IMAGE")
    )


def _reroutes() -> EditorFile:
    return (
        EditorFile()
        .node(1, "PrimitiveNode", [768, "fixed"], gives="INT")
        .node(2, "EmptyLatentImage", [64, 64, 3], gives="LATENT")
        .node(3, "Reroute", gives="*")
        .node(4, "Reroute", gives="*")
        .node(5, "VAEDecode", gives="IMAGE")
        .node(6, "VAELoader", ["pixel_space"], gives="VAE")
        .node(7, "SaveImage", ["x"])
        .node(8, "Note", ["hello"])
        .node(9, "MarkdownNote", ["# hello"])
        .link(1, 0, 2, "width", "INT", widget=True)
        .link(1, 0, 2, "height", "INT", widget=True)
        .link(2, 0, 3, "")
        .link(3, 0, 4, "")
        .link(4, 0, 5, "samples", "LATENT")
        .link(6, 0, 5, "vae", "VAE")
        .link(5, 0, 7, "images", "IMAGE")
    )


def _optional() -> EditorFile:
    return (
        EditorFile()
        .node(1, "LoadImage", ["a.png", "image"], mode=2, gives="IMAGE MASK")
        .node(2, "LoadImage", ["b.png", "image"], gives="IMAGE MASK")
        .node(3, "ImageScale", ["bilinear", 64, 48, "center"], gives="IMAGE")
        .node(4, "InvertMask", gives="MASK")
        .node(5, "Sparkle", [1], gives="IMAGE")
        .node(6, "PrimitiveNode", [128, "fixed"], mode=2, gives="INT")
        .link(2, 0, 3, "image", "IMAGE")
        .link(6, 0, 3, "width", "INT", widget=True)
        .link(1, 1, 4, "mask", "MASK")
        .link(4, 0, 5, "mask", "MASK")
        .link(3, 0, 5, "image", "IMAGE")
    )


def _own_value() -> EditorFile:
    return (
        EditorFile()
        .node(1, "VAELoader", ["pixel_space"], mode=2, gives="VAE")
        .node(2, "VAEDecode", gives="IMAGE")
        .node(3, "ImageScale", ["bilinear", 64, 48, "center"], gives="IMAGE")
        .link(1, 0, 2, "vae", "VAE")
        .link(2, 0, 3, "upscale_method", "COMBO", widget=True)
        .link(2, 0, 3, "image", "IMAGE")
        .node(4, "ImageScale", ["area", 64, 48, "center"], gives="IMAGE")
        .link(2, 0, 4, "upscale_method", "COMBO", widget=True)
    )


def _chain() -> EditorFile:
    cond = {"type": "CONDITIONING", "links": []}
    pair = [{"name": "positive", **cond}, {"name": "negative", **cond}]
    return (
        EditorFile()
        .node(1, "CheckpointLoaderSimple", ["a.safetensors"], gives="MODEL CLIP VAE")
        .node(2, "LoraLoader", ["b.safetensors", 1, 0.5], mode=4, gives="MODEL CLIP")
        .node(3, "LoraLoader", ["c.safetensors", 1, 1], mode=4, gives="MODEL CLIP")
        .node(4, "CLIPTextEncode", ["good"], gives="CONDITIONING")
        .node(5, "CLIPTextEncode", ["bad"], gives="CONDITIONING")
        .node(6, "ControlNetApplyAdvanced", [1, 0, 1], mode=4, outputs=pair)
        .node(7, "KSampler", [5, "increment", 20, 8, "euler", "normal", 1], gives="LATENT")
        .node(8, "Sparkle", mode=4, gives="LATENT")
        .node(9, "VAEDecode", gives="IMAGE")
        .link(1, 0, 2, "model", "MODEL")
        .link(1, 1, 2, "clip", "CLIP")
        .link(2, 0, 3, "model", "MODEL")
        .link(2, 1, 3, "clip", "CLIP")
        .link(3, 1, 4, "clip", "CLIP")
        .link(3, 1, 5, "clip", "CLIP")
        .link(4, 0, 6, "positive", "CONDITIONING")
        .link(5, 0, 6, "negative", "CONDITIONING")
        .link(3, 0, 7, "model", "MODEL")
        .link(6, 0, 7, "positive", "CONDITIONING")
        .link(6, 1, 7, "negative", "CONDITIONING")
        .link(1, 2, 8, "vae", "VAE")
        .link(7, 0, 8, "samples", "LATENT")
        .link(8, 0, 9, "samples", "LATENT")
        .link(1, 2, 9, "vae", "VAE")
    )


def _unknown() -> EditorFile:
    return (
        EditorFile()
        .node(1, "LoadImage", ["a.png", "image"], gives="IMAGE MASK")
        .node(2, "Sparkle", [0.5, "blue"], title="Shine", gives="IMAGE IMAGE")
        .node(3, "Glitter", {"amount": 2, "list": [1, 2]}, gives="INT")
        .node(4, "SaveImage", ["x"])
        .node(5, "EmptyLatentImage", [64, 64, 1, 9, 9])
        .link(1, 0, 2, "image", "IMAGE")
        .link(2, 1, 4, "images", "IMAGE")
        .link(3, 0, 5, "height", "INT", widget=True)
    )


def conversions(registry: Registry) -> dict[str, dict[str, Any]]:
    """What the files come to: the graph that runs, and what was left out on the way, by name."""
    found: dict[str, dict[str, Any]] = {}
    for name, file in files().items():
        made = convert(file, registry)
        found[name] = {"file": file, "document": made.document, "warnings": [*made.warnings]}
    return found


def picture(format: Any, text: Mapping[str, Any]) -> bytes:
    """A small picture with texts in it."""
    image = torch.linspace(0, 1, 4 * 4 * 3).reshape(4, 4, 3)
    texts = {name: json.dumps(value, ensure_ascii=False) for name, value in text.items()}
    return encode(image, format, text=texts)


def pictures() -> dict[str, bytes]:
    """Pictures of each kind, by file name. The title in one of them makes its text an iTXt."""
    workflow = text_to_image()
    prompt = json.loads((ROOT / "workflows" / "text_to_image.json").read_text())
    foreign = {**prompt, "1": {**prompt["1"], "_meta": {"title": "Prüfstück"}}}
    return {
        "both.png": picture("png", {"prompt": prompt, "workflow": workflow}),
        "foreign.png": picture("png", {"prompt": foreign}),
        "both.webp": picture("webp", {"prompt": prompt, "workflow": workflow}),
        "both.jpg": picture("jpeg", {"prompt": prompt, "workflow": workflow}),
        "none.png": picture("png", {}),
    }


def text_of(data: Any) -> str:
    """JSON as it stands in the folder: a line for each entry."""
    lines = (f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in data.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, core(Path(folder)) as engine:
        (FOLDER / "catalogue.json").write_text(text_of(catalogue(engine.registry)))
        (FOLDER / "conversions.json").write_text(text_of(conversions(engine.registry)))
    for name, content in pictures().items():
        (FOLDER / "pictures" / name).write_bytes(content)


if __name__ == "__main__":
    main()
