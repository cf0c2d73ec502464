"""Nodes that save and load latents, in the ecosystem's `.latent` format (a safetensors file).

The tensor `latent_tensor` holds the samples. An empty tensor `latent_format_version_0` says that
they are in the VAE's scale; in a file without it they are in the UNet's. What other programs pass
over is ours: noise mask and batch index as tensors, the factor in the metadata.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from nodegraph import Context, FileOf, NodeGraphError, SavedFile, Shown, node
from nodes.image import graph_text
from nodes.types import FACTOR, Latent

SAMPLES = "latent_tensor"
VERSION_MARK = "latent_format_version_0"
OLD_SCALE = 0.18215
NOISE_MASK, BATCH_INDEX = "nodegraph.noise_mask", "nodegraph.batch_index"
LATENT_FACTOR = "nodegraph.factor"
LARGEST_FACTOR = 1024


@node("SaveLatent", category="_for_testing", display_name="SaveLatent", lane="io")
def save_latent(
    samples: Latent, filename_prefix: str = "latents/ComfyUI", *, context: Context
) -> Shown:
    """Write a latent to the output folder, with its mask, indices and the graph that made it."""
    tensors = {SAMPLES: samples.samples, VERSION_MARK: torch.empty(0)}
    if samples.noise_mask is not None:
        tensors[NOISE_MASK] = samples.noise_mask
    if samples.batch_index is not None:
        tensors[BATCH_INDEX] = torch.tensor(samples.batch_index)
    metadata = {**graph_text(context), LATENT_FACTOR: str(samples.factor)}
    width, height = samples.size
    [name] = context.need_folders().reserve(
        "output", filename_prefix, ".latent", width=width, height=height
    )
    try:
        host = {key: tensor.cpu().contiguous() for key, tensor in tensors.items()}
        data = save(host, metadata)
        name.write(data)
    except BaseException:
        name.release()
        raise
    digest = hashlib.sha256(data).hexdigest()
    return Shown((SavedFile(name.path.name, name.subfolder, "output", digest),), key="latents")


@node("LoadLatent", category="_for_testing", display_name="LoadLatent", lane="io")
def load_latent(latent: Annotated[str, FileOf("latents")], *, context: Context) -> Latent:
    """A latent from the input folder."""
    path = context.need_folders().resolve("latents", latent)
    try:
        tensors, metadata = _read(path)
        loaded = _latent(tensors, metadata)
    except (SafetensorError, OSError, ValueError) as error:
        raise NodeGraphError(
            f"{latent} is no latent file, or is damaged: {error}; give one that SaveLatent wrote"
        ) from error
    return loaded


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        known = {SAMPLES, VERSION_MARK, NOISE_MASK, BATCH_INDEX} & set(file.keys())
        return {name: file.get_tensor(name) for name in known}, file.metadata() or {}


def _latent(tensors: dict[str, Tensor], metadata: dict[str, str]) -> Latent:
    """Copies: the file's own tensors are mapped, and would change with it.

    Raises ValueError for what is no latent.
    """
    if SAMPLES not in tensors:
        raise ValueError(f"it has no tensor {SAMPLES}")
    samples, mask, index = (tensors.get(name) for name in (SAMPLES, NOISE_MASK, BATCH_INDEX))
    assert samples is not None
    if samples.ndim != 4 or not samples.numel():
        raise ValueError(f"its samples are {tuple(samples.shape)}, expected (B, C, h, w)")
    if mask is not None and (mask.ndim != 4 or mask.shape[1] != 1 or not mask.numel()):
        raise ValueError(f"its noise mask is {tuple(mask.shape)}, expected (B, 1, H, W)")
    if index is not None and (index.shape != samples.shape[:1] or int(index.min()) < 0):
        raise ValueError(f"its batch index is {index.tolist()}, expected one for each image")
    factor = int(metadata.get(LATENT_FACTOR, FACTOR))
    if not 1 <= factor <= LARGEST_FACTOR:
        raise ValueError(f"its factor is {factor}, expected 1 to {LARGEST_FACTOR}")
    scale = 1.0 if VERSION_MARK in tensors else 1 / OLD_SCALE
    return Latent(
        samples.float() * scale,
        None if mask is None else mask.to(torch.float32, copy=True),
        None if index is None else tuple(int(i) for i in index),
        factor,
    )
