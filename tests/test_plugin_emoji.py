"""Emoji: their names, the font, the folder they are drawn into, and the whole set."""

from __future__ import annotations

import json
import struct
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from example_plugins import function, module
from few_emoji import needs_font
from node_support import Desk
from PIL import Image, ImageDraw

import nodes
from nodegraph import Engine, NodeGraphError, Settings
from nodes.training.dataset import Dataset, read_dataset
from nodes.training.image_folder import read_image_folder

sequences = module("emoji", "sequences")
fonts = module("emoji", "font")
building = module("emoji", "building")
node = module("emoji", "emoji_dataset")

WHOLE = 2
CAT, APPLE, CLAUS, FLAG = "🐱", "🍎", "🤶", "🇫🇷"
THUMB, DARK_THUMB, ASTRONAUT = "👍", "👍🏿", "👩‍🚀"


def known(*names: tuple[str, str], status: int = WHOLE) -> dict[str, dict[str, Any]]:
    return {sequence: {"en": name, "status": status} for sequence, name in names}


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        (":cat_face:", "cat face"),
        (":Mrs._Claus:", "mrs claus"),
        (":A_button_(blood_type):", "a button blood type"),
        (":Japanese_“acceptable”_button:", "japanese acceptable button"),
        (":man’s_shoe:", "man's shoe"),
        (":Trinidad_&_Tobago:", "trinidad and tobago"),
        (":UP!_button:", "up button"),
        (":woman:_red_hair:", "woman red hair"),
    ],
)
def test_names_are_small_letters_without_punctuation(name: str, plain: str) -> None:
    assert sequences.plain_name(name) == plain


def test_skin_tones_and_flags_are_left_out_unless_wanted() -> None:
    data = known((THUMB, ":t:"), (DARK_THUMB, ":d:"), (FLAG, ":f:"), ("🏴󠁧󠁢󠁳󠁣󠁴󠁿", ":s:"))

    def taken(**options: bool) -> str:
        found = sequences.chosen(data, WHOLE, sequences.Wanted(**options))
        return "".join(sorted(emoji.name for emoji in found))

    assert taken() == "t"
    assert taken(skin_tones=True) == "dt"
    assert taken(flags=True) == "fst"
    assert taken(skin_tones=True, flags=True) == "dfst"


def test_short_sequences_come_first_and_shortened_ones_not_at_all() -> None:
    data = {**known((ASTRONAUT, ":w:"), (CAT, ":c:")), **known((APPLE, ":a:"), status=3)}

    found = sequences.chosen(data, WHOLE, sequences.Wanted())

    assert [emoji.name for emoji in found] == ["c", "w"]
    assert [emoji.file for emoji in found] == ["1f431", "1f469-200d-1f680"]


def test_the_package_s_names_are_unicode_s() -> None:
    names = {e.sequence: e.name for e in sequences.known_emoji(sequences.Wanted())}

    assert (names[CAT], names[APPLE], names[ASTRONAUT]) == (
        "cat face",
        "red apple",
        "woman astronaut",
    )
    assert len(names) > 1600
    assert len(set(names.values())) == len(names)
    assert all(name == sequences.plain_name(name) for name in names.values())


def test_a_missing_package_is_told_with_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "emoji", None)
    monkeypatch.setattr(node.Font, "installed", lambda: fonts.Font(Path("x"), True))

    with pytest.raises(NodeGraphError, match="emoji, which is not installed: pip install"):
        node.emoji_dataset(context=Desk(tmp_path).context)


# -- the font --------------------------------------------------------------------------------------


def table_directory(*tags: bytes) -> bytes:
    return struct.pack(">4sH6x", b"\0\1\0\0", len(tags)) + b"".join(t.ljust(16) for t in tags)


def test_a_font_is_found_where_it_has_bitmaps(tmp_path: Path) -> None:
    for name, tags in {"vector": (b"COLR", b"glyf"), "bitmap": (b"CBLC", b"CBDT")}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / fonts.FILE).write_bytes(table_directory(*tags))
    folders = [tmp_path / "gone", tmp_path / "vector", tmp_path / "bitmap"]

    found = fonts.Font.installed(folders)

    assert found.path == tmp_path / "bitmap" / fonts.FILE
    assert len(found.hash) == 64
    with pytest.raises(fonts.FontMissing, match=r"vector.*has no bitmaps.*CBDT"):
        fonts.Font.installed(folders[:2])


