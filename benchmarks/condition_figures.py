"""Figures of models that read an image, a segmentation map or a depth map by cross-attention.

    python -m benchmarks.condition_figures [--kinds depth ...] [--training STEPS] [--out FOLDER]

Runs workflows/train_emoji_condition.json for each kind, as far as it was not run before: the
embedded UNet learns, with a new condition encoder, to draw what the encoder is shown. Then, on
emoji that were not trained on:

* image: is the nearest picture of the whole set (nodes/training/likeness.py) the one that was shown
* segmentation: share of pixels whose colour's name is that of the map
* depth: correlation of the drawn picture's depth (distance from the silhouette) with the map, and
  overlap of the silhouettes

each once told by the encoder, and once told nothing, from the same noise.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import nodes
from nodegraph import Engine, Settings
from nodes.models.encoders import CORE, TokenEncoder
from nodes.training.chance import Chance
from nodes.training.dataset import Dataset
from nodes.training.drawing import grid
from nodes.training.following import overlap
from nodes.training.hints import depth, segmentation
from nodes.training.likeness import Gallery
from nodes.training.reading import BY_KIND, Reading
from nodes.types import ConditionEncoder

from .emoji_figures import COLUMNS, SHOWN, captions_of, framed, save_sheet
from .emoji_subject import Subject, network
from .measure import ROOT, machine

KINDS = ("image", "segmentation", "depth")
WORKFLOW = ROOT / "workflows" / "train_emoji_condition.json"
DEPTH = "depth"  # what a picture's hints are made as where the encoder reads none
Figures = dict[str, Any]
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Options:
    """values: inputs of the workflow, by "title.input". few: emoji that are drawn."""

    kinds: tuple[str, ...] = KINDS
    values: Values = field(default_factory=dict)
    few: int = 64
    size: int = 64
    guidance: float = 2.0
    steps: int = 50
    device: str = "cpu"


@dataclass(frozen=True, eq=False)
class Reader:
    """A trained model with its encoder, and the emoji that neither was trained on."""

    kind: str
    subject: Subject
    encoder: ConditionEncoder
    everything: Dataset
    validation: Dataset

    @torch.no_grad()
    def tokens(self, chosen: Dataset) -> tuple[Tensor, Tensor]:
        """(N, L, D) of what is shown for each, and (1, L, D) of nothing."""
        made = network(self.encoder.source, self.subject.device)
        assert isinstance(made, TokenEncoder)
        wanted = BY_KIND.get(self.kind, self.kind)
        data = framed(chosen, self.subject.size)
        reading = Reading(chosen, data, CORE[self.kind], self.encoder.config, wanted)
        y = reading(range(len(chosen)), Chance(0)).to(self.subject.device)
        return made(y), made.null(y[:1])

    def drawn(self, chosen: Dataset, options: Options) -> tuple[Tensor, Tensor]:
        """A picture for each as the encoder tells it, and one told nothing: (N, 3, H, W) each."""
        tokens, empty = self.tokens(chosen)
        told = self.subject.told(tokens, empty, options.guidance, options.steps)
        nothing = empty.expand(len(chosen), -1, -1)
        return told, self.subject.told(nothing, empty, 1.0, options.steps)


def prepared(engine: Engine, kind: str, options: Options) -> Reader:
    """The workflow's model for a kind, trained now where it was not before."""
    hints = kind if kind != "image" else DEPTH
    values = {"Hints.kind": hints, "Encoder.kind": kind, **dict(options.values)}
    found = engine.run(WORKFLOW, values, targets=["2", "3", "4", "7"]).require()
    model, _, encoder = found["7"][:3]
    _, clip, vae = found["4"][:3]
    subject = Subject.of(model, clip, vae, options.size, options.device)
    return Reader(kind, subject, encoder, found["2"][0], found["3"][1])


def measured(reader: Reader, options: Options, out: Path) -> Figures:
    """The figures, with the encoder and told nothing; a sheet to look at goes to `out`.

    The sheet has pairs of rows: the emoji that were shown, and what was drawn after them.
    """
    chosen = reader.validation.sample(options.few, 0)
    shown = _pictures(chosen, options.size)
    told, nothing = reader.drawn(chosen, options)
    agreement = AGREEMENTS[reader.kind](reader, chosen, shown)
    save_sheet(_pairs(shown[:SHOWN], told[:SHOWN]), out / f"{reader.kind}.png")
    return {"pictures": len(chosen), "with": agreement(told), "without": agreement(nothing)}


