"""What previews cost: the sampler with and without them, and each thing that is done for them.

The sampler is that of `workflows/text_to_image.json` on the embedded model: 64 x 64 pixels, batch
4, 30 steps, a step being so short that previews could hardly cost more. The map of SD's VAE is
fitted to random weights in its full shape: it takes as long as with the published ones. The parts
are measured as they run, in a thread that computes alone.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any

import torch
from torch import Tensor

from nodegraph import Engine
from nodegraph.computing import compute_alone
from nodegraph.events import Event, Preview
from nodegraph.pictures import as_picture
from nodegraph.server.previewing import Previewer, as_jpeg
from nodes.models.checkpoint import inspect, load
from nodes.models.latent_rgb import fit
from nodes.models.vae import VAE, VAEConfig
from nodes.previews import LatentPreview

from .embedded import CHECKPOINT, GRAPH, forgetful
from .measure import in_turn, medians, table

MODES = ("none", "latent2rgb", "auto")
ROUNDS, STEPS, LONGEST = 7, 30, 512


def main() -> None:
    with forgetful(device="cpu") as engine:
        _sampling(engine)
        alone = Thread(target=_parts, args=(engine,))
        alone.start()
        alone.join()


def _sampling(engine: Engine) -> None:
    graph = engine.load(GRAPH, targets=["5"])
    shown: dict[str, int] = dict.fromkeys(MODES, 0)

    def run(mode: str) -> Callable[[], object]:
        def work() -> None:
            previewer = Previewer(LONGEST, mode)

            def count(_: bytes) -> None:
                shown[mode] += 1

            def emit(event: Event) -> None:
                if isinstance(event, Preview):
                    previewer.offer("job", event.node, event.value, count)

            engine.run(graph, emit=emit).require()
            previewer.forget("job")
            previewer.close()

        return work

    works = {mode: run(mode) for mode in MODES}
    in_turn(works, 1)
    shown.update(dict.fromkeys(MODES, 0))
    times = in_turn(works, ROUNDS)
    found = medians(times)
    rows = [
        [
            mode,
            f"{found[mode]:.3f}",
            f"{100 * (found[mode] / found['none'] - 1):+.1f} %",
            f"{shown[mode] / sum(times[mode]):.1f}",
        ]
        for mode in MODES
    ]
    header = ["previews", "seconds", "more than without", "pictures a second"]
    table(f"{STEPS} steps of the sampler, four pictures of 64 x 64", header, rows)


@torch.no_grad()
def _parts(engine: Engine) -> None:
    compute_alone()
    offered = _last_preview(engine)
    small = load(inspect(CHECKPOINT), "vae", dtype=torch.float32, channels_last=True)
    large = VAE(VAEConfig()).eval().to(memory_format=torch.channels_last)
    picture = as_picture(offered, LONGEST, "auto")
    assert picture is not None
    works: dict[str, Callable[[], object]] = {
        "a map fitted, the embedded model's VAE": lambda: fit(small),
        "a map fitted, SD's VAE": lambda: fit(large),
        "latent to picture, W z + b": lambda: as_picture(offered, LONGEST, "latent2rgb"),
        "latent to picture, by the VAE": lambda: as_picture(offered, LONGEST, "auto"),
        "picture to JPEG": lambda: as_jpeg(picture),
    }
    in_turn(works, 1)
    rows = [[name, f"{1000 * value:.1f}"] for name, value in medians(in_turn(works, 5)).items()]
    table(f"What is done for previews, shown at {LONGEST} pixels", ["", "milliseconds"], rows)


def _last_preview(engine: Engine) -> LatentPreview:
    """The sampler's last estimate, as it is offered."""
    offered: list[Any] = []

    def emit(event: Event) -> None:
        if isinstance(event, Preview):
            offered.append(event.value)

    engine.run(GRAPH, {"5.steps": 4}, targets=["5"], emit=emit).require()
    last = offered[-1]
    assert isinstance(last, LatentPreview)
    assert isinstance(last.samples, Tensor)
    return last


if __name__ == "__main__":
    main()
