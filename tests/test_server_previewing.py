"""The previewer: one thread, the newest wins, never too many, and nothing that fails gets out."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator
from queue import Queue
from typing import Any

import pytest
import torch
from PIL import Image

from nodegraph.outputs import Sent
from nodegraph.server import previewing
from nodegraph.server.previewing import Pace, Previewer, as_jpeg

SECONDS = 60.0  # patience for what must happen; nothing is measured by it


class Clock:
    """Time that passes only when told. Counts how often it is looked at."""

    def __init__(self) -> None:
        self.now = 100.0
        self.looks = threading.Semaphore(0)

    def __call__(self) -> float:
        self.looks.release()
        return self.now

    def wait_for_looks(self, count: int) -> None:
        for _ in range(count):
            assert self.looks.acquire(timeout=SECONDS)


class Drawn:
    """A picture of one colour that may keep the previewer waiting, or fail."""

    def __init__(
        self,
        level: int = 128,
        *,
        clock: Clock | None = None,
        seconds: float = 0.0,
        gate: threading.Event | None = None,
        error: Exception | None = None,
    ) -> None:
        self.level = level
        self.clock = clock
        self.seconds = seconds
        self.gate = gate
        self.error = error
        self.begun = threading.Event()
        self.asked: list[tuple[int, str]] = []
        self.thread: threading.Thread | None = None

    def picture(self, longest: int, mode: str) -> Any:
        self.asked.append((longest, mode))
        self.thread = threading.current_thread()
        self.begun.set()
        if self.gate is not None:
            assert self.gate.wait(SECONDS)
        if self.clock is not None:
            self.clock.now += self.seconds
        if self.error is not None:
            raise self.error
        return Image.new("RGB", (8, 8), (self.level,) * 3)


class Screen:
    """Where previews are shown: the level of each, in order."""

    def __init__(self) -> None:
        self.shown: Queue[int] = Queue()

    def __call__(self, jpeg: bytes) -> None:
        with Image.open(io.BytesIO(jpeg)) as image:
            assert image.format == "JPEG"
            level = image.convert("RGB").getpixel((0, 0))
        assert isinstance(level, tuple)
        self.shown.put(int(level[0]))

    def next(self) -> int:
        return self.shown.get(timeout=SECONDS)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def previewer(clock: Clock) -> Iterator[Previewer]:
    made = Previewer(64, clock=clock)
    yield made
    made.close()


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "previews"]


# -- what is shown ---------------------------------------------------------------------------------


def test_a_picture_arrives_as_a_jpeg_of_the_wanted_size(previewer: Previewer) -> None:
    arrived: Queue[bytes] = Queue()
    drawn = Drawn()

    previewer.offer("job", "5", drawn, arrived.put)

    with Image.open(io.BytesIO(arrived.get(timeout=SECONDS))) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (64, 64), "RGB")
    assert drawn.asked == [(64, "auto")]
    assert drawn.thread is not threading.current_thread()


@pytest.mark.parametrize(
    "value",
    [torch.full((1, 4, 4, 3), 0.5), torch.full((2, 4, 4, 1), 0.5), Image.new("L", (9, 9), 127)],
    ids=["image", "grey batch", "pil"],
)
def test_tensors_and_pil_images_are_pictures_as_they_are(previewer: Previewer, value: Any) -> None:
    screen = Screen()

    previewer.offer("job", "5", value, screen)

    assert abs(screen.next() - 128) <= 2


def test_transparency_is_seen_on_white() -> None:
    picture = Image.new("RGBA", (8, 8), (255, 0, 0, 0))

    with Image.open(io.BytesIO(as_jpeg(picture))) as image:
        assert image.getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize("value", [None, 3, "x", Sent(b"png"), torch.zeros(1, 4, 8, 8)])
def test_what_is_no_picture_is_ignored_and_starts_no_thread(value: Any) -> None:
    before = threads()
    previewer = Previewer(64)

    previewer.offer("job", "5", value, Screen())

    assert threads() == before


def test_a_job_may_have_a_mode_of_its_own_or_none(previewer: Previewer) -> None:
    screen, other, silent = Screen(), Drawn(2), Drawn(1)

    previewer.offer("a", "5", silent, screen, mode="none")
    previewer.offer("b", "5", other, screen, mode="latent2rgb")

    screen.next()
    assert other.asked == [(64, "latent2rgb")]
    assert not silent.asked


def test_where_previews_are_off_none_are_made() -> None:
    before, drawn = threads(), Drawn()

    Previewer(64, "none").offer("job", "5", drawn, Screen())

    assert threads() == before
    assert not drawn.asked


# -- when ------------------------------------------------------------------------------------------


def test_of_what_waits_for_a_node_the_newest_is_shown(previewer: Previewer, clock: Clock) -> None:
    screen, gate = Screen(), threading.Event()
    first = Drawn(10, gate=gate)
    previewer.offer("job", "5", first, screen)
    assert first.begun.wait(SECONDS)

    skipped = Drawn(20)
    previewer.offer("job", "5", skipped, screen)
    previewer.offer("job", "6", Drawn(30), screen)
    previewer.offer("job", "5", Drawn(40), screen)
    gate.set()

    assert screen.next() == 10
    clock.now += 1
    assert screen.next() == 40  # it has the place of the one that it replaced
    clock.now += 1
    assert screen.next() == 30
    assert not skipped.asked


def test_a_job_gets_eight_a_second(previewer: Previewer, clock: Clock) -> None:
    screen = Screen()
    previewer.offer("job", "5", Drawn(10), screen)
    assert screen.next() == 10
    early = Drawn(20)
    previewer.offer("job", "5", early, screen)

    clock.now += 0.12
    while clock.looks.acquire(blocking=False):
        pass
    clock.wait_for_looks(3)
    assert not early.asked

    clock.now += 0.01
    assert screen.next() == 20


def test_jobs_do_not_wait_for_each_other_where_pictures_cost_little(
    previewer: Previewer,
) -> None:
    screen = Screen()

    for job in ("a", "b", "c"):
        previewer.offer(job, "5", Drawn(ord(job)), screen)

    assert [screen.next() for _ in range(3)] == [97, 98, 99]


def test_slow_pictures_take_a_tenth_of_the_time() -> None:
    pace, now, busy = Pace(), 0.0, 0.0

    for _ in range(100):
        pace.made(now, now + 0.5)
        busy += 0.5
        now = pace.due

    assert busy / now == pytest.approx(0.1, rel=0.02)


def test_quick_pictures_come_eight_times_a_second() -> None:
    pace, now = Pace(), 0.0

    for _ in range(81):
        pace.made(now, now + 0.001)
        now = pace.due

    assert now == pytest.approx(81 / 8)


def test_one_slow_picture_is_forgiven() -> None:
    pace = Pace()
    pace.made(0.0, 10.0)  # a map was fitted
    assert pace.due == 10.0

    pace.made(10.0, 10.001)
    assert pace.due == pytest.approx(10.125)
    pace.made(20.0, 25.0)
    assert pace.due == pytest.approx(25.009)


def test_after_a_slow_picture_all_jobs_wait(previewer: Previewer, clock: Clock) -> None:
    screen = Screen()
    for level in (10, 20):
        previewer.offer("slow", "5", Drawn(level, clock=clock, seconds=1.0), screen)
        assert screen.next() == level
        clock.now += 0.125
    other = Drawn(30)

    clock.now += 8.8  # of the nine seconds of rest, a tenth is left
    while clock.looks.acquire(blocking=False):
        pass
    previewer.offer("quick", "5", other, screen)
    clock.wait_for_looks(1)
    assert not other.asked

    clock.now += 0.1
    previewer.offer("quick", "5", other, screen)  # which makes it look at the clock again
    assert screen.next() == 30


# -- failures --------------------------------------------------------------------------------------


def test_a_picture_that_fails_is_logged_once_for_its_job_and_the_others_are_shown(
    previewer: Previewer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    screen = Screen()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            bad = Drawn(error=RuntimeError("no colours left"))
            previewer.offer("bad", "5", bad, screen)
            assert bad.begun.wait(SECONDS)
            clock.now += 1
            previewer.offer("good", "5", Drawn(50), screen)
            assert screen.next() == 50
            clock.now += 1

    assert [record.getMessage() for record in caplog.records] == [
        "no preview of node 5: no colours left"
    ]
    assert screen.shown.empty()


def test_what_gives_no_picture_or_no_real_one_shows_nothing(
    previewer: Previewer, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(Drawn):
        def picture(self, longest: int, mode: str) -> Any:
            super().picture(longest, mode)
            return "a picture" if self.level else None

    screen = Screen()
    with caplog.at_level(logging.WARNING):
        previewer.offer("a", "5", Odd(0), screen)
        previewer.offer("b", "6", Odd(1), screen)
        previewer.offer("c", "7", Drawn(60), screen)
        assert screen.next() == 60

    assert "node 6: a picture is an IMAGE tensor or a PIL image, not a str" in caplog.text
    assert len(caplog.records) == 1


def test_a_screen_that_fails_harms_no_other(previewer: Previewer) -> None:
    def broken(_: bytes) -> None:
        raise ConnectionError("gone")

    screen = Screen()

    previewer.offer("a", "5", Drawn(), broken)
    previewer.offer("b", "5", Drawn(70), screen)

    assert screen.next() == 70


# -- the end ---------------------------------------------------------------------------------------


def test_a_forgotten_job_is_not_shown_any_more(previewer: Previewer, clock: Clock) -> None:
    screen, gate = Screen(), threading.Event()
    begun, waiting, other = Drawn(10, gate=gate), Drawn(20), Drawn(30)
    previewer.offer("job", "5", begun, screen)
    assert begun.begun.wait(SECONDS)
    previewer.offer("job", "6", waiting, screen)
    previewer.offer("other", "5", other, screen)

    previewer.forget("job")
    previewer.forget("unknown")
    gate.set()

    assert screen.next() == 30
    assert not waiting.asked
    assert screen.shown.empty()


def test_a_forgotten_job_may_come_again(previewer: Previewer) -> None:
    screen = Screen()
    previewer.offer("job", "5", Drawn(10), screen)
    assert screen.next() == 10

    previewer.forget("job")
    previewer.offer("job", "5", Drawn(20), screen)  # and has no turn to wait for

    assert screen.next() == 20


def test_closing_ends_the_thread_and_what_comes_later_is_ignored(clock: Clock) -> None:
    before = threads()
    previewer, screen = Previewer(64, clock=clock), Screen()
    previewer.offer("job", "5", Drawn(10), screen)
    assert screen.next() == 10
    late = Drawn()
    previewer.offer("job", "5", late, screen)

    previewer.close()
    previewer.close()
    previewer.offer("job", "6", late, screen)

    assert threads() == before
    assert not late.asked


def test_closing_waits_for_a_preview_being_made_but_not_for_ever() -> None:
    previewer, gate, screen = Previewer(64), threading.Event(), Screen()
    slow = Drawn(gate=gate)
    previewer.offer("job", "5", slow, screen)
    assert slow.begun.wait(SECONDS)

    previewer.close(seconds=0.01)

    assert slow.thread is not None
    assert slow.thread.is_alive()
    gate.set()
    slow.thread.join(SECONDS)
    assert screen.shown.empty()


def test_an_idle_previewer_has_no_thread_and_begins_again(
    monkeypatch: pytest.MonkeyPatch, previewer: Previewer, clock: Clock
) -> None:
    monkeypatch.setattr(previewing, "LINGER", 0.01)
    screen, drawn = Screen(), Drawn(10)
    previewer.offer("job", "5", drawn, screen)
    assert screen.next() == 10
    assert drawn.thread is not None

    drawn.thread.join(SECONDS)
    assert not drawn.thread.is_alive()
    clock.now += 1
    previewer.offer("job", "5", Drawn(20), screen)

    assert screen.next() == 20


def test_pictures_are_computed_in_the_previewer_s_thread_alone(previewer: Previewer) -> None:
    counts: Queue[int] = Queue()

    class Counted(Drawn):
        def picture(self, longest: int, mode: str) -> Any:
            counts.put(torch.get_num_threads())
            return super().picture(longest, mode)

    usual = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        previewer.offer("job", "5", Counted(), Screen())

        assert counts.get(timeout=SECONDS) == 1
    finally:
        torch.set_num_threads(usual)


def test_a_previewer_lets_go_of_what_it_has_shown(previewer: Previewer) -> None:
    import gc
    import weakref

    screen, drawn = Screen(), Drawn(10)
    gone = threading.Event()
    weakref.finalize(drawn, gone.set)
    previewer.offer("job", "5", drawn, screen)
    assert screen.next() == 10

    del drawn
    gc.collect()

    assert gone.wait(SECONDS)
