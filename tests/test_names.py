"""Names of files from outside: what is refused, what is made usable, and what stays as it is."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.names import (
    DEVICES,
    MAX_CLEAN,
    MAX_NAME,
    MAX_PATH,
    UnsafeName,
    clean,
    inside,
    portable,
    readable,
)

OUTSIDE = [
    "..",
    "../a.png",
    "a/../b.png",
    "a/..",
    "..\\a.png",
    "a\\..\\..\\b.png",
    "/etc/passwd",
    "\\windows",
    "//server/share/a.png",
    "\\\\server\\share\\a.png",
    "\\\\?\\C:\\a.png",
    "\\\\.\\PhysicalDrive0",
    "C:",
    "C:a.png",
    "c:/a.png",
    "C:\\a.png",
]
DEVICE_NAMES = [
    "CON",
    "prn",
    "Aux",
    "NUL",
    "con.txt",
    "nul.tar.gz",
    "CON .txt",
    "sub/con",
    "con/a.png",
    *(f"COM{digit}.png" for digit in "0123456789¹²³"),
    *(f"lpt{digit}" for digit in "0123456789¹²³"),
    "CONIN$",
    "conout$.log",
    "ＣＯＮ",  # full width, which some code pages turn into CON
]
UNUSABLE = [
    "",
    ".",
    "./a.png",
    "a/./b",
    "a//b.png",
    "a/",
    ".hidden",
    "a/.git/config",
    "a.",
    "a ",
    "a. .",
    "folder./a.png",
    "folder /a.png",
    "a\0.png",
    "a\n.png",
    "a\x1b.png",
    "a\x7f.png",
    "a\x85.png",
    "a\x9f.png",
    "a\u2028.png",
    "a\u202egnp.exe",
    "a\u2066b",
    "a\u200fb",
    "a\u061cb",
    "a\ud800.png",
    "a" * (MAX_NAME + 1),
    "é" * 128,
    "a/" * (MAX_PATH // 2) + "a",
]
GOOD = [
    "a.png",
    "a",
    "sub/folder/a.png",
    "with space.png",
    "Zoë 猫 🐈‍⬛.png",
    "a..b.png",
    "console.png",
    "COM10.png",
    "COM.png",
    "conin.png",
    "a'b`c$d&e;f(g)[h]{i}!#%^+,=@~.png",
    "_",
    " a.png",
    "a" * MAX_NAME,
]


@pytest.mark.parametrize("name", OUTSIDE + DEVICE_NAMES + UNUSABLE, ids=ascii)
def test_what_leads_out_or_is_usable_on_one_platform_only_is_refused(name: str) -> None:
    for check in (portable, readable):
        with pytest.raises(UnsafeName):
            check(name)


@pytest.mark.parametrize("name", GOOD, ids=ascii)
def test_what_every_platform_takes_stays_as_it_is(name: str) -> None:
    assert portable(name) == readable(name) == PurePosixPath(name)
    assert str(portable(name)) == name


def test_a_backslash_parts_folders_as_a_slash_does() -> None:
    assert portable("sub\\folder\\a.png") == PurePosixPath("sub/folder/a.png")


@pytest.mark.parametrize("sign", '<>:"|?*')
def test_signs_that_windows_forbids_can_be_asked_for_elsewhere_but_not_written(sign: str) -> None:
    name = f"what{sign}.png"

    assert readable(name, windows=False) == PurePosixPath(name)
    with pytest.raises(UnsafeName, match=r"has .* in it"):
        readable(name, windows=True)
    with pytest.raises(UnsafeName, match=r"has .* in it"):
        portable(name)


def test_a_refusal_says_what_is_wrong_and_repeats_no_control_character() -> None:
    with pytest.raises(UnsafeName) as refused:
        portable("x\u202e" + "y" * 1000)

    assert str(refused.value).isprintable()
    assert "'\\u202e'" in str(refused.value)
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("a.png", "a.png"),
        ("Zoë 猫.png", "Zoë 猫.png"),
        ("", "_"),
        (".", "_"),
        ("..", "_"),
        (".png", "_.png"),
        (".hidden.png", "_.hidden.png"),
        ("CON.png", "_CON.png"),
        ("com¹", "_com¹"),
        ("what?.png", "what_.png"),
        ("C:\\fake\\a.png", "C__fake_a.png"),
        ("../../a.png", "_.._.._a.png"),
        ("a\0b\x85c\u202ed.png", "a_b_c_d.png"),
        ("a.png. .", "a.png"),
        ("\ud800.png", "_.png"),
    ],
    ids=ascii,
)
def test_a_name_is_made_usable(name: str, cleaned: str) -> None:
    assert clean(name) == cleaned


def test_a_long_name_is_cut_between_characters_and_keeps_its_suffix() -> None:
    cleaned = clean("猫" * 100 + ".safetensors")

    assert cleaned == "猫" * 62 + ".safetensors"
    assert len(cleaned.encode()) <= MAX_CLEAN == 200


def test_what_is_too_long_for_a_suffix_is_cut_as_well() -> None:
    assert clean("a." + "b" * 300) == "a." + "b" * (MAX_CLEAN - 2)


def test_a_name_that_the_cut_turns_into_a_device_is_marked() -> None:
    assert clean("CON" + " " * 300 + "x.png") == "_CON.png"


# Names made of what is dangerous are likelier to be wrong than names of anything.
WORDS = ["..", ".", "/", "\\", "C:", "CON", "com¹", "nul", " ", "\0", ":", "\u202e", "é", "a", "$"]
NASTY = st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=3)), max_size=12).map("".join)
ANY = st.one_of(st.text(), NASTY, st.text(st.characters(categories=["Cs", "Cc", "Cf", "Po"])))


@given(ANY)
def test_a_name_is_refused_or_stays_in_its_folder(name: str) -> None:
    folder = Path("/somewhere/input")
    for check in (portable, readable):
        try:
            found = check(name)
        except UnsafeName:
            continue
        path = folder / found
        assert os.path.normpath(path) == str(path)
        assert path != folder
        assert inside(path, folder)
        assert not any(part.startswith(".") for part in found.parts)


@given(ANY)
def test_what_is_portable_fits_windows_own_rules(name: str) -> None:
    try:
        parts = portable(name).parts
    except UnsafeName:
        return
    for part in parts:
        assert not set(part) & set('<>:"|?*\\/')
        assert not any(unicodedata.category(sign) in ("Cc", "Cs") for sign in part)
        assert part == part.rstrip(". ")
        assert not DEVICES.fullmatch(part.partition(".")[0].rstrip().upper())
        assert len(part.encode()) <= 255


@given(st.one_of(ANY, NASTY.map(lambda name: name + " " * 250 + "x.png")))
def test_any_text_is_made_a_portable_name_of_one_part(name: str) -> None:
    cleaned = clean(name)

    assert portable(cleaned).parts == (cleaned,)
    assert len(cleaned.encode()) <= MAX_CLEAN
    assert clean(cleaned) == cleaned


@given(ANY)
def test_a_portable_name_is_clean_already(name: str) -> None:
    try:
        parts = portable(name).parts
    except UnsafeName:
        return
    for part in parts:
        if len(part.encode()) <= MAX_CLEAN:
            assert clean(part) == part