def _pictures(dataset: Dataset, size: int) -> Tensor:
    """(N, 3, H, W) in [0, 1]."""
    return (framed(dataset, size).batch(range(len(dataset)), Chance(0)) + 1) / 2


def _pairs(shown: Tensor, drawn: Tensor) -> Tensor:
    columns = min(COLUMNS, len(shown))
    whole = len(shown) // columns * columns
    rows = zip(shown[:whole].split(columns), drawn[:whole].split(columns), strict=True)
    return grid(torch.cat([part for row in rows for part in row]), columns)


Agreement = Callable[[Tensor], dict[str, float]]


def _likeness(reader: Reader, chosen: Dataset, _: Tensor) -> Agreement:
    pictures = _pictures(reader.everything, reader.subject.size)
    gallery, asked = Gallery.of(pictures, captions_of(reader.everything)), captions_of(chosen)
    return lambda drawn: {f"top{k}": gallery.recall(drawn, asked, k) for k in (1, 5)}


def _colours(_: Reader, __: Dataset, shown: Tensor) -> Agreement:
    wanted = _each(segmentation, shown)
    return lambda drawn: {
        "pixels": (_each(segmentation, drawn) == wanted).all(-1).float().mean().item()
    }


def _relief(_: Reader, __: Dataset, shown: Tensor) -> Agreement:
    wanted = _each(depth, shown)

    def agreement(drawn: Tensor) -> dict[str, float]:
        found = _each(depth, drawn)
        return {
            "correlation": correlation(found, wanted).mean().item(),
            "overlap": overlap(found > 0, wanted > 0).mean().item(),
        }

    return agreement


AGREEMENTS: Mapping[str, Callable[[Reader, Dataset, Tensor], Agreement]] = {
    "image": _likeness,
    "segmentation": _colours,
    "depth": _relief,
}


def _each(make: Callable[[Tensor], Tensor], pictures: Tensor) -> Tensor:
    return torch.cat([make(picture[None].movedim(1, -1)) for picture in pictures])


def correlation(one: Tensor, other: Tensor) -> Tensor:
    """Pearson's, of maps (N, H, W): (N,); 0 where one of the two is flat."""
    a, b = (maps.flatten(1) - maps.flatten(1).mean(1, keepdim=True) for maps in (one, other))
    product = a.norm(dim=1) * b.norm(dim=1)
    return torch.where(product > 0, (a * b).sum(1) / product.clamp_min(1e-12), 0.0)


def markdown(figures: Figures) -> str:
    """The figures as a table."""
    rows = [f"| {' | '.join(row)} |" for row in _rows(figures)]
    head = "| reads | figure | told | told nothing |\n|---|---|---|---|"
    return "\n".join([head, *rows]) + "\n"


def _rows(figures: Figures) -> Iterable[tuple[str, ...]]:
    for kind, found in figures["kinds"].items():
        for name, value in found["with"].items():
            yield kind, name, f"{value:.3f}", f"{found['without'][name]:.3f}"


def parsed(arguments: Sequence[str]) -> tuple[Options, Path]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    plain = Options()
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--training", type=int, help="steps; default: the workflow's")
    parser.add_argument("--few", type=int, default=plain.few, help="emoji that are drawn")
    parser.add_argument("--guidance", type=float, default=plain.guidance)
    parser.add_argument("--steps", type=int, default=plain.steps, help="of DDIM")
    parser.add_argument("--device", default=plain.device)
    parser.add_argument("--out", type=Path, default=ROOT / "output" / "figures")
    given = vars(parser.parse_args(arguments))
    out, training = given.pop("out"), given.pop("training")
    values = {} if training is None else {"Recipe.steps": training}
    return Options(values=values, kinds=tuple(given.pop("kinds")), **given), out


def main(arguments: Sequence[str]) -> None:
    options, out = parsed(arguments)
    settings = Settings(
        models=(ROOT / "models",),
        plugins=(ROOT / "plugins",),
        input=ROOT / "input",
        output=ROOT / "output",
        device=options.device,
        precision="fp32",
    )
    out.mkdir(parents=True, exist_ok=True)
    figures: Figures = {"machine": machine(), "kinds": {}}
    with Engine(nodes.modules(), settings) as engine:
        for kind in options.kinds:
            found = measured(prepared(engine, kind, options), options, out)
            figures["kinds"][kind] = found
            print(f"{kind}: {found}", file=sys.stderr, flush=True)
    (out / "conditions.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(markdown(figures))


if __name__ == "__main__":
    main(sys.argv[1:])
