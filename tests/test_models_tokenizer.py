"""The tokenizer against transformers' and against byte-pair encoding written out plainly."""

import gzip
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer as TransformersTokenizer

from nodes.models.errors import ModelError
from nodes.models.tokenizer import MERGES_FILE, CLIPTokenizer

TEXTS = [
    "",
    " ",
    "a photo of a cat",
    "A  Photo\tof\r\na   CAT!!!",
    "it's they're I'VE we'll 'tis o'clock 'd",
    "masterpiece, best quality, 8k, 1girl, (blue:1.2) [red] {green}",
    "1234567890 3.14 1/2 ½ ² Ⅷ ٣",
    "don't stop... -- — “quoted” «guillemets» …",
    "naïve café Ångström İstanbul ǅ ẞ ß",
    "cafe\u0301 \u212b e\u0323\u0302",
    "日本語のテキスト 한국어 русский Ελληνικά עברית हिन्दी ไทย",
    "🐱 👩‍👩‍👧‍👦 🇩🇪 ❤️ 👍🏽 #️⃣",
    "\x00 \x07 \u200b \ufeff \u00a0 \u3000 \u2028 \ufffd",
    "snake_case CamelCase http://example.org/?q=a&b=c user@example.org",
    "<|startoftext|> middle <|endoftext|>",
    "<|ENDOFTEXT|> <|endoftext|>s </w> a</w>",
    "supercalifragilisticexpialidocious " * 40,
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
]


def byte_characters() -> dict[int, str]:
    """GPT-2's printable stand-ins: a printable byte is itself, the others are 256, 257, ..."""
    kept = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    others = [b for b in range(256) if b not in kept]
    return {b: chr(b) for b in kept} | {b: chr(256 + i) for i, b in enumerate(others)}


def merges() -> list[str]:
    return gzip.decompress(MERGES_FILE.read_bytes()).decode("utf-8").split("\n")


def vocabulary() -> dict[str, int]:
    characters = list(byte_characters().values())
    tokens = [*characters, *(c + "</w>" for c in characters)]
    tokens += [pair.replace(" ", "") for pair in merges()]
    return {token: i for i, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}


@pytest.fixture(scope="module")
def ours() -> CLIPTokenizer:
    return CLIPTokenizer()


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> TransformersTokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    (folder / "vocab.json").write_text(json.dumps(vocabulary()), encoding="utf-8")
    lines = ["#version: 0.2", *merges()]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 10**6}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return TransformersTokenizer.from_pretrained(folder, local_files_only=True)


def test_the_vocabulary_is_clips(ours: CLIPTokenizer) -> None:
    assert (ours.vocab_size, ours.start_token, ours.end_token) == (49408, 49406, 49407)
    assert ours.encode("a photo of a cat") == (320, 1125, 539, 320, 2368)
    assert ours.encode("Hello World !") == (3306, 1002, 256)


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_equal_those_of_transformers(
    text: str, ours: CLIPTokenizer, theirs: TransformersTokenizer
) -> None:
    assert [49406, *ours.encode(text), 49407] == theirs(text)["input_ids"]


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=60))
def test_tokens_of_any_text_equal_those_of_transformers(
    text: str, ours: CLIPTokenizer, theirs: TransformersTokenizer
) -> None:
    assert [49406, *ours.encode(text), 49407] == theirs(text)["input_ids"]


RANKS = {tuple(pair.split(" ")): rank for rank, pair in enumerate(merges())}
NUMBERS = vocabulary()


def plain_bpe(text: str) -> list[int]:
    """Byte-pair encoding of ASCII text by its definition: join the best pair until none is left."""
    numbers: list[int] = []
    for word in re.findall(r"'s|'t|'re|'ve|'m|'ll|'d|[a-z]+|[0-9]|[^\sa-z0-9]+", text.lower()):
        parts = [byte_characters()[ord(character)] for character in word]
        parts[-1] += "</w>"
        while pairs := [pair for pair in pairwise(parts) if pair in RANKS]:
            best = min(pairs, key=RANKS.__getitem__)
            joined: list[str] = []
            while parts:
                if tuple(parts[:2]) == best:
                    joined.append("".join(parts[:2]))
                    parts = parts[2:]
                else:
                    joined.append(parts.pop(0))
            parts = joined
        numbers += [NUMBERS[part] for part in parts]
    return numbers


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
def test_tokens_of_ascii_text_follow_the_definition(text: str, ours: CLIPTokenizer) -> None:
    assert list(ours.encode(text)) == plain_bpe(text)


def test_a_lone_surrogate_is_not_an_error(ours: CLIPTokenizer) -> None:
    assert ours.encode("a \ud800 cat") == (*ours.encode("a"), *ours.encode("? cat"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not gzip", "merges.gz"),
        (gzip.compress(b"a b\nc d", mtime=0), "holds 2 lines; expected CLIP's 48894 merges"),
        (gzip.compress("\n".join(["a"] * 48894).encode(), mtime=0), "expected CLIP's 48894 merges"),
        (gzip.compress(b"\xff\xfe", mtime=0), "cannot be read from merges.gz"),
    ],
)
def test_a_damaged_file_of_merges_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "merges.gz"
    path.write_bytes(content)

    with pytest.raises(ModelError, match=message):
        CLIPTokenizer(path)


@pytest.mark.parametrize("damage", [slice(1000, None), slice(500, 900)], ids=["cut", "hole"])
def test_a_broken_copy_of_the_merges_is_named(tmp_path: Path, damage: slice) -> None:
    path = tmp_path / "merges.gz"
    content = bytearray(MERGES_FILE.read_bytes())
    del content[damage]
    path.write_bytes(content)

    with pytest.raises(ModelError, match=r"cannot be read from merges\.gz"):
        CLIPTokenizer(path)


def test_a_missing_file_of_merges_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot be read from nothing\.gz"):
        CLIPTokenizer(tmp_path / "nothing.gz")
