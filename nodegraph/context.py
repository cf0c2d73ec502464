"""What a running node may use: progress, cancel, models, files, device.

A node asks for it with a keyword-only parameter, `*, context: Context`. `Context()` alone works,
with nothing attached, so that a node's test can call the node as the plain function it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from .errors import Cancelled, NodeGraphError

if TYPE_CHECKING:
    from .expansion import Link
    from .folders import Folders
    from .hashes import FileHashes
    from .memory import ModelManager
    from .outputs import SavedFile

Precision = Literal["auto", "fp32", "bf16", "fp16"]


class CancelToken:
    """Asks a run to stop. Set from any thread; looked at between nodes and between steps."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._abandoned = False

    def cancel(self) -> None:
        self._event.set()

    def abandon(self) -> None:
        """Cancel, and no longer wait for nodes that do not stop: the run ends without them.

        Their threads cannot be ended; they are replaced, and what they return is ignored.
        """
        self._abandoned = True
        self._event.set()

    @property
    def abandoned(self) -> bool:
        return self._abandoned

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raises Cancelled once `cancel` was called."""
        if self._event.is_set():
            raise Cancelled("the run was cancelled")


def _ignore(*_: Any) -> None:
    return None


def _no_manifest() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Context:
    """One node's view of the run.

    node:       the node's id.
    key:        the content key of its step: equal for equal work, whatever the ids; None where it
                is not known (after a node that is never cached), and in a test.
    device:     where it computes ("cpu", "cuda:0").
    precision:  the precision policy of the run.
    models:     lends models; see ModelManager.lease.
    folders:    where models, inputs and outputs are.
    extensions: what is registered at each extension point, by name.
    links:      the node's inputs that are links, as an expansion can name them.
    prompt:     the graph document being run; `workflow` the editor's form of it, where known.
    """

    node: str = ""
    key: str | None = None
    device: str = "cpu"
    precision: Precision = "auto"
    folders: Folders | None = None
    hashes: FileHashes | None = None
    models: ModelManager | None = None
    cancel: CancelToken = field(default_factory=CancelToken)
    extensions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    links: Mapping[str, Link] = field(default_factory=dict)
    prompt: Mapping[str, Any] | None = None
    workflow: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    on_progress: Callable[[int, int, str], None] = _ignore
    on_preview: Callable[[Any], None] = _ignore
    on_measure: Callable[[int, int, Mapping[str, float], SavedFile | None], None] = _ignore
    on_warning: Callable[[str], None] = _ignore
    on_manifest: Callable[[], Mapping[str, Any]] = _no_manifest

    def progress(self, value: int, total: int, text: str = "") -> None:
        """Report `value` of `total` done. Raises Cancelled if the run was asked to stop."""
        self.cancel.check()
        self.on_progress(value, total, text)

    def preview(self, value: Any) -> None:
        """Offer an intermediate result to whoever watches. It costs the node nothing.

        value: a picture, which is an IMAGE tensor (B, H, W, C) or an image of PIL's; or an object
               with the method `picture` of `Picturable`, which is called in another thread if
               somebody is watching: it keeps what it needs, and must not change it. Some are left
               out if they come faster than they can be shown. A `Sent` is never left out: it is a
               result. Other values are ignored.
        """
        self.on_preview(value)

    def measure(
        self, step: int, total: int, figures: Mapping[str, float], sample: SavedFile | None = None
    ) -> None:
        """Report figures of step `step` of `total`, to be drawn as curves by their names.

        sample: a picture of how far the node is, which it has written.
        """
        self.on_measure(step, total, figures, sample)

    def warn(self, message: str) -> None:
        """Tell the user something that does not stop the node."""
        self.on_warning(message)

    def manifest(self) -> Mapping[str, Any]:
        """What this node's result was made with: file hashes, versions, device, seeds."""
        return self.on_manifest()

    def extension(self, point: str, name: str) -> Any:
        """What is registered as `name` at the extension point `point`."""
        registered = self.extensions.get(point, {})
        if name not in registered:
            raise NodeGraphError(f"{point} has no {name!r}; it has {', '.join(registered)}")
        return registered[name]

    def need_folders(self) -> Folders:
        """`folders`, or an error that says this context has none."""
        if self.folders is None:
            raise NodeGraphError("this node reads or writes files, but the context has no folders")
        return self.folders

    def need_models(self) -> ModelManager:
        """`models`, or an error that says this context has none."""
        if self.models is None:
            raise NodeGraphError("this node uses a model, but the context has no model manager")
        return self.models
