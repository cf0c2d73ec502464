"""Pictures on the way: from nodes to the clients that want to see them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from nodegraph.events import Preview
from nodegraph.jobs import Job
from nodegraph.outputs import Sent
from nodegraph.settings import Settings

from . import frames
from .previewing import Previewer
from .sockets import Hub

FORMATS = {"jpeg": frames.JPEG, "png": frames.PNG}
ASKED = ("auto", "latent2rgb", "taesd")  # what a job may ask for; a VAE stands for the taesd


class Live:
    """Sends previews to clients that asked for them: by a feature flag, or for a single job.

    Made on an event loop; `preview` is called from the threads of nodes.
    """

    def __init__(self, settings: Settings, hub: Hub) -> None:
        self._hub = hub
        self._off = settings.previews == "none"
        self._previewer = Previewer(settings.preview_size, settings.previews)
        self._loop = asyncio.get_running_loop()

    def preview(self, job: Job, event: Preview) -> None:
        """A node shows something."""
        self._soon(self._heard, job, event)

    def sent(self, job: Job, picture: Sent) -> None:
        """A node sends a picture as its result: that is not left out. On the event loop."""
        self._hub.show(job, frames.picture(FORMATS[picture.format], picture.data))

    def ended(self, job: Job) -> None:
        """No more of a job is shown."""
        self._previewer.forget(job.id)

    def close(self) -> None:
        self._previewer.close()

    def _heard(self, job: Job, event: Preview) -> None:
        method = _method(job)
        if self._off or method == "none" or not self._wanted(job):
            return None
        return self._previewer.offer(
            job.id,
            event.node,
            event.value,
            lambda jpeg: self._soon(self._show, job, event, jpeg),
            mode="latent2rgb" if method == "latent2rgb" else None,
        )

    def _wanted(self, job: Job) -> bool:
        listeners = self._hub.listeners(job)
        asked = _method(job) in ASKED
        return any(asked or socket.flags.previews for socket in listeners)

    def _show(self, job: Job, event: Preview, jpeg: bytes) -> None:
        """A preview is made. A client that is behind gets the newest alone, or none."""
        about = {
            "node_id": event.node,
            "prompt_id": job.id,
            "display_node_id": event.parent or event.node,
            "parent_node_id": event.parent,
            "real_node_id": event.node,
            "image_type": "image/jpeg",
        }
        key = ("preview", job.id, event.node)
        asked = _method(job) in ASKED
        for socket in self._hub.listeners(job):
            if socket.flags.previews:
                frame = frames.with_metadata(frames.PREVIEW, about, jpeg)
                socket.send(frame, key=key, droppable=True)
            elif asked:
                socket.send(frames.picture(frames.JPEG, jpeg), key=key, droppable=True)

    def _soon(self, call: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(call, *arguments)


def _method(job: Job) -> str:
    """What a job itself says of previews, "" for nothing."""
    method = job.request.extra.get("preview_method")
    return method if isinstance(method, str) else ""
