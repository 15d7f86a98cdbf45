"""The tokenizer that trains is the tokenizer that ships, and the one that transformers builds."""

# ruff: noqa: S311 - the dice draw words, not secrets
import json
from pathlib import Path
from random import Random

import pytest
from transformers import CLIPTokenizer

from engines.mini import MODEL_DIR
from ops.train.caption import caption
from ops.train.export import save_tokenizer
from ops.train.scene import draw_scene
from ops.train.tokens import END, LENGTH, encode, grammar_words, vocabulary

ODD = ["", "A RED ball!!  3x", "émoji 🎈 tab\tend", "x " * 120, "don't can't 4k-8k (a:1.2)"]


def captions() -> list[str]:
    dice = Random(3)
    return [caption(dice, draw_scene(dice)) for _ in range(300)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    return save_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def test_transformers_reads_the_same_tokens(clip: CLIPTokenizer) -> None:
    texts = [*captions(), *ODD]
    theirs = clip(texts, padding="max_length", max_length=LENGTH, truncation=True)["input_ids"]
    assert encode(texts) == theirs


def test_a_saved_tokenizer_knows_its_length(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    assert CLIPTokenizer.from_pretrained(tmp_path).model_max_length == LENGTH


def test_each_word_of_the_grammar_is_one_token() -> None:
    ids, _ = vocabulary()
    assert all(f"{word}</w>" in ids for word in grammar_words())
    assert all(row[2] == ids[END] for row in encode(grammar_words()))


def test_no_caption_is_cut() -> None:
    end = vocabulary()[0][END]
    assert all(row[-2] == end for row in encode(captions()))


def test_the_shipped_model_has_this_vocabulary() -> None:
    shipped = json.loads((MODEL_DIR / "tokenizer" / "vocab.json").read_text(encoding="utf-8"))
    assert shipped == vocabulary()[0]
