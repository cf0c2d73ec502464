"""Previews of a sampler's estimates: how a latent becomes a picture that can be looked at.

    pixels      of a model without a VAE are the picture
    decode      by the VAE itself, if it is small: the best there is ("auto" alone)
    W z + b     a linear map to colours, fitted once for each VAE (`nodes.models.latent_rgb`)
    grey        where the VAE is not known, or its map is just being fitted

All of it happens on the host, in the thread of whoever shows the picture. There the VAE has a place
of its own in the model manager's books, so a preview takes nothing from a GPU that is sampling; on
a run on the CPU it is the VAE that decodes the result soon anyway.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from nodegraph import ModelManager, ModelSource
from nodes.models.atomic import replacing
from nodes.models.latent_rgb import LatentRGB, fit, in_grey
from nodes.models.precision import safely
from nodes.models.vae import VAE
from nodes.types import Model

HOST = "cpu"
MOST = 4  # pictures of a batch that are shown
PIXEL_CHANNELS = 3
# A VAE is small where its bytes times the pixels are at most this. Measured on two cores: 0.1 to
# 0.6 ns each, the fewer the wider the network, so that a decode takes 10 to 60 ms. The embedded
# model's four pictures of 64 x 64 are 6e10; one of 512 x 512 by SD's VAE is 9e13.
SMALL = 1e11

log = logging.getLogger(__name__)


class Maps:
    """The maps of VAEs: in memory, and on disk in `folder`; None: in memory alone. Thread-safe.

    A file is named by the VAE's key, which holds the hash of its content. One that is damaged is
    fitted anew, and that one cannot be written is no error.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._known: dict[str, LatentRGB | None] = {}

    def of(self, vae: ModelSource, models: ModelManager) -> LatentRGB | None:
        """The map of a VAE, fitted now if it never was.

        None while another thread is at it, and for a VAE that gives none; why is logged, once.
        """
        key = vae.key
        with self._lock:
            if key in self._known:
                return self._known[key]
            self._known[key] = None
        try:
            found = self._read(key) or self._fitted(vae, models)
        except Exception as error:
            log.warning("previews are grey, as this VAE has no colours (%s): %s", key, error)
            return None
        self._known[key] = found
        return found

    def _fitted(self, vae: ModelSource, models: ModelManager) -> LatentRGB:
        with models.lease(vae, HOST) as module:
            found = fit(cast(VAE, module))
        path = self._path(vae.key)
        if path is not None:
            try:
                with replacing(path) as file:
                    file.write(found.as_json().encode())
            except OSError as error:
                log.warning("%s cannot be written: %s", path, error.strerror)
        return found

    def _read(self, key: str) -> LatentRGB | None:
        path = self._path(key)
        if path is None:
            return None
        try:
            return LatentRGB.from_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("%s is fitted anew: %s", path, error)
            return None

    def _path(self, key: str) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()}.json"


@lru_cache(maxsize=64)
def maps_in(folder: Path | None) -> Maps:
    """The maps that are kept in a folder; the same object for all who ask, so none is fitted twice
    at the same time."""
    return Maps(folder)


@dataclass(frozen=True, eq=False)
class LatentPreview:
    """One estimate x̂_0 of a sampler, which can be seen as a picture (`nodegraph.Picturable`).

    samples: (B, C, h, w) as the sampler has them: times the model's scale, on its device. They are
             not touched before somebody wants the picture.
    """

    samples: Tensor
    model: Model
    models: ModelManager
    maps: Maps

    @torch.no_grad()
    def picture(self, longest: int, mode: str) -> Tensor:
        """(B, H, W, 3) in [0, 1], the first pictures of the batch; `longest` makes no difference.

        A mode other than "auto" never decodes.
        """
        del longest
        z = self.samples[:MOST].detach().to(HOST, torch.float32) / self.model.scale
        pixels = self._pixels(z, mode)
        return pixels.add(1).div(2).clamp(0, 1).movedim(1, -1)

    def _pixels(self, z: Tensor, mode: str) -> Tensor:
        """(B, 3, H, W), about [-1, 1]."""
        model = self.model
        vae = model.companion
        if model.factor == 1 and model.channels == PIXEL_CHANNELS:
            return z
        if vae is None:
            return in_grey(z)
        if mode == "auto" and vae.nbytes * z[:, 0].numel() * model.factor**2 <= SMALL:
            with self.models.lease(vae, HOST) as module:
                return safely(module, cast(VAE, module).decode, z)[0]
        colours = self.maps.of(vae, self.models)
        return in_grey(z) if colours is None else colours(z)
