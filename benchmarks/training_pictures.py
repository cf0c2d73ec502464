"""The pictures of docs/training.md, made anew.

    python -m benchmarks.training_pictures [--checkpoint NAME] [--only NAME ...] [--out FOLDER]

Charts need no network; sheets are drawn by the embedded model, from `input/example.png` or from
its own captions; `loss_by_time` needs the font of plugins/emoji. Some minutes on a CPU, most of
them for DDPM at full length. Noise is a function of a seed: equal files on one machine.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import nodes
from nodegraph import Engine, Settings
from nodes.diffusion.noise import BatchNoise, no_noise
from nodes.diffusion.prediction import Prediction, noised, scaled_input
from nodes.diffusion.samplers import Sampler
from nodes.diffusion.samplers.ddpm import Variance, ddim, ddpm
from nodes.diffusion.schedule import linear
from nodes.imaging.files import decode
from nodes.training.chance import Chance
from nodes.training.controlled import Guided, new_controlnet
from nodes.training.dataset import Dataset
from nodes.training.hints import edges
from nodes.training.simple_loss import Draw, SimpleLoss

from .emoji_figures import Options, prepared
from .emoji_subject import Subject
from .measure import ROOT
from .training_charts import CHARTS, figure_of, png, sheet

FOLDER = ROOT / "docs" / "images" / "training"
EXAMPLE = ROOT / "input" / "example.png"
PROMPTS = ("cat face", "red apple", "rocket", "sun")
TIMES = (0, 100, 300, 600, 999)
STEPS, GUIDANCE, EXAMPLES, TENTHS, MOST = 20, 3.0, 8, 10, 80
SamplerOf = Callable[[Tensor, Tensor], Sampler]


def ancestral(variance: Variance) -> SamplerOf:
    return lambda x, sigmas: ddpm(x, sigmas, BatchNoise(0), variance=variance)


@dataclass(frozen=True, eq=False)
class Studio:
    """What draws: a checkpoint that was trained on emoji, by its name."""

    engine: Engine
    checkpoint: str
    size: int = 64

    @cached_property
    def subject(self) -> Subject:
        load = {"class_type": "LoadCheckpoint", "inputs": {"ckpt_name": self.checkpoint}}
        found = self.engine.run({"model": load}, targets=["model"]).require()
        model, clip, vae = found["model"][:3]
        return Subject.of(model, clip, vae, self.size, "cpu")

    @cached_property
    def picture(self) -> Tensor:
        """(1, 3, H, W) in [0, 1]."""
        return decode(EXAMPLE.read_bytes()).image.movedim(-1, 1)

    @cached_property
    @torch.no_grad()
    def latent(self) -> Tensor:
        """z_0 of the picture, in the model's scale."""
        subject = self.subject
        return subject.vae.encode(self.picture * 2 - 1).mean * subject.model.scale

    def decoded(self, z: Tensor) -> Tensor:
        return self.subject.decoded(z / self.subject.model.scale)

    # -- sheets ----------------------------------------------------------------------------------

    def forward(self) -> bytes:
        """x_t at several times, in pixels and in latents."""
        schedule = self.subject.model.sampling.schedule
        pixels = _ladder(self.picture * 2 - 1, linear())
        latents = _ladder(self.latent, schedule.alpha_bar)
        rows = [(pixels + 1) / 2, self.decoded(latents)]
        return sheet(rows, ["pixels", "latents,\ndecoded"], [f"t = {t}" for t in TIMES])

    def latents(self) -> bytes:
        """A picture, its latent's channels, and what comes back."""
        z = self.latent[0]
        low, high = z.amin((1, 2), keepdim=True), z.amax((1, 2), keepdim=True)
        grey = ((z - low) / (high - low))[:, None].expand(-1, 3, -1, -1)
        enlarged = grey.repeat_interleave(self.subject.factor, -1)
        enlarged = enlarged.repeat_interleave(self.subject.factor, -2)
        back = self.decoded(self.latent)
        wrong = 1 - 4 * (self.picture - back).abs()
        row = torch.cat([self.picture, enlarged, back, wrong])
        names = ["x", *(f"z[{i}]" for i in range(len(z))), "D(z)", "error, x 4"]
        return sheet([row], [""], names)

    def estimates(self) -> bytes:
        """x_t and x̂_0 over the steps of DDIM."""
        seen: list[tuple[Tensor, Tensor]] = []
        self.subject.drawn(PROMPTS[:1], GUIDANCE, STEPS, lambda x, s: _watched(x, s, seen))
        shown = [0, 2, 4, 7, 10, 14, 17, STEPS - 1]
        rows = [torch.cat([seen[i][k] for i in shown]) for k in (0, 1)]
        names = [f"step {i + 1}" for i in shown]
        return sheet([self.decoded(row) for row in rows], ["$x_t$", "$\\hat{x}_0$"], names)

    def guidance(self) -> bytes:
        """The same noise under several scales of guidance."""
        scales = (0.0, 1.0, 3.0, 7.0)
        rows = [self.subject.drawn(PROMPTS, scale, STEPS) for scale in scales]
        return sheet(rows, [f"w = {scale:g}" for scale in scales], PROMPTS)

    def skipping(self) -> bytes:
        """DDIM in few steps, and DDPM in all of them, from the same noise."""
        rows = [self.subject.drawn(PROMPTS, GUIDANCE, steps) for steps in (10, 20, 50)]
        rows.append(self.subject.drawn(PROMPTS, GUIDANCE, 1000, ancestral("beta_tilde")))
        return sheet(rows, ["DDIM\n10", "DDIM\n20", "DDIM\n50", "DDPM\n1000"], PROMPTS)

    def two_variances(self) -> bytes:
        """DDPM with β̃ and with β, where there are few steps."""
        names: dict[Variance, str] = {"beta_tilde": "β̃", "beta": "β"}
        asked = [(variance, steps) for steps in (10, 50) for variance in names]
        rows = [self.subject.drawn(PROMPTS, GUIDANCE, n, ancestral(each)) for each, n in asked]
        return sheet(rows, [f"{names[each]}\n{n} steps" for each, n in asked], PROMPTS)

    # -- charts ----------------------------------------------------------------------------------

    def zero_convolutions(self) -> bytes:
        """The gradients of a ControlNet's parts in its first three steps."""
        found = self.gradients(3)
        figure = figure_of(760, 300, layout="constrained")
        axes = figure.subplots()
        parts, least = list(found[0]), 1e-7
        for step, norms in enumerate(found):
            places = [i + 0.27 * (step - 1) for i in range(len(parts))]
            heights = [max(norms[part], least) for part in parts]
            axes.bar(places, heights, 0.25, label=f"step {step}", bottom=0)
            for place, part in zip(places, parts, strict=True):
                if norms[part] == 0:
                    axes.text(place, 1.5 * least, "0", ha="center")
        axes.set(yscale="log", ylabel="length of the gradient", ylim=(least, None))
        axes.set_xticks(range(len(parts)), parts)
        axes.legend(fontsize=8)
        return png(figure)

    def gradients(self, steps: int) -> list[dict[str, float]]:
        """For each step, the length of the loss's gradient in each part of a new ControlNet."""
        subject = self.subject
        unet, sampling = subject.unet, subject.model.sampling
        network = new_controlnet(unet, seed=0)
        hints = edges(self.picture.movedim(1, -1)).movedim(-1, 1).expand(EXAMPLES, -1, -1, -1)
        guided, examples = Guided(network, _Hints(hints), "edges"), tuple(range(EXAMPLES))
        tokens = subject.tokens(PROMPTS[:1] * EXAMPLES)
        x_0 = self.latent.expand(EXAMPLES, -1, -1, -1)
        optimizer = torch.optim.AdamW(network.parameters(), lr=3e-4)
        objective, found = SimpleLoss(sampling), []
        for step in range(steps):
            chance = Chance(0, (step,))

            def answer(x_t: Tensor, t: Tensor, chance: Chance = chance) -> Tensor:
                control = guided(examples, chance, x_t, t, tokens)
                return unet(x_t, t, tokens, control=control)

            optimizer.zero_grad()
            total = objective(answer, x_0, Draw.of(x_0, objective.T, chance)).total
            torch.autograd.backward(total)
            found.append({name: _length(each) for name, each in _parts(network).items()})
            optimizer.step()
        return found

    def loss_by_time(self) -> bytes:
        """L_simple by tenths of the times: of pictures that were trained on, and of others."""
        subject, emoji, _ = prepared(self.engine, Options(checkpoint=self.checkpoint))
        known = self._known(emoji.training.captions)
        chosen = {
            "trained on": (emoji.training, _numbers(emoji.training, known, among=True)),
            "set aside": (emoji.validation, _numbers(emoji.validation, known, among=False)),
        }
        figure = figure_of(700, 300, layout="constrained")
        axes = figure.subplots()
        middles = [(i + 0.5) * 1000 / TENTHS for i in range(TENTHS)]
        for name, (dataset, numbers) in chosen.items():
            captions = [dataset.examples[i].caption for i in numbers]
            pictures = emoji.pictures(dataset)[numbers]
            losses = subject.losses(pictures, captions, TENTHS)
            axes.plot(middles, losses, "o-", label=f"{len(pictures)} emoji {name}")
        axes.axhline(1, color="#888888", linewidth=0.8, linestyle=":", label="an answer of 0")
        axes.set(yscale="log", xlabel="time t", ylabel="L_simple")
        axes.legend(fontsize=8)
        return png(figure)

    def _known(self, captions: Sequence[str]) -> set[str]:
        """Captions that the checkpoint was trained on: those in the list beside it, or all."""
        file = (ROOT / "models" / "checkpoints" / self.checkpoint).with_suffix(".captions.json")
        return set(json.loads(file.read_text()) if file.is_file() else captions)


