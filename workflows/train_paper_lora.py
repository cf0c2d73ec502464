"""Trains models/loras/emoji-paper.safetensors: the embedded model's drawings, on brown paper.

    python workflows/train_paper_lora.py

The model draws every third of its captions once; what is white becomes brown; a LoRA of rank 2
learns to draw that. Seeded; some minutes on two cores.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from nodegraph import Context, ModelManager
from nodegraph.folders import Folders
from nodes.latent import empty_latent_image
from nodes.loaders import Checkpoint, load_checkpoint
from nodes.models.keys_unet import module_names
from nodes.models.renaming import rename
from nodes.models.unet import UNet
from nodes.sampling import ksampler
from nodes.text import clip_encode
from nodes.types import Condition, Conditioning, Image
from nodes.vae import vae_decode, vae_encode

ROOT = Path(__file__).parents[1]
NAME = "emoji-bootstrap"
PAPER = torch.tensor([0.86, 0.72, 0.50])
RANK, STEPS, BATCH, RATE = 2, 150, 8, 6e-3
CHANGED = ("attn1.to_v", "attn1.to_out.0", "attn2.to_v", "attn2.to_out.0", "proj_out", "out.2")


class LowRank(nn.Module):
    """W + B A, with B zero at first."""

    def __init__(self, W: Tensor) -> None:
        super().__init__()
        columns = W[0].numel()
        self.up = nn.Parameter(torch.zeros(len(W), RANK))
        self.down = nn.Parameter(torch.randn(RANK, columns) / columns**0.5)

    def forward(self, W: Tensor) -> Tensor:
        return W + (self.up @ self.down).view_as(W)


def main() -> None:
    torch.manual_seed(0)
    context = Context(
        precision="fp32",
        models=ModelManager(),
        folders=Folders((ROOT / "models",), ROOT / "input", ROOT / "output", ROOT / "temp"),
    )
    parts = load_checkpoint(f"{NAME}.safetensors", context=context)
    captions = json.loads((ROOT / f"models/checkpoints/{NAME}.captions.json").read_text())[::3]
    with torch.no_grad():
        latents, tokens = lessons(parts, captions, context)
    unet = parts.model.source.load()
    assert isinstance(unet, UNet)
    layers = adapted(unet)
    train(parts, unet, latents, tokens, list(layers.values()))
    save(unet, layers)


def lessons(parts: Checkpoint, captions: list[str], context: Context) -> tuple[Tensor, Tensor]:
    """The latents of the model's drawings on paper, and the captions' tokens."""
    tokens = torch.cat([words(parts, caption, context) for caption in captions])
    drawings = ksampler(
        parts.model,
        seed=1,
        steps=12,
        cfg=4.0,
        sampler_name="ddim",
        scheduler="ddim_uniform",
        positive=Conditioning((Condition(tokens),)),
        negative=clip_encode("", parts.clip, context=context),
        latent_image=empty_latent_image(64, 64, len(captions)),
        context=context,
    )
    print("drawn", flush=True)
    pictures = Image(vae_decode(drawings, parts.vae, context=context) * PAPER)
    latents = vae_encode(pictures, parts.vae, context=context).samples
    return latents * parts.model.scale, tokens


def words(parts: Checkpoint, caption: str, context: Context) -> Tensor:
    tokens = clip_encode(caption, parts.clip, context=context).entries[0].context
    assert tokens is not None
    return tokens


def adapted(unet: UNet) -> dict[str, LowRank]:
    unet.requires_grad_(False)
    layers: dict[str, LowRank] = {}
    for name, module in list(unet.named_modules()):
        if name.endswith(CHANGED):
            layers[name] = LowRank(module.weight)  # type: ignore[arg-type]
            parametrize.register_parametrization(module, "weight", layers[name], unsafe=True)
    return layers


def train(
    parts: Checkpoint, unet: UNet, latents: Tensor, tokens: Tensor, layers: list[LowRank]
) -> None:
    parameters = [p for layer in layers for p in layer.parameters()]
    optimiser = torch.optim.Adam(parameters, RATE)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    sigmas = parts.model.sampling.schedule.sigmas.float()
    for step in range(STEPS):
        rows = torch.randint(len(latents), (BATCH,))
        t = torch.randint(len(sigmas), (BATCH,))
        sigma, eps = sigmas[t].view(-1, 1, 1, 1), torch.randn(BATCH, *latents.shape[1:])
        x = (latents[rows] + sigma * eps) / (1 + sigma**2).sqrt()
        loss = (unet(x, t, tokens[rows]) - eps).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        decay.step()
        if step % 50 == 0:
            print(f"step {step}: loss {loss.item():.4f}", flush=True)


def save(unet: UNet, layers: dict[str, LowRank]) -> None:
    """In kohya's format, half precision."""
    names = module_names(unet.config)
    tensors: dict[str, Tensor] = {}
    for name, layer in layers.items():
        module = unet.get_submodule(name)
        kernel = module.parametrizations.weight.original.shape[2:]
        key = "lora_unet_" + rename(name, names).replace(".", "_")
        up, down = layer.up.detach().half(), layer.down.detach().half()
        tensors[f"{key}.lora_up.weight"] = up.reshape(*up.shape, *(1,) * len(kernel))
        tensors[f"{key}.lora_down.weight"] = down.reshape(RANK, -1, *kernel)
    path = ROOT / "models" / "loras" / "emoji-paper.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_file(tensors, path, {"trained_by": "workflows/train_paper_lora.py"})
    print(f"{path.name}: {path.stat().st_size:,} bytes, {len(layers)} layers")


if __name__ == "__main__":
    main()
