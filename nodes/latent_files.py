"""Nodes that save and load latents, in the ecosystem's `.latent` format (a safetensors file)."""

from __future__ import annotations

from typing import Annotated

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from nodegraph import Context, FileOf, NodeGraphError, SavedFile, Shown, node
from nodes.image import graph_text
from nodes.types import FACTOR, Latent

SAMPLES = "latent_tensor"
VERSION_MARK = "latent_format_version_0"  # without it, samples are in the UNet's scale
OLD_SCALE = 0.18215
EXTRA = {"noise_mask": "nodegraph.noise_mask", "batch_index": "nodegraph.batch_index"}


@node("SaveLatent", category="_for_testing", display_name="SaveLatent", lane="io")
def save_latent(
    samples: Latent, filename_prefix: str = "latents/ComfyUI", *, context: Context
) -> Shown:
    """Write a latent to the output folder, with its mask, indices and the graph that made it."""
    tensors = {SAMPLES: samples.samples.contiguous().cpu(), VERSION_MARK: torch.tensor([])}
    if samples.noise_mask is not None:
        tensors[EXTRA["noise_mask"]] = samples.noise_mask.contiguous().cpu()
    if samples.batch_index is not None:
        tensors[EXTRA["batch_index"]] = torch.tensor(samples.batch_index)
    metadata = {**graph_text(context), "nodegraph.factor": str(samples.factor)}
    width, height = samples.size
    [name] = context.need_folders().reserve(
        "output", filename_prefix, ".latent", width=width, height=height
    )
    try:
        name.write(save(tensors, metadata))
    except BaseException:
        name.release()
        raise
    return Shown((SavedFile(name.path.name, name.subfolder, "output"),), key="latents")


@node("LoadLatent", category="_for_testing", display_name="LoadLatent", lane="io")
def load_latent(
    latent: Annotated[str, FileOf("latents", upload=True)], *, context: Context
) -> Latent:
    """A latent from the input folder."""
    path = context.need_folders().resolve("latents", latent)
    try:
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
            if SAMPLES not in names:
                raise NodeGraphError(f"{latent} is no latent file: it has no {SAMPLES}")
            samples = file.get_tensor(SAMPLES).float().clone()
            mask = _read(file, names, EXTRA["noise_mask"])
            index = _read(file, names, EXTRA["batch_index"])
            factor = int((file.metadata() or {}).get("nodegraph.factor", FACTOR))
    except (SafetensorError, ValueError) as error:
        raise NodeGraphError(f"{latent} is no latent file, or is damaged: {error}") from error
    if samples.ndim != 4:
        raise NodeGraphError(f"{latent} holds {samples.ndim} dimensions; a latent has 4")
    scale = 1.0 if VERSION_MARK in names else 1 / OLD_SCALE
    batch_index = None if index is None else tuple(int(i) for i in index)
    return Latent(samples * scale, mask, batch_index, factor)


def _read(file: safe_open, names: set[str], name: str) -> torch.Tensor | None:
    return file.get_tensor(name).clone() if name in names else None
