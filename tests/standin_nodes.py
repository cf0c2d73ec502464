"""Core nodes by their ports alone: what graphs are written against, without anything to run."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

from nodegraph.node import OPTIONAL, FileOf, Number, Seed, Text, Tip, node
from nodegraph.outputs import Shown
from nodegraph.registry import Alias
from nodegraph.types import PortType


@dataclass(frozen=True)
class Model: ...


@dataclass(frozen=True)
class Clip: ...


@dataclass(frozen=True)
class Vae: ...


@dataclass(frozen=True)
class Conditioning: ...


@dataclass(frozen=True)
class Latent: ...


@dataclass(frozen=True)
class Image: ...


@dataclass(frozen=True)
class Mask: ...


@dataclass(frozen=True)
class ControlNet: ...


MODEL = PortType("MODEL", Model)
CLIP = PortType("CLIP", Clip)
VAE = PortType("VAE", Vae)
CONDITIONING = PortType("CONDITIONING", Conditioning)
LATENT = PortType("LATENT", Latent)
IMAGE = PortType("IMAGE", Image)
MASK = PortType("MASK", Mask)
CONTROL_NET = PortType("CONTROL_NET", ControlNet)

Sampler = Literal["euler", "dpmpp_2m", "ddim"]
Scheduler = Literal["normal", "karras", "simple"]
Switch = Literal["enable", "disable"]
Resize = Literal["nearest-exact", "bilinear", "area"]
Size = Annotated[int, Number(16, 16384, step=8)]
Strength = Annotated[float, Number(-100.0, 100.0, step=0.01)]
Share = Annotated[float, Number(0.0, 1.0, step=0.001)]


class Checkpoint(NamedTuple):
    model: Model
    clip: Clip
    vae: Vae


class Patched(NamedTuple):
    model: Model
    clip: Clip


class Pair(NamedTuple):
    positive: Conditioning
    negative: Conditioning


class Picture(NamedTuple):
    image: Image
    mask: Annotated[Mask, Tip("1 where the picture is transparent")]


@node("LoadCheckpoint", category="loaders")
def load_checkpoint(ckpt_name: Annotated[str, FileOf("checkpoints")]) -> Checkpoint:
    """Load a model."""
    raise NotImplementedError


@node("LoadVAE", category="loaders")
def load_vae(vae_name: Annotated[str, FileOf("vae", extra=("pixel_space",))]) -> Vae:
    """Load a VAE."""
    raise NotImplementedError


@node("LoadLora", category="loaders", display_name="Load LoRA")
def lora_loader(
    model: Model,
    clip: Clip,
    lora_name: Annotated[str, FileOf("loras")],
    strength_model: Strength = 1.0,
    strength_clip: Strength = 1.0,
) -> Patched:
    """Add a LoRA."""
    raise NotImplementedError


@node("LoadLoraModelOnly", category="loaders")
def lora_loader_model_only(
    model: Model,
    lora_name: Annotated[str, FileOf("loras")],
    strength_model: Strength = 1.0,
) -> Model:
    """Add a LoRA to the model alone."""
    raise NotImplementedError


NAMES = Alias({"LoraLoader": ("LoadLora", "Load LoRA")})


@node("LoadControlNet", category="loaders")
def control_net_loader(control_net_name: Annotated[str, FileOf("controlnet")]) -> ControlNet:
    """Load a ControlNet."""
    raise NotImplementedError


@node("CLIPEncode", category="conditioning")
def clip_encode(
    text: Annotated[str, Text(multiline=True, dynamic_prompts=True)], clip: Clip
) -> Conditioning:
    """Encode a prompt."""
    raise NotImplementedError


@node("ControlNetApplyAdvanced", category="conditioning/controlnet")
def control_net_apply(
    positive: Conditioning,
    negative: Conditioning,
    control_net: ControlNet,
    image: Image,
    strength: Annotated[float, Number(0.0, 10.0, step=0.01)] = 1.0,
    start_percent: Share = 0.0,
    end_percent: Share = 1.0,
    vae: Vae | None = None,
) -> Pair:
    """Let a picture steer."""
    raise NotImplementedError


@node("EmptyLatentImage", category="latent")
def empty_latent_image(
    width: Size = 512, height: Size = 512, batch_size: Annotated[int, Number(1, 4096)] = 1
) -> Latent:
    """Noise to come."""
    raise NotImplementedError


@node("KSampler", category="sampling")
def k_sampler(
    *,
    model: Model,
    seed: Annotated[int, Seed()] = 0,
    steps: Annotated[int, Number(1, 10000)] = 20,
    cfg: Annotated[float, Number(0.0, 100.0, step=0.1, round=0.01)] = 8.0,
    sampler_name: Sampler,
    scheduler: Scheduler,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    denoise: Annotated[float, Number(0.0, 1.0, step=0.01)] = 1.0,
) -> Latent:
    """Sample."""
    raise NotImplementedError


@node("KSamplerAdvanced", category="sampling")
def k_sampler_advanced(
    *,
    model: Model,
    add_noise: Switch,
    noise_seed: Annotated[int, Seed()] = 0,
    steps: Annotated[int, Number(1, 10000)] = 20,
    cfg: Annotated[float, Number(0.0, 100.0, step=0.1, round=0.01)] = 8.0,
    sampler_name: Sampler,
    scheduler: Scheduler,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    start_at_step: Annotated[int, Number(0, 10000)] = 0,
    end_at_step: Annotated[int, Number(0, 10000)] = 10000,
    return_with_leftover_noise: Literal["disable", "enable"] = "disable",
) -> Latent:
    """Sample a part of the way."""
    raise NotImplementedError


@node("VAEDecode", category="latent")
def vae_decode(samples: Latent, vae: Vae) -> Image:
    """Latent to picture."""
    raise NotImplementedError


@node("LoadImage", category="image")
def load_image(image: Annotated[str, FileOf("input", upload=True)]) -> Picture:
    """Load a picture."""
    raise NotImplementedError


@node("LoadImageMask", category="mask")
def load_image_mask(
    image: Annotated[str, FileOf("input", upload=True)],
    channel: Literal["alpha", "red", "green", "blue"],
) -> Mask:
    """Load a mask."""
    raise NotImplementedError


@node("ImageScale", category="image/upscaling")
def image_scale(
    image: Image,
    upscale_method: Resize,
    width: Size = 512,
    height: Size = 512,
    mask: Mask | None = None,
    blend: Annotated[float, Number(0.0, 1.0), OPTIONAL] = 0.5,
) -> Picture:
    """Scale a picture."""
    raise NotImplementedError


@node("Anything", category="tests")
def anything(value: Any, items: list[str]) -> Shown:
    """Whatever a graph may hold."""
    raise NotImplementedError


@node("SaveImage", category="image")
def save_image(images: Image, filename_prefix: str = "ComfyUI") -> Shown:
    """Save a picture."""
    raise NotImplementedError
