"""The core nodes, and the pure parts they are made of (diffusion, models, imaging)."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

CORE = (
    "types",
    "loaders",
    "text",
    "clip_vision",
    "conditioning",
    "class_labels",
    "encoders",
    "controlnet",
    "latent",
    "latent_batch",
    "latent_arithmetic",
    "latent_compositing",
    "latent_transforms",
    "sampling",
    "samplers",
    "sigmas",
    "guiding",
    "model_tweaks",
    "vae",
    "vae_inpainting",
    "conditioning_inputs",
    "image",
    "image_composing",
    "image_filters",
    "mask",
    "upscaling",
    "latent_files",
    "lora",
    "merging",
    "model_saving",
    "dataset",
    "training_recipe",
    "new_models",
    "new_encoders",
    "new_classes",
    "train_autoencoder",
    "train_diffusion",
    "train_controlnet",
    "evaluating",
    "lora_model",
    "train_lora",
    "train_lora_latents",
)


def modules() -> tuple[ModuleType, ...]:
    """The modules of core nodes, for a registry. Imports torch."""
    return tuple(import_module(f"{__name__}.{name}") for name in CORE)
