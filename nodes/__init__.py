"""The core nodes, and the pure parts they are made of (diffusion, models, imaging)."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

CORE = (
    "types",
    "loaders",
    "text",
    "latent",
    "sampling",
    "samplers",
    "sigmas",
    "guiding",
    "model_tweaks",
    "vae",
    "image",
    "latent_files",
    "lora",
    "merging",
    "model_saving",
)


def modules() -> tuple[ModuleType, ...]:
    """The modules of core nodes, for a registry. Imports torch."""
    return tuple(import_module(f"{__name__}.{name}") for name in CORE)