def _numbers(dataset: Dataset, known: set[str], *, among: bool) -> list[int]:
    """Examples whose caption is, or is not, among those known; evenly chosen, some MOST of them."""
    found = [i for i, e in enumerate(dataset.examples) if (e.caption in known) == among]
    return found[:: max(len(found) // MOST, 1)]


def _ladder(x_0: Tensor, alpha_bar: Tensor) -> Tensor:
    """x_t at TIMES with one draw of ε; at time 0 x_0 itself."""
    eps = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(0))
    steps = [noised(x_0, eps, alpha_bar[t].float()) for t in TIMES[1:]]
    return torch.cat([x_0, *steps])


def _watched(x: Tensor, sigmas: Tensor, seen: list[tuple[Tensor, Tensor]]) -> Sampler:
    """DDIM, that leaves x_t and x̂_0 of each step in `seen`."""
    inner = ddim(x, sigmas, no_noise)
    question = next(inner)
    while True:
        predicted: Prediction = yield question
        x_t = scaled_input(question[0], torch.tensor(question[1]))
        seen.append((x_t, predicted.denoised))
        try:
            question = inner.send(predicted)
        except StopIteration as finished:
            return finished.value


@dataclass(frozen=True, eq=False)
class _Hints:
    rows: Tensor

    def hint(self, name: str, examples: Sequence[int], chance: Chance) -> Tensor:
        del name, chance
        return self.rows[list(examples)]


def _parts(network: Any) -> dict[str, list[nn.Module]]:
    *before, last = network.input_hint_block
    return {
        "Z, the zero\nconvolutions": [*network.zero_convs, network.middle_block_out],
        "E, the copied\nblocks": [*network.input_blocks, network.middle_block],
        "G's last layer,\nalso zero": [last],
        "G, the hint\nencoder's others": before,
    }


def _length(modules: Sequence[nn.Module]) -> float:
    gradients = [p.grad for module in modules for p in module.parameters() if p.grad is not None]
    return float(torch.stack([g.square().sum() for g in gradients]).sum().sqrt())


SHEETS = (
    "forward", "latents", "estimates", "guidance", "skipping", "two_variances",
    "zero_convolutions", "loss_by_time",
)  # fmt: skip
PICTURES = (*CHARTS, *SHEETS)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--checkpoint", default=Options().checkpoint)
    parser.add_argument("--only", nargs="+", choices=PICTURES, default=PICTURES)
    parser.add_argument("--out", type=Path, default=FOLDER)
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    settings = Settings(models=(ROOT / "models",), plugins=(ROOT / "plugins",), precision="fp32")
    with Engine(nodes.modules(), settings) as engine:
        studio = Studio(engine, given.checkpoint)
        for name in given.only:
            made = CHARTS[name]() if name in CHARTS else getattr(studio, name)()
            (given.out / f"{name}.png").write_bytes(made)
            print(f"{given.out / name}.png: {len(made):,} bytes", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
