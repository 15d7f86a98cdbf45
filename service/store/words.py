"""Turn what people type into full-text queries that are always well formed."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

MOST_WORDS: Final = 16
"""Words of a query that count; nobody types more, and each costs time."""

_WORD: Final = re.compile(r"[^\W_]+")
_MARK: Final = "\ue000"
"""A private character that no word has, so that nobody can type a mark."""


def words_of(text: str) -> list[str]:
    """Split a text into words: letters and digits, in lower case, without accents."""
    apart = unicodedata.normalize("NFD", text.lower())
    bare = "".join(letter for letter in apart if not unicodedata.combining(letter))
    return _WORD.findall(unicodedata.normalize("NFC", bare))


def mark(kind: str, value: str) -> str:
    """Return a word that stands for an exact value of a kind, whatever characters that has."""
    digest = hashlib.sha256(f"{kind}:{value}".encode(errors="replace"))
    return _MARK + digest.hexdigest()[:16]


def match(words: Sequence[str], endings: Iterable[str], marks: Iterable[str]) -> str:
    """Return an FTS5 query: all words, the last of them as a beginning, and all marks.

    Args:
        words: As `words_of` gives them.
        endings: The words that the last word may be the beginning of; when empty, SQLite finds
            them.
        marks: As `mark` gives them.
    """
    terms = [f'"{word}"' for word in (*marks, *words[:-1])]
    if either := " OR ".join(f'"{word}"' for word in endings):
        terms.append(f"({either})")
    elif words:
        terms.append(f'"{words[-1]}"*')
    return " AND ".join(terms)
