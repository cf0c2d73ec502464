"""Class labels: τ_θ(y) = row y of a table (Rombach et al. 2022, arXiv:2112.10752, §3.3, §4.3.2).

The last of `classes + 1` rows is ∅, the class that stands for none.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, full_like, nn

from ..errors import ArchitectureError
from ..shapes import Shapes
from .encoder import TokenEncoder
from .limits import require_range

LDM_PREFIX = "cond_stage_model."
TABLE = "embedding.weight"


@dataclass(frozen=True, kw_only=True)
class ClassConfig:
    """width: D. classes: how many, without ∅. names: of the classes, in order, or none at all.

    Raises ArchitectureError for numbers that do not fit each other.
    """

    width: int
    classes: int
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_range("width", self.width)
        require_range("classes", self.classes)
        if self.names and len(self.names) != self.classes:
            raise ArchitectureError(
                f"names: expected {self.classes}, one for each class, got {len(self.names)}"
            )


class ClassEncoder(TokenEncoder):
    """Whole numbers (B,) -> (B, 1, D)."""

    def __init__(self, config: ClassConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.classes + 1, config.width)

    def forward(self, y: Tensor) -> Tensor:
        tokens: Tensor = self.embedding(y)
        return tokens[:, None]

    def null(self, y: Tensor) -> Tensor:
        return self.forward(full_like(y, self.embedding.num_embeddings - 1))


def latent_diffusion_classes(shapes: Shapes) -> tuple[ClassConfig, str] | None:
    """Configuration and prefix of the table in a class-conditional checkpoint of latent diffusion.

    None where there is none. Layout: `ClassEmbedder` of github.com/CompVis/latent-diffusion.
    """
    shape = shapes.get(LDM_PREFIX + TABLE, ())
    if len(shape) != 2 or shape[0] < 2:
        return None
    return ClassConfig(width=shape[1], classes=shape[0] - 1), LDM_PREFIX
