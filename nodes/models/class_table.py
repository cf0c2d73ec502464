"""What the rows of a UNet's class embedding stand for.

y enters the network as the row y of `label_emb`, which is added to the time embedding (Nichol &
Dhariwal 2021, arXiv:2102.09672; Dhariwal & Nichol 2021, arXiv:2105.05233). A file's shapes show how
many rows there are; what they are called, and whether the last one is the class that stands for
none (arXiv:2207.12598), they do not.
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import ArchitectureError


@dataclass(frozen=True)
class ClassTable:
    """classes: how many, without the null class. names: of the classes, in order, or none at all.

    null: one more row, the last, is the null class ∅.
    Raises ArchitectureError for numbers and names that do not fit each other.
    """

    classes: int
    names: tuple[str, ...] = ()
    null: bool = False

    def __post_init__(self) -> None:
        if self.classes < 1:
            raise ArchitectureError(f"classes: expected at least 1, got {self.classes}")
        if self.names and len(self.names) != self.classes:
            raise ArchitectureError(
                f"names: expected {self.classes}, one for each class, got {len(self.names)}"
            )
        if len(set(self.names)) < len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise ArchitectureError(f"names: two classes are called {twice!r}")

    @property
    def rows(self) -> int:
        """How many rows `label_emb` has."""
        return self.classes + self.null

    @property
    def null_number(self) -> int | None:
        """The number of the null class; None where there is none."""
        return self.classes if self.null else None
