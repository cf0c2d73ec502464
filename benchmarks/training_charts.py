"""The charts of docs/training.md that need no trained network, and how its sheets are laid out."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from nodes.diffusion.prediction import Prediction, to_eps
from nodes.diffusion.samplers.ddpm import VARIANCES, Variance, ddpm
from nodes.diffusion.schedule import NoiseSchedule, betas_of, cosine, linear, respace, scaled_linear
from nodes.diffusion.times import linspace
from nodes.training.ema import Ema
from nodes.training.rate import warmed_cosine
from nodes.training.simple_loss import min_snr

DOTS = 100  # per inch
LIMIT = 40_000  # bytes that a picture may have
MARGIN, GAP = 62, 3  # pixels, of a sheet's row labels and between its pictures
NAMES = {"beta": "β", "beta_tilde": "β̃", "learned": "exact, as learned"}
COLOURS = {"beta": "#c08040", "beta_tilde": "#1f4e8c", "learned": "#3a8a4a"}


def figure_of(width: int, height: int, **options: Any) -> Any:
    """An empty figure of so many pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / DOTS, height / DOTS), dpi=DOTS, **options)
    FigureCanvasAgg(figure)
    return figure


def png(figure: Any) -> bytes:
    """A figure as a PNG file of at most LIMIT bytes: of as many colours as fit, up to 256."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    whole = Image.open(file).convert("RGB")
    for colours in (256, 128, 64, 48, 32, 24, 16):
        small = io.BytesIO()
        reduced = whole.quantize(colours, dither=Image.Dither.NONE)
        reduced.save(small, format="png", optimize=True)
        if small.tell() < LIMIT:
            break
    return small.getvalue()


def sheet(
    rows: Sequence[Tensor], names: Sequence[str], columns: Sequence[str], scale: int = 1
) -> bytes:
    """Rows of pictures (N, 3, H, W) in [0, 1], each pixel as `scale` x `scale`, with labels."""
    side_y, side_x = (scale * n for n in rows[0].shape[-2:])
    top = 20 if any(columns) else GAP
    width = MARGIN + len(rows[0]) * (side_x + GAP)
    height = top + len(rows) * (side_y + GAP)
    figure = figure_of(width, height)
    style = {"ha": "center", "va": "center", "fontsize": 8}
    for j, name in enumerate(columns):
        x = MARGIN + j * (side_x + GAP) + side_x / 2
        figure.text(x / width, 1 - top / 2 / height, name, **style)
    for i, (row, name) in enumerate(zip(rows, names, strict=True)):
        y = height - top - i * (side_y + GAP) - side_y
        figure.text(MARGIN / 2 / width, (y + side_y / 2) / height, name, **style)
        for j, picture in enumerate(row):
            x = MARGIN + j * (side_x + GAP)
            place = (x / width, y / height, side_x / width, side_y / height)
            axes = figure.add_axes(place)
            axes.imshow(picture.movedim(0, -1).clamp(0, 1).numpy(), interpolation="nearest")
            axes.set_axis_off()
    return png(figure)


# -- the three variances on data that are normal: N(0, s²), where all is known -------------------


def posterior_share(alpha_bar: Tensor, s: float) -> tuple[Tensor, Tensor, Tensor]:
    """(β, β̃, exact) of each step, (T,): exact is the variance of q(x_{t−1} | x_t) for N(0, s²).

    exact = β̃ + c_0² Var(x_0 | x_t), with Var(x_0 | x_t) = 1/(1/s² + ᾱ/(1−ᾱ)), c_0 of DDPM's eq. 7.
    """
    beta = betas_of(alpha_bar)
    before = torch.cat([alpha_bar.new_ones(1), alpha_bar[:-1]])
    beta_tilde = beta * (1 - before) / (1 - alpha_bar)
    c_0 = before.sqrt() * beta / (1 - alpha_bar)
    unsure = 1 / (1 / s**2 + alpha_bar / (1 - alpha_bar))
    return beta, beta_tilde, beta_tilde + c_0**2 * unsure


def deviation_after(steps: int, variance: Variance, s: float, count: int = 20_000) -> float:
    """The deviation of what `ddpm` draws in so many steps with the best network for N(0, s²)."""
    schedule = NoiseSchedule(linear())
    times = linspace(steps)
    beta, beta_tilde, exact = posterior_share(respace(schedule.alpha_bar, times), s)
    share = (exact / beta_tilde).log() / (beta / beta_tilde).log()  # nan at the end, where β̃ = 0
    v = dict(zip(sorted(times, reverse=True), (2 * share - 1).flip(0), strict=True))
    generator = torch.Generator().manual_seed(0)

    def noise(x: Tensor, _sigma: float, _s: float) -> Tensor:
        return torch.randn(x.shape, generator=generator, dtype=x.dtype)

    sigmas = schedule.sigmas_at(times, dtype=torch.float64)
    x = noise(torch.zeros(count, dtype=torch.float64), 0, 0) * (s**2 + sigmas[0] ** 2).sqrt()
    sampler = ddpm(x, sigmas, noise, variance=variance)
    x, sigma = next(sampler)
    try:
        for time in times:
            x_0 = x * s**2 / (s**2 + sigma**2)
            eps = to_eps(x_0, x, x.new_tensor(sigma))
            x, sigma = sampler.send(Prediction(x_0, eps, log_variance=v[time].expand_as(x)))
    except StopIteration as finished:
        x = finished.value
    return float(x.std())


def variances() -> bytes:
    """β, β̃ and what lies between: over the times, and what they do to samples of few steps."""
    figure = figure_of(900, 330, layout="constrained")
    left, right = figure.subplots(1, 2)
    s = 0.5
    for steps, style in ((1000, "-"), (20, "--")):
        times = torch.tensor(sorted(linspace(steps)))
        beta, *others = posterior_share(respace(linear(), times.tolist()), s)
        for name, other in zip(("beta_tilde", "learned"), others, strict=True):
            label = f"{NAMES[name]}, {steps} steps"
            left.plot(times[1:], (other / beta)[1:], style, color=COLOURS[name], label=label)
    left.axhline(1, color=COLOURS["beta"], label=NAMES["beta"], linewidth=1)
    left.set(xscale="log", xlabel="time t", ylabel="variance / β", title="σ² of p(x_s | x_t)")
    counts = (3, 5, 10, 20, 50, 100, 300, 1000)
    for name in VARIANCES:
        found = [deviation_after(n, name, s) for n in counts]
        right.plot(counts, found, "o-", color=COLOURS[name], label=NAMES[name], markersize=3)
    right.axhline(s, color="#888888", linewidth=0.8, linestyle=":")
    right.set(xscale="log", xlabel="steps", ylabel="deviation of the samples")
    right.set(title=f"data N(0, {s}²)")
    for axes in (left, right):
        axes.legend(fontsize=7)
    return png(figure)


# -- the rest ------------------------------------------------------------------------------------


def schedules() -> bytes:
    """√ᾱ over the times, of three schedules."""
    figure = figure_of(700, 280, layout="constrained")
    axes = figure.subplots()
    makers: dict[str, Callable[[], Tensor]] = {
        "linear (DDPM)": linear,
        "scaled linear (Stable Diffusion)": scaled_linear,
        "cosine (improved DDPM)": cosine,
    }
    for name, make in makers.items():
        axes.plot(make().sqrt(), label=name)
    axes.set(xlabel="time t", ylabel="√ᾱ: what is left of the picture")
    axes.legend(fontsize=8)
    return png(figure)


def weights() -> bytes:
    """By how much an error in x̂_0 counts, over the times."""
    figure = figure_of(700, 300, layout="constrained")
    axes = figure.subplots()
    alpha_bar = linear()
    snr = alpha_bar / (1 - alpha_bar)
    axes.plot(snr, label="ε: SNR", color="#e8b070", linewidth=5)
    axes.plot(snr + 1, label="v: SNR + 1", color="#3a8a4a")
    axes.plot(min_snr("x0", snr, 5.0), label="min-SNR, γ = 5", color="#1f4e8c")
    axes.axhline(1, color="#888888", linewidth=0.8, linestyle=":", label="x_0: 1")
    axes.set(yscale="log", xlabel="time t", ylabel="weight of |x_0 − x̂_0|²", ylim=(1e-4, 2e4))
    axes.legend(fontsize=8)
    return png(figure)


def rates() -> bytes:
    """The learning rate and the average's decay over a run of 1,000 steps."""
    figure = figure_of(900, 260, layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = range(1000)
    left.plot(steps, [warmed_cosine(step, 1000, 100) for step in steps], color="#c08040")
    left.set(xlabel="step", ylabel="rate / peak", title="warm-up 100, cosine to 0")
    average = Ema([], 0.99)
    right.plot(steps, [average.at(step) for step in steps], color="#1f4e8c")
    right.set(xlabel="update k", ylabel="d", title="min(0.99, (1 + k)/(10 + k))", ylim=(0, 1.05))
    return png(figure)


CHARTS: dict[str, Callable[[], bytes]] = {
    "schedules": schedules,
    "variances": variances,
    "weights": weights,
    "rates": rates,
}
