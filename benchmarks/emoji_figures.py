"""Figures of a model that was trained on emoji, as JSON and as a table.

    python -m benchmarks.emoji_figures [--checkpoint NAME] [--count N] [--out FOLDER] ...

* autoencoder: PSNR and SSIM of emoji that were not trained on (the split of the training graphs)
* loss: L_simple on those, for times in each tenth of the schedule
* recall: is the nearest picture of the whole set (nodes/training/likeness.py) the caption's own,
  or among the five nearest, for several scales of guidance
* sampling: the same for DDIM with 20 and 50 steps and DDPM with 1,000, on fewer captions
* control: edges' F1 (within a pixel) and silhouettes' overlap of pictures with the hints they were
  drawn after, with the ControlNet and without
* pictures to look at: some captions it knows, and compositions that are not in the set

Noise is a function of the seed, so the figures are reproducible on one device.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

import nodes
from nodegraph import Engine, Settings
from nodes.diffusion.noise import BatchNoise
from nodes.diffusion.samplers import Sampler
from nodes.diffusion.samplers.ddpm import ddpm
from nodes.training.chance import Chance
from nodes.training.dataset import Dataset
from nodes.training.drawing import grid
from nodes.training.figures import psnr, ssim
from nodes.training.following import edge_f1, overlap
from nodes.training.framing import Framing
from nodes.training.hints import edges, silhouette
from nodes.training.likeness import Gallery
from nodes.training.pixels import Pixels

from .emoji_subject import Subject, network
from .measure import ROOT, machine

SECTIONS = ("autoencoder", "loss", "recall", "sampling", "control", "pictures")
BUCKETS, COLUMNS, SHOWN = 10, 8, 32
COMPOSITIONS = (
    "blue apple", "green heart", "purple cat face", "red banana", "yellow rocket", "black panda",
    "orange whale", "pink tree", "cat face and dog face", "apple and banana", "house and tree",
    "red heart and blue heart", "robot cat", "cat with sunglasses", "small star", "two apples",
)  # fmt: skip
Figures = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What is measured. captions: those asked for; none: `count` of those that were trained."""

    checkpoint: str = "emoji.safetensors"
    size: int = 64
    sections: tuple[str, ...] = SECTIONS
    captions: tuple[str, ...] = ()
    count: int = 0
    few: int = 32
    guidance: tuple[float, ...] = (1.0, 3.0, 7.0)
    steps: int = 50
    edges: str = ""
    silhouettes: str = ""
    device: str = "cpu"


@dataclass(frozen=True, eq=False)
class Emoji:
    """The set: all of it, and what was and was not trained on. Pictures (N, 3, H, W) in [0, 1]."""

    everything: Dataset
    training: Dataset
    validation: Dataset
    size: int

    def pictures(self, dataset: Dataset) -> Tensor:
        return (self._pixels(dataset).batch(range(len(dataset)), Chance(0)) + 1) / 2

    def hints(self, dataset: Dataset, name: str) -> Tensor:
        return self._pixels(dataset).hint(name, range(len(dataset)), Chance(0))

    def _pixels(self, dataset: Dataset) -> Pixels:
        return framed(dataset, self.size)


def framed(dataset: Dataset, size: int) -> Pixels:
    """Its pictures and hints as the training graphs frame them."""
    return Pixels(dataset, Framing(size, 8, square=True))


def prepared(engine: Engine, options: Options) -> tuple[Subject, Emoji, dict[str, Any]]:
    """The model, the set split as the training graphs split it, and the ControlNets there are.

    Captions that are asked for are known to the model, and never judged as unknown ones.
    """
    graph: dict[str, Any] = {
        "set": _step("EmojiDataset", size=options.size),
        "hints": _step("AddDatasetHints", dataset=["set", 0], kind="edges"),
        "split": _step("SplitDataset", dataset=["hints", 0], validation=0.05, seed=0),
        "model": _step("LoadCheckpoint", ckpt_name=options.checkpoint),
    }
    named = {"edges": options.edges, "silhouette": options.silhouettes}
    control = {kind: name for kind, name in named.items() if name}
    for kind, name in control.items():
        graph[kind] = _step("LoadControlNet", control_net_name=name)
    found = engine.run(graph, targets=list(graph)).require()
    model, clip, vae = found["model"][:3]
    subject = Subject.of(model, clip, vae, options.size, options.device)
    training, validation = found["split"][:2]
    unknown = [r for r, e in enumerate(validation.examples) if e.caption not in options.captions]
    validation = validation.take(unknown)
    emoji = Emoji(found["hints"][0], training, validation, options.size)
    networks = {kind: network(found[kind][0].source, options.device) for kind in control}
    return subject, emoji, networks


