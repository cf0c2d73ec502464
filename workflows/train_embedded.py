"""Trains the embedded model: autoencoder, diffusion model, ControlNets, one after the other.

    python workflows/train_embedded.py [--gpu] [--budget MINUTES] [--models DIR] [options of run]

Each stage is a graph of this folder, run by `main.py run`. A stage that was stopped (Ctrl-C, the
budget, a crash) goes on where it was when this is started again; one that is finished is reused.
What a stage saves is put into the models folder, under the name that the next stage asks for.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NICE = 19
CHECKPOINT = "emoji-trained.safetensors"
TIME_UP = 75  # exit code: there is more to do (EX_TEMPFAIL)
GRACE = 600  # seconds a stage has to save its state


@dataclass(frozen=True)
class Stage:
    """A graph, the inputs that are set in it, and where in the models folder its result goes."""

    graph: str
    result: str
    values: tuple[str, ...] = ()

    def command(self, options: Sequence[str]) -> list[str]:
        graph = str(ROOT / "workflows" / f"{self.graph}.json")
        given = [part for value in self.values for part in ("--set", value)]
        return [sys.executable, str(ROOT / "main.py"), "run", graph, "--quiet", *given, *options]


def stages(gpu: bool) -> tuple[Stage, ...]:
    """What is done, in order."""
    model = f"checkpoints/{CHECKPOINT}"
    if gpu:
        first = (Stage("train_emoji_gpu", model),)
    else:
        first = (
            Stage("train_emoji_autoencoder", "vae/emoji-trained.safetensors"),
            Stage("train_emoji", model),
        )
    return (
        *first,
        *(
            Stage(
                f"train_emoji_{kind}",
                f"controlnet/emoji-trained-{kind}.safetensors",
                (f"Checkpoint.ckpt_name={CHECKPOINT}", *(LARGE if gpu else ())),
            )
            for kind in ("edges", "silhouettes")
        ),
    )


LARGE = (
    "Emoji.size=128",
    "Train the ControlNet.resolution=128",
    "Recipe.batch=128",
    "Recipe.steps=2500",
    "Recipe.arithmetic=bf16",
    "Recipe.compiled=true",
    "Size.width=128",
    "Size.height=128",
)


def run(command: Sequence[str], until: float | None) -> list[Path] | int:
    """The files that a stage saved; or its exit code, TIME_UP where it was stopped.

    until: on the monotonic clock; None: as long as it takes.
    """
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    stopped = False
    try:
        left = None if until is None else max(until - time.monotonic(), 0)
        said, _ = child.communicate(timeout=left)
    except (subprocess.TimeoutExpired, KeyboardInterrupt) as cause:
        if stopped := isinstance(cause, subprocess.TimeoutExpired):
            child.send_signal(signal.SIGINT)
        said, _ = child.communicate(timeout=GRACE)  # a terminal's Ctrl-C has reached it as well
    if child.returncode:
        return TIME_UP if stopped else child.returncode
    return [ROOT / line for line in said.splitlines() if line]


def keep(files: Sequence[Path], models: Path, result: str) -> Path:
    """Copy the model among a stage's files to its place, whole or not at all."""
    [saved] = [file for file in files if file.suffix == ".safetensors"]
    place = models / result
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f".{place.name}.partial")
    shutil.copyfile(saved, partial)
    partial.replace(place)
    return place


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gpu", action="store_true", help="128 pixels, larger networks, bf16")
    parser.add_argument("--budget", type=float, default=0, help="minutes; 0: until it is done")
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="where results go")
    asked, others = parser.parse_known_args(arguments)
    if hasattr(os, "nice"):
        os.nice(NICE)
    asked.models.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + asked.budget * 60 if asked.budget else None
    options = ["--models", str(asked.models), *others]
    for stage in stages(asked.gpu):
        print(f"{stage.graph} ...", flush=True)
        files = run(stage.command(options), until)
        if isinstance(files, int):
            if files == TIME_UP:
                print("the time is up: start again to go on", flush=True)
            return files
        print(f"{stage.graph}: {keep(files, asked.models, stage.result)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
