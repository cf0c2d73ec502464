"""Files of textual inversion (Gal et al. 2022, arXiv:2208.01618): vectors that stand for tokens.

Known layouts: `emb_params` (v, D); `string_to_param` with one entry, the original's and A1111's;
`clip_l` and `clip_g`, a set for each of two encoders, of which the fitting one is taken; a single
tensor of any name, as diffusers writes it (`learned_embeds`).
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from .errors import CheckpointError
from .weights import open_weights

NAMED = ("emb_params",)
ENCODERS = ("clip_l", "clip_g", "clip_h")
SHOWN = 3


def read_embedding(path: Path, width: int, *, ckpt: bool = False) -> Tensor:
    """The vectors (v, `width`), float32. `ckpt` allows pickles (.pt, .bin).

    Raises CheckpointError where the file holds no vectors, or vectors of another width.
    """
    file = open_weights(path, ckpt=ckpt)
    shapes = {name: info.shape for name, info in file.tensors.items()}
    names = [name for name in NAMED if name in shapes] or [n for n in ENCODERS if n in shapes]
    if not names and len(shapes) == 1:
        names = list(shapes)
    vectors = [name for name in names if len(shapes[name]) in (1, 2)]
    if not vectors:
        listed = ", ".join(f"{name} {shape}" for name, shape in list(shapes.items())[:SHOWN])
        raise CheckpointError(
            path, f"is no embedding: expected vectors for tokens, but it holds {listed}"
        )
    for name in vectors:
        if shapes[name][-1] == width:
            return file.read(name).float().reshape(-1, width)
    widths = " and ".join(str(shapes[name][-1]) for name in vectors)
    raise CheckpointError(
        path,
        f"has vectors of {widths} numbers, but this text encoder takes {width}: it was made for "
        "another model",
    )