def _step(name: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": name, "inputs": inputs}


def measured(
    subject: Subject, emoji: Emoji, networks: Mapping[str, Any], options: Options, out: Path
) -> Figures:
    """The sections that are asked for; pictures go to `out`."""
    asked = options.captions or emoji.training.captions
    if options.count:
        asked = _spread(asked, options.count)
    gallery = Gallery.of(emoji.pictures(emoji.everything), captions_of(emoji.everything))
    works = {
        "autoencoder": lambda: autoencoder(subject, emoji),
        "loss": lambda: loss(subject, emoji),
        "recall": lambda: recall(subject, gallery, asked, options),
        "sampling": lambda: sampling(subject, gallery, _spread(asked, options.few), options),
        "control": lambda: control(subject, emoji, networks, options),
        "pictures": lambda: pictures(subject, asked, options, out),
    }
    figures: Figures = {
        "checkpoint": options.checkpoint,
        "captions": len(asked),
        "set": len(emoji.everything),
        "unknown": sorted(set(asked) - set(gallery.captions)),  # these can never be recalled
        "machine": machine(),
    }
    for name in options.sections:
        figures[name] = works[name]()
        print(f"{name}: {figures[name]}", file=sys.stderr, flush=True)
    return figures


def autoencoder(subject: Subject, emoji: Emoji) -> Figures:
    given = emoji.pictures(emoji.validation)
    back = subject.through(given)
    return {
        "pictures": len(given),
        "psnr": psnr(given, back).mean().item(),
        "ssim": ssim(given, back).mean().item(),
    }


def loss(subject: Subject, emoji: Emoji) -> list[float]:
    given = emoji.pictures(emoji.validation)
    return subject.losses(given, captions_of(emoji.validation), BUCKETS)


def recall(
    subject: Subject, gallery: Gallery, asked: Sequence[str], options: Options
) -> dict[str, Figures]:
    return {
        f"{scale:g}": _recalled(gallery, subject.drawn(asked, scale, options.steps), asked)
        for scale in options.guidance
    }


def sampling(
    subject: Subject, gallery: Gallery, asked: Sequence[str], options: Options
) -> dict[str, Figures]:
    scale = options.guidance[len(options.guidance) // 2]

    def ancestral(x: Tensor, sigmas: Tensor) -> Sampler:
        return ddpm(x, sigmas, BatchNoise(subject.seed))

    drawn = {
        "ddim 20": subject.drawn(asked, scale, 20),
        "ddim 50": subject.drawn(asked, scale, 50),
        "ddpm 1000": subject.drawn(asked, scale, 1000, ancestral),
    }
    return {name: _recalled(gallery, found, asked) for name, found in drawn.items()}


def _recalled(gallery: Gallery, drawn: Tensor, asked: Sequence[str]) -> Figures:
    return {f"top{k}": gallery.recall(drawn, asked, k) for k in (1, 5)}


def control(
    subject: Subject, emoji: Emoji, networks: Mapping[str, Any], options: Options
) -> dict[str, Figures]:
    """For emoji that were not trained on: their captions and their hints."""
    chosen = emoji.validation.sample(options.few, 0)
    asked, scale = captions_of(chosen), options.guidance[len(options.guidance) // 2]
    found: dict[str, Figures] = {}
    for kind, made in networks.items():
        hints = emoji.hints(chosen, kind)
        follows = edge_agreement if kind == "edges" else silhouette_agreement
        free = subject.drawn(asked, scale, options.steps)
        steered = subject.drawn(asked, scale, options.steps, control=(made, hints))
        found[kind] = {"without": follows(free, hints), "with": follows(steered, hints)}
    return found


def edge_agreement(pictures: Tensor, hints: Tensor) -> float:
    """Mean F1 of the pictures' edges with hints (N, 3, H, W)."""
    lines = edges(pictures.movedim(1, -1))[..., 0] > 0.5
    return edge_f1(lines, hints[:, 0] > 0.5).mean().item()


def silhouette_agreement(pictures: Tensor, hints: Tensor) -> float:
    """Mean intersection over union of the pictures' silhouettes with hints (N, 3, H, W)."""
    shapes = torch.cat([silhouette(picture[None].movedim(1, -1)) for picture in pictures])
    return overlap(shapes > 0.5, hints[:, 0] > 0.5).mean().item()


def pictures(subject: Subject, asked: Sequence[str], options: Options, out: Path) -> Figures:
    """Sheets to look at; the captions are in the figures, row by row."""
    scale = options.guidance[len(options.guidance) // 2]
    said: Figures = {}
    for name, captions in {"known": _spread(asked, SHOWN), "compositions": COMPOSITIONS}.items():
        sheet = grid(subject.drawn(captions, scale, options.steps), COLUMNS)
        save_sheet(sheet, out / f"{name}.png")
        said[name] = list(captions)
    return said


def save_sheet(sheet: Tensor, path: Path) -> None:
    Image.fromarray((sheet.movedim(0, -1) * 255).round().byte().numpy()).save(path)


def captions_of(dataset: Dataset) -> tuple[str, ...]:
    return tuple(example.caption for example in dataset.examples)


def _spread(captions: Sequence[str], count: int) -> tuple[str, ...]:
    """`count` of them, evenly; all, where there are fewer."""
    step = max(len(captions) / count, 1)
    return tuple(captions[int(i * step)] for i in range(min(count, len(captions))))


def markdown(figures: Figures) -> str:
    """The figures as a table."""
    rows = [f"| {what} | {value} |" for what, value in _rows(figures)]
    return "\n".join(["| figure | value |", "|---|---|", *rows]) + "\n"


def _rows(figures: Figures) -> Iterable[tuple[str, str]]:
    if found := figures.get("autoencoder"):
        where = f"{found['pictures']} emoji that were not trained on"
        yield f"autoencoder, {where}", f"PSNR {found['psnr']:.1f} dB, SSIM {found['ssim']:.3f}"
    if losses := figures.get("loss"):
        yield "L_simple on those, by tenths of t", ", ".join(f"{value:.3f}" for value in losses)
    kinds = {
        "recall": (f"recall of {figures['captions']} captions among {figures['set']}", "guidance "),
        "sampling": ("recall on fewer captions", ""),
    }
    for section, (what, before) in kinds.items():
        for name, found in figures.get(section, {}).items():
            value = f"top-1 {found['top1']:.1%}, top-5 {found['top5']:.1%}"
            yield f"{what}, {before}{name}", value
    for kind, found in figures.get("control", {}).items():
        what = "edges, F1" if kind == "edges" else "silhouettes, intersection over union"
        yield what, f"{found['with']:.3f} with ControlNet, {found['without']:.3f} without"


def parsed(arguments: Sequence[str]) -> tuple[Options, Path]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    plain = Options()
    parser.add_argument("--checkpoint", default=plain.checkpoint)
    parser.add_argument("--size", type=int, default=plain.size)
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--captions", type=Path, help="JSON list; default: the set's")
    parser.add_argument("--count", type=int, default=plain.count, help="captions; 0: all")
    parser.add_argument("--few", type=int, default=plain.few, help="captions for slow figures")
    parser.add_argument("--guidance", type=float, nargs="+", default=plain.guidance)
    parser.add_argument("--steps", type=int, default=plain.steps, help="of DDIM")
    parser.add_argument("--edges", default="", help="ControlNet for edges, in models/controlnet")
    parser.add_argument("--silhouettes", default="", help="ControlNet for silhouettes")
    parser.add_argument("--device", default=plain.device)
    parser.add_argument("--out", type=Path, default=ROOT / "output" / "figures")
    given = vars(parser.parse_args(arguments))
    out, captions = given.pop("out"), given.pop("captions")
    known = tuple(json.loads(captions.read_text())) if captions else ()
    given |= {"sections": tuple(given["sections"]), "guidance": tuple(given["guidance"])}
    return Options(captions=known, **given), out


def main(arguments: Sequence[str]) -> None:
    options, out = parsed(arguments)
    settings = Settings(
        models=(ROOT / "models",),
        plugins=(ROOT / "plugins",),
        device=options.device,
        precision="fp32",
    )
    with Engine(nodes.modules(), settings) as engine:
        subject, emoji, networks = prepared(engine, options)
        out.mkdir(parents=True, exist_ok=True)
        figures = measured(subject, emoji, networks, options, out)
    (out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    (out / "figures.md").write_text(markdown(figures))
    print(markdown(figures))


if __name__ == "__main__":
    main(sys.argv[1:])
