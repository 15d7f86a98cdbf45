"""The prompt notation that A1111 made common, read into plain values.

`(word)` weighs 1.1, `[word]` 1/1.1, `(word:1.3)` as written; brackets nest, a backslash takes a
bracket as itself, an open bracket without a partner reaches to the end, and `<lora:name:0.8>`
names an adapter. A1111 reads prompts in `modules/prompt_parser.py` and `extra_networks.py`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from engines.spec import GenerationSpec, Lora

STEP: Final = 1.1
"""What one pair of round brackets multiplies a weight by."""

_MARK = re.compile(
    r"\\(?P<literal>[()\[\]\\])|:\s*(?P<weight>[+-]?(?:\d+\.?\d*|\.\d+))\s*\)|(?P<mark>[()\[\]])"
    r"|(?P<text>[^\\()\[\]:]+|[\\:])"
)
_LORA = re.compile(r"<lora:(?P<name>[^:<>]+)(?::(?P<weight>[^:<>]*))?(?::[^<>]*)?>")


@dataclass(frozen=True, slots=True)
class Fragment:
    """A stretch of a prompt in which every word weighs the same."""

    text: str
    weight: float = 1.0


def parse_prompt(prompt: str) -> tuple[Fragment, ...]:
    """Split a prompt into fragments of equal weight, in order; at least one, maybe empty.

    Weights are rounded to six digits, so that `([word])` is as plain as `word`.
    """
    pieces: list[tuple[str, float]] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}
    for match in _MARK.finditer(prompt):
        match match.lastgroup, match[match.lastgroup or 0]:
            case "mark", "(" | "[" as bracket:
                opened[bracket].append(len(pieces))
            case "mark", ")" if opened["("]:
                _weigh(pieces, opened["("].pop(), STEP)
            case "mark", "]" if opened["["]:
                _weigh(pieces, opened["["].pop(), 1 / STEP)
            case "weight", number if opened["("]:
                _weigh(pieces, opened["("].pop(), float(number))
            case "literal", bracket:
                pieces.append((bracket, 1.0))
            case _:
                pieces.append((match[0], 1.0))
    for start in opened["("]:
        _weigh(pieces, start, STEP)
    for start in opened["["]:
        _weigh(pieces, start, 1 / STEP)
    return _joined(pieces)


def take_loras(prompt: str) -> tuple[str, tuple[Lora, ...]]:
    """Return the prompt without its `<lora:…>` tags, and the adapters that they name.

    A weight that is no number counts as 1, as A1111 has it.
    """
    loras = tuple(Lora(m["name"].strip(), _number(m["weight"])) for m in _LORA.finditer(prompt))
    rest = _LORA.sub("", prompt)
    return (re.sub(r" {2,}", " ", rest).strip() if loras else prompt), loras


def without_tags(spec: GenerationSpec) -> GenerationSpec:
    """Return the spec with the adapters that tags in its prompt name among its own."""
    prompt, loras = take_loras(spec.prompt)
    return replace(spec, prompt=prompt, loras=(*spec.loras, *loras)) if loras else spec


def with_loras(prompt: str, loras: Iterable[Lora]) -> str:
    """Return the prompt with a `<lora:name:weight>` tag at its end for every adapter."""
    return " ".join([prompt, *(f"<lora:{lora.name}:{lora.weight:g}>" for lora in loras)]).strip()


def _number(text: str | None) -> float:
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 1.0


def _weigh(pieces: list[tuple[str, float]], start: int, factor: float) -> None:
    pieces[start:] = [(text, weight * factor) for text, weight in pieces[start:]]


def _joined(pieces: Iterable[tuple[str, float]]) -> tuple[Fragment, ...]:
    fragments: list[Fragment] = []
    for text, exact in pieces:
        weight = round(exact, 6)
        if fragments and fragments[-1].weight == weight:
            text = fragments.pop().text + text  # noqa: PLW2901 -- grows the last fragment
        fragments.append(Fragment(text, weight))
    return tuple(fragments) or (Fragment(""),)
