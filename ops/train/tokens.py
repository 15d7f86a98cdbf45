"""The tokenizer: CLIP's byte-level BPE, in which each word of the grammar is one token."""

import json
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

from tokenizers import Regex as Pattern
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.processors import TemplateProcessing

from ops.train import phrases, words

LENGTH: Final = 77
BEGIN: Final = "<|startoftext|>"
END: Final = "<|endoftext|>"
_WORD_END: Final = "</w>"
# CLIP's own pattern (openai/CLIP, simple_tokenizer.py).
_SPLIT: Final = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"

Merge = tuple[str, str]


def _alphabet() -> list[str]:
    """Return one printable character a byte, as GPT-2's byte-level BPE assigns them."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(256 - len(printable))]


def grammar_words() -> list[str]:
    """Return every word that a caption can hold, each once, in a stable order."""
    said: list[str] = []
    for noun in words.NOUNS:
        said += [*noun.names, *noun.plurals, noun.second]
    for paint in (*words.PAINTS, *words.BACKGROUNDS):
        said += paint.words
    for table in phrases.CHOICES:
        said += [phrase for choices in table.values() for phrase in choices]
    for listed in phrases.LISTS:
        said += listed
    found = [word.strip(",.{}") for phrase in said for word in phrase.split()]
    return list(dict.fromkeys(word for word in found if word.isalpha()))


def _pieces(word: str, ranks: dict[Merge, int]) -> list[str]:
    pieces = [*word[:-1], word[-1] + _WORD_END]
    while len(pieces) > 1:
        rank, at = min((ranks.get(pair, len(ranks)), i) for i, pair in enumerate(pairwise(pieces)))
        if rank == len(ranks):
            break
        pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
    return pieces


@cache
def vocabulary() -> tuple[dict[str, int], list[Merge]]:
    """Return the token ids and the merges, in CLIP's order."""
    ranks: dict[Merge, int] = {}
    for word in grammar_words():
        while len(pieces := _pieces(word, ranks)) > 1:
            ranks[pieces[0], pieces[1]] = len(ranks)
    letters = _alphabet()
    tokens = [
        *letters,
        *(letter + _WORD_END for letter in letters),
        *("".join(pair) for pair in ranks),
    ]
    return {token: i for i, token in enumerate(dict.fromkeys([*tokens, BEGIN, END]))}, list(ranks)


@cache
def tokenizer() -> Tokenizer:
    """Return the tokenizer: lower-cased text to exactly 77 ids, padded with the end token."""
    ids, merges = vocabulary()
    made = Tokenizer(
        BPE(ids, merges, end_of_word_suffix=_WORD_END, continuing_subword_prefix="", unk_token=END)
    )
    made.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Pattern(r"\s+"), " "), normalizers.Lowercase()]
    )
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Pattern(_SPLIT), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.post_processor = TemplateProcessing(
        single=f"{BEGIN} $A {END}", special_tokens=[(BEGIN, ids[BEGIN]), (END, ids[END])]
    )
    made.enable_truncation(LENGTH)
    made.enable_padding(length=LENGTH, pad_id=ids[END], pad_token=END)
    return made


def encode(texts: list[str]) -> list[list[int]]:
    """Return 77 token ids a text."""
    return [encoding.ids for encoding in tokenizer().encode_batch(texts)]


def save_vocabulary(folder: Path) -> None:
    """Write vocab.json and merges.txt, the two files of a CLIP tokenizer."""
    ids, merges = vocabulary()
    (folder / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges), ""]
    (folder / "merges.txt").write_text("\n".join(lines), encoding="utf-8")
