"""Previews as JPEG: made in one thread of their own, no more of them than anybody can look at.

Of what is offered for a node only the newest waits. A job gets at most eight pictures a second, and
fewer where they take long: making them takes a tenth of the time at most, and one core, since what
shows how a job is doing must not hold it up.
"""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nodegraph.computing import compute_alone
from nodegraph.pictures import as_picture, showable

if TYPE_CHECKING:
    from PIL.Image import Image

PER_SECOND = 8
SHARE = 0.1  # of the time that may go into making previews
QUALITY = 85  # of a JPEG
LINGER = 10.0  # seconds that the thread waits for more before it ends

Show = Callable[[bytes], None]

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Pace:
    """When the next preview of one job may be made. Times in seconds, on the caller's clock.

    A preview that took unusually long (the first, for which a map is fitted or a model loaded) is
    forgiven: what counts is the shorter of the last two.
    """

    due: float = 0.0
    lasted: float = 0.0
    failed: bool = False

    def made(self, begin: float, end: float) -> float:
        """Take note of a preview. Returns how long nobody's preview should be made after it."""
        took = end - begin
        usual, self.lasted = min(took, self.lasted), took
        rest = usual * (1 / SHARE - 1)
        self.due = max(begin + 1 / PER_SECOND, end + rest)
        return rest


@dataclass(frozen=True, eq=False)
class Offer:
    """A picture that is waiting to be made, `mode` as in `Picturable`."""

    job_id: str
    node: str
    value: Any = field(repr=False)
    show: Show
    mode: str
    pace: Pace


class Previewer:
    """Turns what nodes offer as previews into JPEG. Safe to use from any thread.

    longest: pixels of the longer side. mode: "auto", "latent2rgb", or "none" for no previews.
    clock:   seconds that never go back.

    The thread is started when there is something to do, and ends when there was nothing for a
    while. `offer` returns at once.
    """

    def __init__(
        self, longest: int, mode: str = "auto", *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._longest = longest
        self._mode = mode
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: dict[tuple[str, str], Offer] = {}
        self._paces: dict[str, Pace] = {}
        self._free = clock()  # when the next preview of any job may be made
        self._thread: threading.Thread | None = None
        self._closed = False

    def offer(
        self, job_id: str, node: str, value: Any, show: Show, *, mode: str | None = None
    ) -> None:
        """Have a preview made, unless a newer one of the same node comes first.

        value: what a `Preview` event holds; what is no picture is ignored.
        show:  called with the JPEG in the previewer's thread; it should only pass it on.
        mode:  for this one; None: the previewer's.
        """
        mode = self._mode if mode is None else mode
        if mode == "none" or not showable(value):
            return
        with self._changed:
            if self._closed:
                return
            pace = self._paces.setdefault(job_id, Pace())
            self._waiting[job_id, node] = Offer(job_id, node, value, show, mode, pace)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="previews", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def forget(self, job_id: str) -> None:
        """Make no more previews of a job. One that is being made at this moment is not shown."""
        with self._changed:
            self._paces.pop(job_id, None)
            for key in [key for key in self._waiting if key[0] == job_id]:
                del self._waiting[key]

    def close(self, seconds: float = 5.0) -> None:
        """Stop; wait at most so long for a preview that is being made. May be called again."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._paces.clear()
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(seconds)

    def _work(self) -> None:
        compute_alone()
        while (offer := self._next()) is not None:
            begin = self._clock()
            jpeg = self._made(offer)
            with self._changed:
                end = self._clock()
                self._free = end + offer.pace.made(begin, end)
                wanted = self._paces.get(offer.job_id) is offer.pace
            if jpeg is not None and wanted:
                self._show(offer, jpeg)
            del offer  # the thread may wait long now, and holds no tensor while it does

    def _next(self) -> Offer | None:
        """The offer whose turn it is, waited for; None: there is nothing more to do."""
        with self._changed:
            while not self._closed:
                key = min(self._waiting, key=self._due, default=None)
                if key is None:
                    if not self._changed.wait(LINGER) and not self._waiting:
                        break
                    continue
                wait = self._due(key) - self._clock()
                if wait <= 0:
                    return self._waiting.pop(key)
                self._changed.wait(wait)
            self._thread = None
            return None

    def _due(self, key: tuple[str, str]) -> float:
        return max(self._free, self._waiting[key].pace.due)

    def _made(self, offer: Offer) -> bytes | None:
        try:
            picture = as_picture(offer.value, self._longest, offer.mode)
            return None if picture is None else as_jpeg(picture)
        except Exception as error:
            self._complain(offer, error)
            return None

    def _show(self, offer: Offer, jpeg: bytes) -> None:
        try:
            offer.show(jpeg)
        except Exception as error:
            self._complain(offer, error)

    def _complain(self, offer: Offer, error: Exception) -> None:
        """Once for each job: a preview that fails mostly fails at every step."""
        if not offer.pace.failed:
            offer.pace.failed = True
            log.warning("no preview of node %s: %s", offer.node, error, exc_info=error)


def as_jpeg(picture: Image) -> bytes:
    """The picture as a JPEG file, on white where it is transparent."""
    from PIL import Image

    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture)
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
