"""The curve of a run: its loss by step, as a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image as Pictures
from torch import Tensor

SMOOTHING = 50  # parts of a run that each point of the smooth line is a mean over


def loss_curve(history: Sequence[Mapping[str, Any]], title: str = "") -> bytes:
    """A PNG of 960 x 480 pixels: the loss of each step, its running mean, and the rate.

    Needs matplotlib (an ImportError says so).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps = [line["step"] for line in history]
    losses = [line["loss"] for line in history]
    figure = Figure(figsize=(9.6, 4.8), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot(steps, losses, color="#b0c4de", linewidth=0.6, label="loss of a step")
    axes.plot(steps, running_mean(losses), color="#1f4e8c", linewidth=1.6, label="running mean")
    if losses and min(losses) > 0:
        axes.set_yscale("log")
    axes.set(xlabel="step", ylabel="loss", title=title)
    rate = axes.twinx()
    rate.plot(steps, [line.get("rate", 0.0) for line in history], color="#c08040", linewidth=0.8)
    rate.set_ylabel("learning rate")
    axes.legend(loc="upper right")
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def curve_picture(history: Sequence[Mapping[str, Any]], title: str = "") -> Tensor:
    """The same as an image (1, 480, 960, 3) in [0, 1]."""
    with Pictures.open(io.BytesIO(loss_curve(history, title))) as picture:
        rgb = np.asarray(picture.convert("RGB"))
    return torch.from_numpy(rgb / np.float32(255))[None]


def running_mean(values: Sequence[float]) -> list[float]:
    """At each place the mean of the last values, of a fiftieth of them all and at least one."""
    window = max(len(values) // SMOOTHING, 1)
    found, total = [], 0.0
    for i, value in enumerate(values):
        total += value - (values[i - window] if i >= window else 0.0)
        found.append(total / min(i + 1, window))
    return found


def loss_by_time_picture(losses: Sequence[float], T: int, title: str = "") -> bytes:
    """A PNG of 960 x 480 pixels: a bar for the loss in each of equal parts of the times 0 to T.

    Needs matplotlib (an ImportError says so).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 4.8), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    width = T / len(losses)
    starts = [part * width for part in range(len(losses))]
    axes.bar(starts, losses, width=0.9 * width, align="edge", color="#1f4e8c")
    axes.set(xlabel="time", ylabel="squared error", title=title, xlim=(0, T))
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
