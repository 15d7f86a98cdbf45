"""Where a workflow's values come from: its wires, followed back from where they end."""

from collections.abc import Collection, Iterator

from engines.comfyui.binding import Target
from engines.comfyui.sketch import Graph, class_of, inputs_of, is_link

_TEXTS = ("text", "text_g", "text_l", "clip_l", "t5xxl", "prompt")
_VALUES = ("value", "text", "string", "int", "float", "seed", "noise_seed")
_NO_TEXT = frozenset(
    {
        "model",
        "clip",
        "vae",
        "control_net",
        "image",
        "images",
        "pixels",
        "mask",
        "samples",
        "latent",
    }
    | {"latent_image", "clip_vision_output", "style_model", "noise", "sigmas", "sampler"}
)
"""Inputs behind which there may be text, but not the text that this conditioning was made of."""


def origin(graph: Graph, node: str, field: str) -> tuple[str, int] | None:
    """Return the node and the slot that an input is wired to, None when it is not wired."""
    match inputs_of(graph, node).get(field):
        case [source, int(index)] if str(source) in graph:
            return str(source), index
        case _:
            return None


def literal(graph: Graph, node: str, field: str) -> Target | None:
    """Return where an input's value is written: here, or in a node that holds only a value."""
    inputs = inputs_of(graph, node)
    if field not in inputs:
        return None
    if not is_link(inputs[field]):
        return Target(node, field)
    source = origin(graph, node, field)
    if source is None or any(is_link(value) for value in inputs_of(graph, source[0]).values()):
        return None
    held = [name for name in (field, *_VALUES) if name in inputs_of(graph, source[0])]
    return Target(source[0], held[0]) if held else None


def seek(
    graph: Graph, node: str, fields: Collection[str], through: Collection[str]
) -> Target | None:
    """Return the nearest of `fields` at `node` or further back, along the inputs `through`."""
    for passed in _upstream(graph, node, through):
        for field in fields:
            if (found := literal(graph, passed, field)) is not None:
                return found
    return None


def behind(graph: Graph, node: str, through: Collection[str] | None = None) -> list[str]:
    """Return the nodes upstream of `node`, nearest first; `through` limits the inputs to follow."""
    return list(_upstream(graph, node, through))[1:]


def pictures(graph: Graph, node: str, through: Collection[str] | None, loader: str) -> list[Target]:
    """Return the inputs of `loader` nodes upstream that name a picture."""
    return [
        Target(found, "image")
        for found in behind(graph, node, through)
        if class_of(graph, found) == loader and "image" in inputs_of(graph, found)
    ]


def texts(graph: Graph, sampler: str, side: str) -> set[tuple[Target, ...]]:
    """Return the texts that a sampler's `positive` or `negative` conditioning is made of.

    Each is the tuple of the inputs of one text node: SDXL and Flux encoders take it twice.
    """
    if (source := origin(graph, sampler, side)) is not None:
        return set(_texts(graph, *source, seen=set()))
    if (guider := origin(graph, sampler, "guider")) is None:
        return set()
    source = origin(graph, guider[0], side)
    if source is None and side == "positive":
        source = origin(graph, guider[0], "conditioning")
    return set(_texts(graph, *source, seen=set())) if source else set()


def text_inputs(graph: Graph, node: str) -> tuple[Target, ...]:
    """Return where a text node's words are written, nothing for any other node."""
    targets = (literal(graph, node, field) for field in _TEXTS)
    return tuple(
        target
        for target in dict.fromkeys(targets)
        if target and isinstance(inputs_of(graph, target.node)[target.field], str)
    )


def _texts(graph: Graph, node: str, index: int, seen: set[str]) -> Iterator[tuple[Target, ...]]:
    if node in seen or class_of(graph, node) == "ConditioningZeroOut":
        return
    seen.add(node)
    if written := text_inputs(graph, node):
        yield written
        return
    fields = [field for field in inputs_of(graph, node) if field not in _NO_TEXT]
    if {"positive", "negative"} <= set(fields) and index < len(_SIDES):
        fields = [_SIDES[index]]
    for field in fields:
        if (source := origin(graph, node, field)) is not None:
            yield from _texts(graph, *source, seen=seen)


_SIDES = ("positive", "negative")
"""What nodes that lead both conditionings through give out, in this order."""


def _upstream(graph: Graph, node: str, through: Collection[str] | None) -> Iterator[str]:
    waiting, seen = [node], {node}
    for passed in waiting:
        yield passed
        for field in inputs_of(graph, passed):
            source = origin(graph, passed, field)
            if source and source[0] not in seen and (through is None or field in through):
                seen.add(source[0])
                waiting.append(source[0])
