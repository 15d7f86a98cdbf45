"""Prompts in A1111's notation."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.prompts import Fragment, parse_prompt, take_loras, with_loras
from engines.spec import Lora


@pytest.mark.parametrize(
    ("prompt", "fragments"),
    [
        ("", [("", 1.0)]),
        ("a cat", [("a cat", 1.0)]),
        ("a (red) cat", [("a ", 1.0), ("red", 1.1), (" cat", 1.0)]),
        ("a ((red)) cat", [("a ", 1.0), ("red", 1.21), (" cat", 1.0)]),
        ("a [red] cat", [("a ", 1.0), ("red", 0.909091), (" cat", 1.0)]),
        ("([red]) cat", [("red cat", 1.0)]),
        ("(a red:1.3) cat", [("a red", 1.3), (" cat", 1.0)]),
        ("(a (red:2):0.5)", [("a ", 0.5), ("red", 1.0)]),
        ("(sky: blue: 1.5 )", [("sky: blue", 1.5)]),
        (r"\(red\) \\ cat", [(r"(red) \ cat", 1.0)]),
        ("a red) cat]", [("a red) cat]", 1.0)]),
        ("a (red cat", [("a ", 1.0), ("red cat", 1.1)]),
        ("time 10:30", [("time 10:30", 1.0)]),
        ("ratio 3:2) wide", [("ratio 3:2) wide", 1.0)]),
        ("(down:-0.5)", [("down", -0.5)]),
        ("(cat:0)", [("cat", 0.0)]),
        ("(cat:1.2.3)", [("cat:1.2.3", 1.1)]),
    ],
)
def test_weights(prompt: str, fragments: list[tuple[str, float]]) -> None:
    assert parse_prompt(prompt) == tuple(Fragment(*fragment) for fragment in fragments)


@given(st.text(alphabet="ab ,.:", max_size=60))
def test_plain_text_stays_as_it_is(prompt: str) -> None:
    assert parse_prompt(prompt) == (Fragment(prompt),)


@given(st.text(alphabet="ab ([:1.2])\\"))
def test_any_text_is_read_and_neighbours_differ(prompt: str) -> None:
    fragments = parse_prompt(prompt)
    assert fragments
    weights = [fragment.weight for fragment in fragments]
    assert all(one != other for one, other in pairwise(weights))


@pytest.mark.parametrize(
    ("prompt", "rest", "loras"),
    [
        ("a cat", "a cat", []),
        ("a  cat ", "a  cat ", []),
        ("a cat <lora:ink:0.8>", "a cat", [Lora("ink", 0.8)]),
        ("a <lora:ink> cat", "a cat", [Lora("ink", 1.0)]),
        ("<lora:ink:x>cat<lora:oil:-1>", "cat", [Lora("ink", 1.0), Lora("oil", -1.0)]),
        ("<lora:ink:0.5:0.7> cat", "cat", [Lora("ink", 0.5)]),
        ("<hypernet:x:1> cat", "<hypernet:x:1> cat", []),
    ],
)
def test_adapters(prompt: str, rest: str, loras: list[Lora]) -> None:
    assert take_loras(prompt) == (rest, tuple(loras))


def test_adapters_are_written_as_they_are_read() -> None:
    loras = (Lora("ink", 0.8), Lora("oil"))
    written = with_loras("a cat", loras)
    assert written == "a cat <lora:ink:0.8> <lora:oil:1>"
    assert take_loras(written) == ("a cat", loras)
