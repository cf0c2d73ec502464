"""CLIP's tokenizer: byte-level byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909).

Text is composed (NFC), runs of white space become one space, letters lower case; it is split into
words, single digits and runs of punctuation, each written as bytes of which the last is marked
`</w>`; then 48,894 merges join neighbouring symbols, best first. The vocabulary (49,408) is the 256
bytes, the 256 marked bytes, the merges' results, start and end, in this order.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from .errors import ModelError

MERGES_FILE = Path(__file__).parent / "data" / "clip_bpe_merges.txt.gz"
MERGES = 48_894
START, END = "<|startoftext|>", "<|endoftext|>"
END_OF_WORD = "</w>"
WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"

Merges = list[tuple[str, str]]


class CLIPTokenizer:
    """Text to CLIP's token numbers. Loading takes some 60 ms: keep one and hand it on."""

    def __init__(self, merges_file: Path = MERGES_FILE) -> None:
        """Build from a gzip file of merges. Raises ModelError where it does not hold CLIP's."""
        merges = _read(merges_file)
        vocabulary = _vocabulary(merges)
        self._tokenizer = _build(vocabulary, merges)
        self.vocab_size = len(vocabulary)
        self.start_token = vocabulary[START]
        self.end_token = vocabulary[END]

    def encode(self, text: str) -> tuple[int, ...]:
        """The tokens of `text`, without start and end, however many they are."""
        # A lone surrogate is no Unicode text and cannot be handed to the library.
        clean = text.encode("utf-8", "replace").decode("utf-8")
        return tuple(self._tokenizer.encode(clean, add_special_tokens=False).ids)


def _read(path: Path) -> Merges:
    try:
        lines = gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ModelError(f"CLIP's merges cannot be read from {path.name}: {error}") from error
    merges = [(left, right) for left, _, right in (line.partition(" ") for line in lines)]
    if len(merges) != MERGES or not all(right for _, right in merges):
        raise ModelError(
            f"{path.name} holds {len(merges)} lines; expected CLIP's {MERGES} merges, two symbols "
            "a line: put back the file this package came with"
        )
    return merges


def _byte_symbols() -> list[str]:
    """One printable character a byte, in the vocabulary's order: bytes that print come first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1)]
    printable += range(ord("®"), ord("ÿ") + 1)
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(256 - len(printable))]


def _vocabulary(merges: Merges) -> dict[str, int]:
    symbols = _byte_symbols()
    marked = [symbol + END_OF_WORD for symbol in symbols]
    joined = [left + right for left, right in merges]
    return {token: i for i, token in enumerate([*symbols, *marked, *joined, START, END])}


def _build(vocabulary: dict[str, int], merges: Merges) -> Tokenizer:
    model = models.BPE(
        vocab=vocabulary,
        merges=merges,
        continuing_subword_prefix="",
        end_of_word_suffix=END_OF_WORD,
        unk_token=END,
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in (START, END)])
    return tokenizer
