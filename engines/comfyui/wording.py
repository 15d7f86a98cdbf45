"""Prompts in the server's notation, where only round brackets weigh words."""

from dataclasses import replace

from engines.prompts import parse_prompt, without_tags
from engines.spec import GenerationSpec


def worded(spec: GenerationSpec) -> GenerationSpec:
    """Return the spec with its `<lora:…>` tags among the adapters and its weights translated."""
    spec = without_tags(spec)
    return replace(
        spec,
        prompt=weighted(spec.prompt),
        negative_prompt=weighted(spec.negative_prompt),
    )


def weighted(prompt: str) -> str:
    """Write square brackets, which the server takes for letters, as weights below 1."""
    if "[" not in prompt:
        return prompt
    return "".join(
        _escaped(part.text) if part.weight == 1 else f"({_escaped(part.text)}:{part.weight:g})"
        for part in parse_prompt(prompt)
    )


def _escaped(text: str) -> str:
    return text.replace("(", r"\(").replace(")", r"\)")
