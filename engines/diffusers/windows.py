"""Cuts a prompt's tokens into windows: a text encoder reads so many at once and no more."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engines.prompts import Fragment


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
