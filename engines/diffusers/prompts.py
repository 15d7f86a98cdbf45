"""Reads a prompt: which words weigh how much, and how its tokens fall into windows.

The notation is the one that A1111 made common: `(word)` weighs 1.1, `[word]` 1/1.1,
`(word:1.3)` as written; brackets nest, and a backslash takes a bracket as itself.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_STEP = 1.1
_MARK = re.compile(r"\\[()\[\]\\]|\(|\)|\[|\]|:\s*([+-]?[\d.]+)\s*\)|[^\\()\[\]:]+|:|\\")


@dataclass(frozen=True, slots=True)
class Fragment:
    """A stretch of a prompt in which every word weighs the same."""

    text: str
    weight: float = 1.0


def parse_prompt(prompt: str) -> tuple[Fragment, ...]:
    """Split a prompt into fragments of equal weight; brackets without a partner stay text."""
    pieces: list[tuple[str, float]] = []
    round_opens: list[int] = []
    square_opens: list[int] = []
    for mark in _MARK.finditer(prompt):
        text = mark.group(0)
        if text == "(":
            round_opens.append(len(pieces))
        elif text == "[":
            square_opens.append(len(pieces))
        elif text == ")" and round_opens:
            _weigh(pieces, round_opens.pop(), _STEP)
        elif text == "]" and square_opens:
            _weigh(pieces, square_opens.pop(), 1 / _STEP)
        elif mark.group(1) is not None and round_opens and _number(mark.group(1)) is not None:
            _weigh(pieces, round_opens.pop(), _number(mark.group(1)) or 0.0)
        else:
            pieces.append((text[1:] if len(text) > 1 and text[0] == "\\" else text, 1.0))
    opened = [(start, "(") for start in round_opens] + [(start, "[") for start in square_opens]
    for start, bracket in sorted(opened, reverse=True):
        pieces.insert(start, (bracket, 1.0))
    return _joined(pieces)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _weigh(pieces: list[tuple[str, float]], start: int, factor: float) -> None:
    pieces[start:] = [(text, weight * factor) for text, weight in pieces[start:]]


def _joined(pieces: Sequence[tuple[str, float]]) -> tuple[Fragment, ...]:
    fragments: list[Fragment] = []
    for text, weight in pieces:
        if fragments and fragments[-1].weight == weight:
            fragments[-1] = Fragment(fragments[-1].text + text, weight)
        else:
            fragments.append(Fragment(text, weight))
    return tuple(fragments) or (Fragment(""),)


@dataclass(frozen=True, slots=True)
class Window:
    """As many tokens as a text encoder reads at once, without begin and end marks."""

    tokens: tuple[int, ...]
    weights: tuple[float, ...]

    @property
    def weighted(self) -> bool:
        """Whether any token weighs other than 1."""
        return any(weight != 1.0 for weight in self.weights)


def windows(
    fragments: Sequence[Fragment], *, tokenize: Callable[[str], list[int]], room: int
) -> tuple[Window, ...]:
    """Cut a prompt into windows of at most `room` tokens; an empty prompt is one empty window."""
    tokens: list[int] = []
    weights: list[float] = []
    for fragment in fragments:
        added = tokenize(fragment.text)
        tokens += added
        weights += [fragment.weight] * len(added)
    return tuple(
        Window(tuple(tokens[start : start + room]), tuple(weights[start : start + room]))
        for start in range(0, max(len(tokens), 1), room)
    )
