import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.store.words import mark, match, words_of

QUERY = "SELECT count(*) FROM w WHERE w MATCH ?"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A Cat", ["a", "cat"]), ("Kätzchen, ÉTÉ!", ["katzchen", "ete"]),
        ("half-light", ["half", "light"]),
        ("a_b", ["a", "b"]), ("猫 と 犬", ["猫", "と", "犬"]), ("한글", ["한글"]), ("が", ["か"]),
        ('" OR NEAR(', ["or", "near"]), ("***", []), ("", []),
        ("<lora:x:0.5>", ["lora", "x", "0", "5"]),
    ],
)  # fmt: skip
def test_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@given(st.text(max_size=40), st.text(max_size=20))
def test_every_text_is_found_by_itself_and_makes_no_syntax_error(text: str, other: str) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE w USING fts5 (words, tokenize='ascii', detail=none)")
    words = words_of(text)
    connection.execute("INSERT INTO w VALUES (?)", (" ".join([*words, mark("t", other)]),))
    query = match(words, [], [mark("t", other)])
    assert connection.execute(QUERY, (query,)).fetchone() == (1,)
    assert connection.execute(
        QUERY, (match(words, words[-1:], [mark("t", other)]),)
    ).fetchone() == (1,)
    assert connection.execute(QUERY, (match([], [], [mark("m", other)]),)).fetchone() == (0,)
    connection.close()


def test_a_mark_cannot_be_typed() -> None:
    made = mark("t", "pets")
    assert made not in words_of(f"x {made} y")
    assert mark("t", "pets") != mark("m", "pets") != mark("m", "Pets")
