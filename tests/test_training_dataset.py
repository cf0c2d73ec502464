"""Data sets: what is read from a folder, what is left out and why, and what they are known by."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_sets import flat, of_arrays, png, rows, write
from PIL import Image

from nodes.training.dataset import (
    Dataset,
    DatasetError,
    Entry,
    Listing,
    of_listing,
    read_dataset,
)
from nodes.training.image_folder import read_image_folder
from nodes.training.looking import Looker

GREY = np.full((4, 4, 3), 9, np.uint8)


def read(folder: Path, looker: Looker | None = None) -> Dataset:
    return read_dataset(folder, read_image_folder, looker)


def captions(dataset: Dataset) -> dict[str, str]:
    return {example.name: example.caption for example in dataset.examples}


def problems(dataset: Dataset) -> dict[str, str]:
    return {problem.name: problem.reason for problem in dataset.problems}


# -- captions beside the pictures ------------------------------------------------------------------


def test_captions_are_in_text_files_of_the_same_name(tmp_path: Path) -> None:
    flat(tmp_path / "b.png")
    flat(tmp_path / "a.JPG")
    write(tmp_path / "b.txt", "\ufeff a red\n apple \n")
    write(tmp_path / "notes.md", "no picture")

    dataset = read(tmp_path)

    assert captions(dataset) == {"a.JPG": "", "b.png": "a red apple"}
    assert dataset.problems == ()
    assert dataset.name == tmp_path.name


def test_a_folder_below_is_a_class_unless_it_is_a_split(tmp_path: Path) -> None:
    flat(tmp_path / "cats/1.png")
    flat(tmp_path / "dogs/2.png")
    flat(tmp_path / "Train/3.png")
    flat(tmp_path / "4.png")
    flat(tmp_path / ".hidden/5.png")

    dataset = read(tmp_path)

    labels = {example.name: example.label for example in dataset.examples}
    assert labels == {
        "4.png": None,
        "Train/3.png": None,
        "cats/1.png": "cats",
        "dogs/2.png": "dogs",
    }
    assert dataset.labels == ("cats", "dogs")


def test_neighbours_named_so_are_hints(tmp_path: Path) -> None:
    flat(tmp_path / "a.jpg")
    mask = flat(tmp_path / "a_mask.png", (5, 5, 5))
    depth = flat(tmp_path / "a_depth.png", (6, 6, 6))
    flat(tmp_path / "a_2.png")
    flat(tmp_path / "b_mask.png")  # of nothing: a picture like others

    dataset = read(tmp_path)

    assert [example.name for example in dataset.examples] == ["a.jpg", "a_2.png", "b_mask.png"]
    assert dataset.examples[0].hints == {"depth": depth, "mask": mask}
    assert dataset.examples[1].hints == {}
    assert dataset.hints == ()


def test_an_unreadable_caption_is_told_and_the_picture_is_used(tmp_path: Path) -> None:
    flat(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\xff")

    dataset = read(tmp_path)

    assert captions(dataset) == {"a.png": ""}
    assert "cannot be read" in problems(dataset)["a.txt"]


# -- metadata --------------------------------------------------------------------------------------


def test_metadata_names_pictures_captions_classes_and_hints(tmp_path: Path) -> None:
    flat(tmp_path / "images/1.png")
    flat(tmp_path / "images/2.png")
    hint = flat(tmp_path / "hints/1.png")
    rows(
        tmp_path / "metadata.jsonl",
        {
            "file_name": "images/2.png",
            "text": "two",
            "label": 7,
            "depth_file_name": "hints/1.png",
            "conditioning_image": "hints/1.png",
        },
        {"file_name": "images\\1.png", "caption": "one", "score": 3},
    )

    dataset = read(tmp_path)

    assert captions(dataset) == {"images/1.png": "one", "images/2.png": "two"}
    assert [example.label for example in dataset.examples] == [None, "7"]
    assert dataset.examples[1].hints == {"conditioning": hint, "depth": hint}
    assert dataset.problems == ()


def test_metadata_may_be_csv(tmp_path: Path) -> None:
    flat(tmp_path / "a.png")
    write(tmp_path / "metadata.csv", 'file_name,text\na.png,"one, two"\n')

    assert captions(read(tmp_path)) == {"a.png": "one, two"}


def test_each_fault_of_metadata_is_told_with_its_line(tmp_path: Path) -> None:
    flat(tmp_path / "data/a.png")
    flat(tmp_path / "data/other.png")
    flat(tmp_path / "outside.png")
    os.symlink(tmp_path / "outside.png", tmp_path / "data/link.png")
    lines = [
        {"file_name": "a.png", "mask_image": "gone.png"},
        {"text": "no name"},
        {"file_name": "gone.png"},
        {"file_name": "../outside.png"},
        {"file_name": str(tmp_path / "outside.png")},
        {"file_name": "link.png"},
        {"file_name": "below/../other.png"},
        {"file_name": "a.png"},
    ]
    text = "\n".join([*map(json.dumps, lines), "{", "[]", ""])
    write(tmp_path / "data/metadata.jsonl", text)

    dataset = read(tmp_path / "data")

    told = [str(problem) for problem in dataset.problems]
    assert list(captions(dataset)) == ["a.png"]
    expected = [
        "line 1: mask_image: there is no file 'gone.png'",
        "line 2: it has no file_name",
        "line 3: there is no file 'gone.png'",
        "line 4: '../outside.png' leads out of the folder",
        "leads out of the folder",
        "line 6: 'link.png' leads out of the folder",
        "line 7: 'below/../other.png' leads out of the folder",
        "line 8: 'a.png' was named before",
        "line 9: it is no JSON",
        "line 10: it is no JSON object",
        "link.png: the metadata does not name it",
        "other.png: the metadata does not name it",
    ]
    assert len(told) == len(expected)
    for said, part in zip(told, expected, strict=True):
        assert part in said


# -- broken pictures -------------------------------------------------------------------------------


def test_broken_pictures_are_told_with_the_reason_and_the_rest_is_used(tmp_path: Path) -> None:
    whole = flat(tmp_path / "a.png", size=(64, 64))
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:90])
    write(tmp_path / "text.png", "this is no picture")
    (tmp_path / "empty.jpg").touch()
    flat(tmp_path / "b.png")
    write(tmp_path / "b_mask.png", "broken")

    dataset = read(tmp_path)

    assert list(captions(dataset)) == ["a.png", "b.png"]
    told = problems(dataset)
    assert set(told) == {"cut.png", "text.png", "empty.jpg", "b.png"}
    assert "damaged or cut short" in told["cut.png"]
    assert "not a picture in a known format" in told["text.png"]
    assert told["b.png"].startswith("its hint 'mask': not a picture")
    assert dataset.examples[1].hints == {}


def test_where_nothing_is_left_the_error_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"is empty: looked for pictures \(\.png, .*metadata"):
        read(tmp_path)
    write(tmp_path / "a.png", "broken")
    with pytest.raises(DatasetError, match=r"can be used \(a\.png: not a picture.*looked for"):
        read(tmp_path)
    with pytest.raises(DatasetError, match="no folder 'gone'"):
        read(tmp_path / "gone")


def test_a_file_is_opened_once_until_its_size_or_time_changes(tmp_path: Path) -> None:
    file = flat(tmp_path / "data/a.png")
    write(tmp_path / "data/b.png", "broken")
    notes = tmp_path / "cache/seen.json"

    before = read(tmp_path / "data", first := Looker(notes))
    same = read(tmp_path / "data", again := Looker(notes))

    assert (first.opened, again.opened) == (2, 0)
    assert same == before
    flat(file, (1, 2, 3))
    os.utime(file, (1, 1))
    later = Looker(notes)
    assert read(tmp_path / "data", later).identity != before.identity
    assert later.opened == 1


@pytest.mark.parametrize("said", ["", "{", "[]", '{"format": 0}', '{"format": 1, "seen": [[1]]}'])
def test_notes_that_cannot_be_read_are_made_anew(tmp_path: Path, said: str) -> None:
    flat(tmp_path / "data/a.png")
    notes = write(tmp_path / "seen.json", said)

    assert len(read(tmp_path / "data", Looker(notes))) == 1
    assert json.loads(notes.read_text())["seen"]


def test_the_size_is_that_of_the_picture_the_way_up_it_is_seen(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (5, 3)).save(tmp_path / "a.jpg", exif=exif)

    assert read(tmp_path).examples[0].size == (3, 5)


# -- identity --------------------------------------------------------------------------------------


def test_the_identity_depends_on_contents_alone(tmp_path: Path) -> None:
    for name in ("one", "two"):
        flat(tmp_path / name / "a.png", (1, 2, 3))
        flat(tmp_path / name / "a_mask.png", (1, 1, 1))
        write(tmp_path / name / "a.txt", "a")
    one, two = read(tmp_path / "one"), read(tmp_path / "two")
    assert one.identity == two.identity

    write(tmp_path / "two/a.txt", "b")
    other = read(tmp_path / "two")
    assert (other.identity == one.identity, other.pictures == one.pictures) == (False, True)

    write(tmp_path / "two/a.txt", "a")
    flat(tmp_path / "two/a_mask.png", (2, 2, 2))
    other = read(tmp_path / "two")
    assert (other.identity == one.identity, other.pictures == one.pictures) == (False, True)

    flat(tmp_path / "two/a_mask.png", (1, 1, 1))
    flat(tmp_path / "two/a.png", (1, 2, 4))
    other = read(tmp_path / "two")
    assert (other.identity == one.identity, other.pictures == one.pictures) == (False, False)


def test_classes_are_numbered_in_the_order_of_their_names() -> None:
    entries = [Entry(str(i), png(GREY), label=label) for i, label in enumerate("cabc")]

    dataset = of_listing(Listing(entries), "letters")

    assert (dataset.labels, dataset.label_numbers) == (("a", "b", "c"), (2, 0, 1, 2))
    with pytest.raises(DatasetError, match="000 has no class: put pictures into a folder"):
        _ = of_arrays(GREY).label_numbers


def test_a_label_is_part_of_the_identity() -> None:
    def labelled(label: str | None) -> Dataset:
        return of_listing(Listing([Entry("a", png(GREY), "x", label)]), "")

    assert labelled("a").identity != labelled(None).identity


def test_a_further_hint_changes_the_identity_and_what_examples_have() -> None:
    dataset = of_arrays(GREY, GREY + 1)

    more = dataset.with_hint("edges", [png(GREY), png(GREY)], ["k", "l"])

    assert more.hints == ("edges",)
    assert dataset.hints == ()
    assert more.identity != dataset.identity
    assert more.pictures == dataset.pictures
    assert dataset.with_hint("edges", [b"", b""], ["k", "m"]).identity != more.identity


def test_an_absent_hint_is_told_with_those_there_are() -> None:
    dataset = of_arrays(GREY, hints={"mask": GREY})

    with pytest.raises(DatasetError, match="000 has no hint 'depth'; it has mask"):
        dataset.examples[0].hint("depth")


# -- parts -----------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(count=st.integers(2, 12), share=st.floats(0, 1), seed=st.integers(0, 2**40))
def test_a_split_uses_every_example_once_and_keeps_the_order(
    count: int, share: float, seed: int
) -> None:
    dataset = of_arrays(*[GREY + i for i in range(count)])

    training, validation = dataset.split(share, seed)

    kept = [e.name for e in training.examples]
    aside = [e.name for e in validation.examples]
    assert sorted(kept + aside) == [e.name for e in dataset.examples]
    assert kept == sorted(kept)
    assert aside == sorted(aside)
    assert abs(len(aside) - count * share) <= 1
    if 0 < share < 1:
        assert kept
        assert aside
    assert dataset.split(share, seed) == (training, validation)


def test_another_seed_gives_another_split_and_sample() -> None:
    dataset = of_arrays(*[GREY + i for i in range(20)])

    assert dataset.split(0.5, 1) != dataset.split(0.5, 2)
    assert dataset.sample(5, 1).identity != dataset.sample(5, 2).identity
    assert len(dataset.sample(5, 1)) == 5
    assert dataset.sample(20, 1) is dataset