@pytest.mark.parametrize("content", [b"", b"\0\1", table_directory(b"CBDT")[:12]])
def test_a_damaged_font_is_passed_over(tmp_path: Path, content: bytes) -> None:
    (tmp_path / fonts.FILE).write_bytes(content)

    with pytest.raises(fonts.FontMissing):
        fonts.Font.installed([tmp_path])


@pytest.mark.parametrize(
    ("platform", "how"),
    [
        ("linux", "fonts-noto-color-emoji on Debian"),
        ("darwin", "brew install --cask font-noto-color-emoji"),
        ("win32", "https://github.com/googlefonts/noto-emoji"),
        ("freebsd14", "fonts-noto-color-emoji on Debian"),
    ],
)
def test_a_missing_font_is_told_with_how_to_install_it(platform: str, how: str) -> None:
    assert how in str(fonts.FontMissing(platform))


def test_the_node_tells_of_a_missing_font_and_is_asked_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Any:
        raise fonts.FontMissing("linux")

    monkeypatch.setattr(node.Font, "installed", missing)

    with pytest.raises(NodeGraphError, match="Noto Color Emoji is not there"):
        node.emoji_dataset(context=Desk(tmp_path).context)
    assert "is not there" in node._made_of()


def test_colours_drawn_on_nothing_are_laid_on_white() -> None:
    drawn = Image.new("RGBA", (3, 1))
    drawn.putdata([(0, 0, 0, 0), (51, 0, 0, 51), (10, 20, 30, 255)])

    glyph = fonts._on_white(drawn)

    assert np.asarray(glyph.colours)[0].tolist() == [[255] * 3, [255, 204, 204], [10, 20, 30]]
    assert np.asarray(glyph.alpha)[0].tolist() == [0, 51, 255]


# -- the folder ------------------------------------------------------------------------------------

EMOJI = sequences.chosen(
    known((CAT, ":cat_face:"), (APPLE, ":red_apple:"), (CLAUS, ":Mrs._Claus:"), (THUMB, ":t:")),
    WHOLE,
    sequences.Wanted(),
)


class Pen:
    """Draws a blue ellipse of 40 x 20 for the cat and Mrs Claus, an upright red one, no thumb."""

    def __init__(self, fail_at: str = "") -> None:
        self.fail_at = fail_at
        self.drawn: list[str] = []

    def __call__(self, sequence: str) -> Any:
        self.drawn.append(sequence)
        if sequence == self.fail_at:
            raise KeyboardInterrupt
        if sequence == THUMB:
            return None
        size, colour = ((20, 40), "red") if sequence == APPLE else ((40, 20), "blue")
        alpha, colours = Image.new("L", size), Image.new("RGB", size, "white")
        box = (0, 0, size[0] - 1, size[1] - 1)
        ImageDraw.Draw(alpha).ellipse(box, fill=255)
        ImageDraw.Draw(colours).ellipse(box, fill=colour)
        return fonts.Glyph(colours, alpha)


def built(folder: Path, pen: Pen, told: list[Any] | None = None, **look: Any) -> Dataset:
    tell = (lambda *_: None) if told is None else lambda *said: told.append(said)
    building.build(folder, EMOJI, pen, building.Look(**look), tell)
    return read_dataset(folder, read_image_folder)


