"""Pictures and maps as tokens: one token for each patch.

    ζ = Conv_p(y) + PosEmb,   ζ := Layer_i(ζ),   τ_θ(y) = W LN(ζ)

Conv_p is a convolution with kernel and stride p, so a linear map of each patch (Dosovitskiy et al.
2020, arXiv:2010.11929); the layers are latent diffusion's (see transformer.py). W is absent where
the transformer is as wide as the tokens. Nothing, ∅, is a learned vector in place of every patch,
so it has as many tokens as a picture, at their positions.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, empty, nn
from torch.nn.functional import interpolate

from ..errors import ArchitectureError
from ..layers import to_tokens
from .encoder import TokenEncoder
from .limits import require_range
from .transformer import Layer

MOST_LAYERS = 256
FIRST_SCALE = 0.02  # deviation of positions and of ∅ before training, as in arXiv:2010.11929


@dataclass(frozen=True, kw_only=True)
class PatchConfig:
    """width: D, of the tokens. size: (H, W) in pixels of what it is trained on. patch: p, pixels.
    inner, layers, heads, mlp: width and depth of the transformer, width inside its MLPs.

    Raises ArchitectureError for numbers that do not fit each other.
    """

    width: int
    size: tuple[int, int] = (64, 64)
    patch: int = 8
    inner: int = 256
    layers: int = 4
    heads: int = 4
    mlp: int = 1024

    def __post_init__(self) -> None:
        for name in ("width", "patch", "inner", "heads", "mlp"):
            require_range(name, getattr(self, name))
        for side in self.size:
            require_range("size", side)
        require_range("layers", self.layers, least=0, most=MOST_LAYERS)
        if self.inner % self.heads:
            raise ArchitectureError(f"inner: {self.inner} is no multiple of {self.heads} heads")
        if any(side % self.patch for side in self.size):
            raise ArchitectureError(f"size: {self.size} is no multiple of a patch of {self.patch}")

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w): the patches of what it is trained on."""
        height, width = self.size
        return height // self.patch, width // self.patch


class PatchEncoder(TokenEncoder):
    """(B, channels, H, W) -> (B, h w, D), patches row by row."""

    def __init__(self, config: PatchConfig, channels: int) -> None:
        super().__init__()
        n = config.inner
        self.patch = config.patch
        self.embed = nn.Conv2d(channels, n, config.patch, stride=config.patch)
        self.positions = nn.Parameter(empty(1, n, *config.grid))
        self.nothing = nn.Parameter(empty(n))
        self.layers = nn.Sequential(
            *(Layer(n, config.heads, config.mlp) for _ in range(config.layers))
        )
        self.norm = nn.LayerNorm(n)
        self.project = nn.Linear(n, config.width) if n != config.width else nn.Identity()
        nn.init.normal_(self.positions, std=FIRST_SCALE)
        nn.init.normal_(self.nothing, std=FIRST_SCALE)

    def forward(self, y: Tensor) -> Tensor:
        """H and W: any multiples of the patch. Positions between the trained ones are cubic
        interpolations. Raises ValueError for other sizes."""
        self._grid(y)
        return self._read(self.embed(y))

    def null(self, y: Tensor) -> Tensor:
        nothing = self.nothing.view(1, -1, 1, 1)
        return self._read(nothing.expand(len(y), -1, *self._grid(y)))

    def _read(self, patches: Tensor) -> Tensor:
        """(B, n, h, w) -> (B, h w, D)."""
        grid = (patches.shape[2], patches.shape[3])
        tokens = to_tokens(patches + self._positions(grid))
        return self.project(self.norm(self.layers(tokens)))

    def _positions(self, grid: tuple[int, int]) -> Tensor:
        positions = self.positions
        if positions.shape[2:] == grid:
            return positions
        wide = interpolate(positions.float(), grid, mode="bicubic", align_corners=False)
        return wide.to(positions.dtype)

    def _grid(self, y: Tensor) -> tuple[int, int]:
        channels, p = self.embed.in_channels, self.patch
        if y.ndim != 4 or y.shape[1] != channels or y.shape[2] % p or y.shape[3] % p:
            raise ValueError(
                f"y: expected (B, {channels}, H, W), H and W multiples of {p}, got {tuple(y.shape)}"
            )
        return y.shape[2] // p, y.shape[3] // p
