"""Training a LoRA as nodes see it: what is learned of which modules, and the file it becomes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nodegraph import Context, ModelSource, NodeGraphError
from nodes.lora_model import STEPS, LossMap, steps_of
from nodes.models.clip import CLIPText
from nodes.models.derived import Patched
from nodes.models.lora_keys import written_paths
from nodes.models.lora_match import match
from nodes.models.lora_match import modules_of as stored_modules
from nodes.models.save import Piece, below, write_safetensors
from nodes.models.unet import UNet
from nodes.patching import Lora, lora_at, weights_of, with_lora
from nodes.training.changes import Algorithm
from nodes.training.low_rank import AdapterMisfit, Adapters, Modules, as_kohya, modules_of
from nodes.training.recipe import Recipe
from nodes.training_parts import DTYPES, Stored, network_of
from nodes.training_run import run_folder
from nodes.types import Clip, Model

NAME = "lora"
FILE = "lora.safetensors"
PREFIXES: Mapping[type[UNet | CLIPText], str] = {UNet: "lora_unet_", CLIPText: "lora_te_"}
LAYERS = "text_model.encoder."  # of a text encoder, what LoRA changes
FAMILIES = {"sd1": "sd_v1", "sd2": "sd_v2"}  # as kohya's files call them

Begun = dict[str, dict[str, Tensor]]


@dataclass(frozen=True)
class Plan:
    """What is learned. rank, alpha: see nodes.training.changes; alpha 0 is OFT's alone.

    stored: what the file's numbers are. earlier: the LoRA to go on from.
    """

    algorithm: Algorithm
    rank: int
    alpha: float
    modules: Modules
    stored: Stored
    seed: int
    earlier: Lora | None = field(default=None, repr=False)

    def require(self, model: Model) -> None:
        """Raises NodeGraphError for what cannot be learned, before anything is read."""
        if self.alpha == 0 and self.algorithm != "OFT":
            raise NodeGraphError(
                f"alpha is 0, so the change would be 0 times what is learned: choose the rank "
                f"({self.rank}) or half of it"
            )
        if model.inputs != model.channels:
            raise NodeGraphError(
                f"the model reads {model.inputs - model.channels} channels next to the latent, and "
                "training has none for it: choose a model that reads the latent alone"
            )
        if self.algorithm == "OFT" and isinstance(weights_of(model.source), Patched):
            raise NodeGraphError(
                "OFT turns the weights of a file, and this model has a LoRA on it: save it with "
                "ModelSave and train on that file, or choose another algorithm"
            )

    def adapt(self, network: UNet | CLIPText, source: ModelSource) -> Adapters:
        """Changes put into a network of the source's weights. Raises NodeGraphError."""
        begun: Begun = {} if self.earlier is None else begun_of(self.earlier, source)
        inner = LAYERS if isinstance(network, CLIPText) else ""
        wanted = [n for n in modules_of(network, self.modules) if n.startswith(inner)]
        names = dict.fromkeys([*wanted, *begun])
        try:
            return Adapters(network, names, self.rank, self.alpha, self.seed, self.algorithm, begun)
        except (AdapterMisfit, ValueError) as fault:
            raise NodeGraphError(str(fault)) from fault


@dataclass(frozen=True, eq=False)
class Learning:
    """Networks of their own, with changes that learn; `text` where the text encoder has some.

    changes: with the networks they are in.
    """

    unet: UNet
    text: CLIPText | None
    changes: tuple[tuple[UNet | CLIPText, Adapters], ...]


def adapted(plan: Plan, model: Model, clip: Clip | None, context: Context) -> Learning:
    """The networks of a run; `clip` where its encoder learns as well. Raises NodeGraphError."""
    unet = network_of(model.source, UNet, context, learns=False)
    of_unet = (unet, plan.adapt(unet, model.source))
    if clip is None:
        if plan.earlier is not None and stored_modules(plan.earlier.file, "text"):
            context.warn(
                f"{plan.earlier.name} changes the text encoder as well, which does not learn here: "
                "that is left out"
            )
        return Learning(unet, None, (of_unet,))
    text = network_of(clip.source, CLIPText, context, learns=False)
    return Learning(unet, text, (of_unet, (text, plan.adapt(text, clip.source))))