def test_the_folder_is_a_data_set_without_what_is_missing_or_looks_the_same(
    tmp_path: Path,
) -> None:
    told: list[Any] = []

    dataset = built(tmp_path / "a/set", Pen(), told, size=32)

    assert {e.name: e.caption for e in dataset.examples} == {
        "1f34e.png": "red apple",
        "1f431.png": "cat face",
    }
    assert dataset.hints == ("silhouette",)
    assert dataset.problems == ()
    assert {e.size for e in dataset.examples} == {(32, 32)}
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    lines = (tmp_path / "a/set/metadata.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["emoji"] for line in lines] == [APPLE, CAT]


def test_captions_name_the_style_if_asked(tmp_path: Path) -> None:
    dataset = built(tmp_path / "set", Pen(), styled=True)

    assert dataset.captions == ("noto emoji of red apple", "noto emoji of cat face")


def test_pictures_fill_the_room_in_the_middle_of_white(tmp_path: Path) -> None:
    dataset = built(tmp_path / "set", Pen(), size=64, margin=0.125)

    cat = dataset.examples[1]
    picture = np.asarray(Image.open(cat.image), int)  # type: ignore[arg-type]
    silhouette = np.asarray(Image.open(cat.hint("silhouette")))  # type: ignore[arg-type]

    rows, columns = np.nonzero(silhouette > 127)
    assert (columns.min(), columns.max()) == (8, 55)
    assert (rows.min(), rows.max()) == (20, 43)
    assert silhouette.ndim == 2
    assert picture[0, 0].tolist() == [255, 255, 255]
    assert picture[32, 32].tolist() == [0, 0, 255]
    assert (picture.sum(-1)[silhouette == 0] == 765).all()


def test_it_is_drawn_once(tmp_path: Path) -> None:
    again = Pen()
    first = built(tmp_path / "set", Pen())

    assert built(tmp_path / "set", again) == first
    assert again.drawn == []


def test_work_that_is_stopped_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        built(tmp_path / "set", Pen(fail_at=CAT))
    assert list(tmp_path.iterdir()) == []

    assert len(built(tmp_path / "set", Pen())) == 2


def test_two_that_draw_the_same_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    def tell(done: int, _total: int) -> None:
        if done == 4:
            built(tmp_path / "set", Pen())

    building.build(tmp_path / "set", EMOJI, Pen(), building.Look(), tell)

    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert len(read_dataset(tmp_path / "set", read_image_folder)) == 2


# -- the whole set, with the font ------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    desk = Desk(tmp_path_factory.mktemp("emoji"))
    return function("emoji", "EmojiDataset")(size=32, context=desk.context)


@needs_font
def test_the_set_has_some_1600_emoji_that_all_look_different(whole: Dataset) -> None:
    assert len(whole) >= 1400
    assert whole.problems == ()
    assert len(whole.captions) == len(whole)
    assert len({example.picture for example in whole.examples}) > len(whole) * 0.99
    assert whole.hints == ("silhouette",)
    assert {"cat face", "red apple", "rocket", "woman astronaut"} <= set(whole.captions)


@needs_font
def test_the_pictures_are_what_their_captions_say(whole: Dataset) -> None:
    by_caption = {example.caption: example for example in whole.examples}

    def colour(caption: str) -> list[float]:
        example = by_caption[caption]
        picture = np.asarray(Image.open(example.image), float)  # type: ignore[arg-type]
        covered = np.asarray(Image.open(example.hint("silhouette"))) > 200  # type: ignore[arg-type]
        return list(picture[covered].mean(axis=0))

    for caption, channel in {"red apple": 0, "green apple": 1, "blue circle": 2}.items():
        assert int(np.argmax(colour(caption))) == channel, caption
    covered = Counter(
        bool((np.asarray(Image.open(e.hint("silhouette"))) > 127).mean() > 0.1)  # type: ignore[arg-type]
        for e in whole.examples
    )
    assert covered[True] > 0.95 * len(whole)


@needs_font
def test_what_the_font_does_not_have_is_not_drawn() -> None:
    font = fonts.Font.installed()

    assert font.draw("\U0010ffff") is None
    assert font.draw(CAT + APPLE) is None  # two pictures beside each other
    glyph = font.draw(CAT)
    assert glyph is not None
    assert glyph.alpha.getbbox() == (0, 0, *glyph.alpha.size)  # cut to what it covers
    assert font.draw(ASTRONAUT) is not None or not font.shaped


@needs_font
def test_without_shaping_single_characters_are_drawn_alone() -> None:
    font = fonts.Font(fonts.Font.installed().path, shaped=False)

    assert font.draw("❤️") is not None
    assert font.draw(ASTRONAUT) is None


@needs_font
def test_in_a_graph_the_set_is_drawn_once_and_shown(tmp_path: Path) -> None:
    graph = {
        "1": {"class_type": "EmojiDataset", "inputs": {"size": 16}},
        "2": {"class_type": "ShowDataset", "inputs": {"dataset": ["1", 0], "count": 4}},
    }
    plugins = (Path(__file__).parents[1] / "plugins/emoji",)
    settings = Settings(
        cache=tmp_path / "cache", device="cpu", plugins=plugins, output=tmp_path / "out"
    )
    pictures = module("emoji", "sequences").known_emoji(sequences.Wanted())[::40]
    with pytest.MonkeyPatch.context() as patch, Engine(nodes.modules(), settings) as engine:
        for loaded in [m for m in sys.modules.values() if m.__name__.endswith("emoji_dataset")]:
            patch.setattr(loaded, "known_emoji", lambda _: pictures)
        result = engine.run(graph, targets=["2"]).require()

    image, report = result["2"][:2]
    assert isinstance(image, torch.Tensor)
    assert report.startswith(f"emoji: {len(pictures)} pictures")
    folders = list((tmp_path / "cache/datasets").glob("emoji-*"))
    assert len(folders) == 1
