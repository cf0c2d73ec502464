"""Depth networks of the library transformers, loaded from one file of safetensors.

The file lies beside its config.json, as transformers saves both. Nothing is downloaded, no code
that comes with a model is run, and only safetensors are read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nodegraph import NodeGraphError
from nodes.models.precision import Precision
from nodes.models.safetensors_file import SafetensorsFile

CLASSES = {"depth_anything": "DepthAnything", "dpt": "DPT"}  # by model_type


@dataclass(frozen=True, eq=False)
class DepthSource:
    """A depth network as the model manager loads it (nodegraph.ModelSource).

    identity: the file's content hash. settings: what config.json says.
    """

    path: Path
    identity: str
    settings: Mapping[str, Any] = field(repr=False)
    precision: Precision

    @property
    def key(self) -> str:
        settings = json.dumps(self.settings, sort_keys=True)
        return f"{self.identity}:depth:{settings}:{self.precision}"

    @cached_property
    def nbytes(self) -> int:
        return sum(parameter.nbytes for parameter in self.skeleton().parameters())

    def load(self) -> nn.Module:
        file = SafetensorsFile(self.path)
        with file.reader() as read:
            tensors = {name: read(name) for name in file.tensors}
        config, network = self._classes()
        # The names in files are older than those in the library, which knows how to translate.
        module, report = network.from_pretrained(
            None,
            config=config,
            state_dict=tensors,
            dtype=self.precision.dtype,
            local_files_only=True,
            output_loading_info=True,
        )
        lost = sorted({*report["missing_keys"], *(entry[0] for entry in report["mismatched_keys"])})
        if lost:
            raise NodeGraphError(
                f"{self.path.name}: {len(lost)} weights that its config.json describes are absent "
                f"or of another shape ({', '.join(lost[:3])}): the two do not belong together"
            )
        return self._ready(module)

    def skeleton(self) -> nn.Module:
        config, network = self._classes()
        with torch.device("meta"):
            return self._ready(network(config))

    def tensor(self, name: str) -> Tensor:
        return self._loaded[name]

    @cached_property
    def _loaded(self) -> dict[str, Tensor]:
        """All weights on the host, once the network has to be streamed: it is a small one."""
        return self.load().state_dict()

    def _ready(self, module: nn.Module) -> nn.Module:
        return module.to(self.precision.dtype).eval().requires_grad_(False)

    def _classes(self) -> tuple[Any, Any]:
        """The configuration, and the class of the network."""
        transformers = library()
        name = CLASSES[self.settings["model_type"]]
        config = getattr(transformers, f"{name}Config").from_dict(dict(self.settings))
        return config, getattr(transformers, f"{name}ForDepthEstimation")


def library() -> Any:
    """The module transformers. Raises NodeGraphError where it is not installed."""
    try:
        import transformers
    except ImportError as error:
        raise NodeGraphError(
            "depth models are run by the library transformers, which is not installed: "
            "pip install transformers, or take a depth map from elsewhere with LoadDepthImage"
        ) from error
    return transformers


def read_settings(file: Path) -> dict[str, Any]:
    """What a JSON file beside the weights says; nothing where there is none."""
    try:
        found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except ValueError as error:
        raise NodeGraphError(f"{file.parent.name}/{file.name} is no JSON: {error}") from error
    return found if isinstance(found, dict) else {}
