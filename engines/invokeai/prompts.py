"""Prompts in compel's notation, which InvokeAI reads: `(word)1.2` where A1111 has `(word:1.2)`.

A prompt must mean the same on every engine, so what only compel would take for syntax (`C++`,
quotes, `.swap(…)`) is written so that it stays text; compel 2 reads it in `prompt_parser.py`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from engines.base import Shortfall
from engines.prompts import Fragment, parse_prompt, take_loras
from engines.spec import GenerationSpec, Lora

_RESERVED = re.compile(r'[()"]')
_TRAILING = re.compile(r"(?<=[^\s+\-])(?=[+\-]+(?![+\-\w]))")
"""Where a run of signs ends a word: compel would weigh the word by it."""

_OPERATOR = re.compile(r"\.(?=(?:swap|blend|and|add|attend)\b)")
"""Operators of compel's; written apart, CLIP still reads the same tokens."""

_UNWEIGHABLE = re.compile(r"(=+|[+\-]{2,}|[+\-](?!\w))")
"""What makes compel take a whole weighted group for plain text."""

_SCHEDULED: Final = re.compile(
    r"\[[^\[\]]*:\s*[\d.]+\s*\]|\[[^\[\]|]*\|[^\[\]]*\]|\bBREAK\b|\bAND\b"
)


@dataclass(frozen=True, slots=True)
class Prompts:
    """Both prompts of a spec as InvokeAI takes them, and the adapters they named."""

    positive: str
    negative: str
    loras: tuple[Lora, ...]
    shortfalls: tuple[Shortfall, ...]


def read_prompts(spec: GenerationSpec) -> Prompts:
    """Translate both prompts, and take the LoRA tags out of them."""
    positive, loras = take_loras(spec.prompt)
    negative, unwanted = take_loras(spec.negative_prompt)
    shortfalls = [
        Shortfall(
            "lora_in_negative_prompt",
            f"an adapter acts on the whole picture: {lora.name!r} is left out",
            "negative_prompt",
        )
        for lora in unwanted
    ]
    for field, text in (("prompt", positive), ("negative_prompt", negative)):
        shortfalls.extend(_unsaid(field, text))
    return Prompts(compel(positive), compel(negative), loras, tuple(shortfalls))


def compel(prompt: str) -> str:
    """Translate a prompt from A1111's notation; negative weights become 0."""
    text = ""
    for fragment in parse_prompt(prompt):
        for piece in _pieces(fragment):
            # compel weighs the word that a bracket follows closely, and reads digits on
            close = text and piece and not text[-1].isspace() and _clings(text, piece)
            text += f" {piece}" if close else piece
    return text


def _pieces(fragment: Fragment) -> Iterator[str]:
    if fragment.weight == 1.0:
        yield _literal(fragment.text)
        return
    for piece in _UNWEIGHABLE.split(fragment.text):
        words = piece.strip()
        if not words or _UNWEIGHABLE.fullmatch(words):
            yield f" {words} " if words else piece
            continue
        before, _, after = piece.partition(words)
        yield f"{before}({_literal(words)}){max(fragment.weight, 0.0):.3f}{after}"


def _clings(text: str, piece: str) -> bool:
    return piece[0] == "(" or (text[-1].isdigit() and (piece[0].isdigit() or piece[0] == "."))


def _literal(text: str) -> str:
    """Write text so that compel finds no syntax in it."""
    apart = _OPERATOR.sub(". ", _TRAILING.sub(" ", text))
    return _RESERVED.sub(lambda match: f"\\{match[0]}", apart)


def _unsaid(field: str, text: str) -> Iterator[Shortfall]:
    if scheduled := _SCHEDULED.search(text):
        yield Shortfall(
            "prompt_schedule", f"{scheduled[0]!r} is drawn as it is written, all the time", field
        )
    if any(fragment.weight < 0 for fragment in parse_prompt(text)):
        yield Shortfall("prompt_weight", "weights below 0 are taken for 0", field)
