"""The notation of prompts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.diffusers.prompts import Fragment, parse_prompt, windows

CASES = {
    "a cat": [("a cat", 1.0)],
    "": [("", 1.0)],
    "a (cat) here": [("a ", 1.0), ("cat", 1.1), (" here", 1.0)],
    "a ((cat))": [("a ", 1.0), ("cat", 1.21)],
    "[cat]": [("cat", 1 / 1.1)],
    "(cat:1.5)": [("cat", 1.5)],
    "(a (b:2) c:0.5)": [("a ", 0.5), ("b", 1.0), (" c", 0.5)],
    r"smile \(happy\)": [("smile (happy)", 1.0)],
    "16:9 photo": [("16:9 photo", 1.0)],
    "open ( never": [("open ( never", 1.0)],
    "shut ) never": [("shut ) never", 1.0)],
    "(cat:0)": [("cat", 0.0)],
}


@pytest.mark.parametrize("prompt", CASES)
def test_notation(prompt: str) -> None:
    told = [(f.text, pytest.approx(f.weight)) for f in parse_prompt(prompt)]
    assert told == CASES[prompt]


@given(st.text(alphabet="ab ()[]:\\.1", max_size=30))
def test_any_text_is_a_prompt(prompt: str) -> None:
    assert parse_prompt(prompt)


@given(st.text(alphabet="ab ,.", max_size=60))
def test_plain_text_stays_as_it_is(prompt: str) -> None:
    assert "".join(f.text for f in parse_prompt(prompt)) == prompt
    assert {f.weight for f in parse_prompt(prompt)} == {1.0}


def test_windows_hold_all_tokens_in_order() -> None:
    fragments = (Fragment("abc"), Fragment("defgh", 2.0))
    cut = windows(fragments, tokenize=lambda text: [ord(c) for c in text], room=3)
    assert "".join(chr(t) for w in cut for t in w.tokens) == "abcdefgh"
    assert [len(w.tokens) for w in cut] == [3, 3, 2]
    assert [w.weighted for w in cut] == [False, True, True]
    assert len(windows((Fragment(""),), tokenize=lambda _: [], room=3)) == 1
