"""k-diffusion's sampling module alone: the package as a whole needs torchvision for other parts."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor

ALONE = "k_diffusion_alone_of"


def append_dims(x: Tensor, ndim: int) -> Tensor:
    return x[(...,) + (None,) * (ndim - x.ndim)]


@cache
def load() -> Any:
    """The module `k_diffusion.sampling`."""
    found = importlib.util.find_spec("k_diffusion")
    assert found is not None, "k-diffusion is needed: pip install --no-deps k-diffusion"
    [folder] = found.submodule_search_locations or []
    package, utils = ModuleType(ALONE), ModuleType(f"{ALONE}.utils")
    package.__path__ = []
    vars(package)["utils"] = utils
    vars(utils)["append_dims"] = append_dims
    sys.modules.update({ALONE: package, f"{ALONE}.utils": utils})
    spec = importlib.util.spec_from_file_location(f"{ALONE}.sampling", Path(folder) / "sampling.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spec.loader.exec_module(module)
    return module