def begun_of(lora: Lora, source: ModelSource) -> Begun:
    """What a LoRA has for the modules of a network: by module, then by the parameter's name.

    Raises NodeGraphError for what is not one change of one whole weight.
    """
    weights, found = weights_of(source), Begun()
    with lora.file.file.reader() as read:
        for name, uses in match(lora.file, weights).uses.items():
            module = uses[0].module
            if len(uses) > 1 or uses[0].target.blocks > 1 or not name.endswith(".weight"):
                raise NodeGraphError(f"{lora.name} changes {name} in a way that cannot be gone on")
            tensors = {role: read(stored).float() for role, stored in module.roles.items()}
            if "alpha" not in tensors and "down" in tensors and module.scale.alpha is not None:
                rank = len(tensors["down"])
                tensors["alpha"] = torch.tensor(module.scale.over(rank) * rank)
            found[name.removesuffix(".weight")] = tensors
    return found


@dataclass(frozen=True, eq=False)
class Result:
    """Where a LoRA of one run is written to and read from."""

    context: Context

    @property
    def path(self) -> Path:
        return run_folder(NAME, self.context).path / FILE

    def write(self, learning: Learning, plan: Plan, said: Mapping[str, str]) -> None:
        tensors: dict[str, Tensor] = {}
        for network, adapters in learning.changes:
            prefix = PREFIXES[type(network)]
            tensors |= as_kohya(adapters, prefix, written_paths(network.config))
        alphas = {name: Piece.of(t) for name, t in tensors.items() if name.endswith(".alpha")}
        others = {name: Piece.of(t.cpu()) for name, t in tensors.items() if name not in alphas}
        entries = [*below("", alphas), *below("", others, DTYPES[plan.stored])]
        write_safetensors(self.path, entries, said)

    def read(self, model: Model, clip: Clip | None) -> tuple[Lora, Model, Clip | None, LossMap]:
        """The LoRA, both handles with it, and how the loss went."""
        lora = lora_at(self.path, self.path.parent.name, self.context)
        patched, encoder = with_lora(lora, model, clip, (1.0, 1.0), self.context)
        history = run_folder(NAME, self.context).history()
        return lora, patched, encoder, LossMap.of(history, self.path.parent.name)


def described(plan: Plan, recipe: Recipe, model: Model, examples: int) -> dict[str, str]:
    """A file's metadata as kohya's tools write and read it; steps are those of earlier runs too."""
    before = 0 if plan.earlier is None else steps_of(plan.earlier)
    lycoris = plan.algorithm in ("LoHa", "LoKr")
    said: dict[str, Any] = {
        "ss_network_module": "lycoris.kohya" if lycoris else f"networks.{plan.algorithm.lower()}",
        "ss_network_dim": plan.rank,
        "ss_network_alpha": plan.alpha,
        "ss_network_args": json.dumps({"algo": plan.algorithm.lower()} if lycoris else {}),
        "ss_base_model_version": FAMILIES.get(model.family, "unknown"),
        "ss_v2": model.family == "sd2",
        "ss_num_train_images": examples,
        "ss_batch_size_per_device": recipe.batch,
        "ss_gradient_accumulation_steps": recipe.accumulate,
        "ss_learning_rate": recipe.rate,
        "ss_optimizer": recipe.optimizer,
        "ss_lr_warmup_steps": recipe.warmup,
        "ss_max_train_steps": recipe.steps,
        STEPS: before + recipe.steps,
        "ss_seed": recipe.seed,
        "ss_mixed_precision": "no" if recipe.arithmetic == "fp32" else recipe.arithmetic,
    }
    return {name: str(value) for name, value in said.items()}
