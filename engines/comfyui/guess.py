"""An educated guess at which inputs of a workflow take the prompt, the seed and the rest.

It starts at the output, takes the samplers on the way to it, and follows their wires back to
where the values are written. Positive and negative text are told apart by the sampler's own two
inputs, whatever lies between them and the text.
"""

from collections.abc import Iterable
from typing import Final

from engines.comfyui.binding import Guess, Role, Target
from engines.comfyui.sketch import Graph, class_of, inputs_of
from engines.comfyui.wires import behind, origin, pictures, seek, text_inputs, texts

_SAMPLERS = frozenset({"KSampler", "KSamplerAdvanced", "SamplerCustom", "SamplerCustomAdvanced"})
_LATENTS = ("latent_image", "latent", "samples")
_PIXELS = (*_LATENTS, "pixels", "image", "images", "source", "destination")
_SETTINGS: Final = {
    Role.STEPS: (("steps",), ("sigmas",)),
    Role.CFG: (("cfg",), ("guider",)),
    Role.SAMPLER: (("sampler_name",), ("sampler",)),
    Role.SCHEDULER: (("scheduler",), ("sigmas",)),
    Role.STRENGTH: (("denoise",), ("sigmas",)),
    Role.WIDTH: (("width",), _LATENTS),
    Role.HEIGHT: (("height",), _LATENTS),
}
"""Role → the fields that hold it, and the inputs that lead from a sampler to their node."""

_SEED = (("seed", "noise_seed"), ("noise",))
_MODEL = (("ckpt_name", "unet_name"), ("model", "guider"))


def guess(graph: Graph, known: tuple[Target, ...] | None = None) -> dict[Role, Guess]:
    """Guess every role; a role without targets is one that the workflow does not take.

    Only what leads to the output counts: the `known` one, else the likeliest.
    """
    output = Guess(known) if known else _output(graph)
    within = set(graph)
    if output.targets:
        within = {node for t in output.targets for node in (t.node, *behind(graph, t.node))}
    samplers = [node for node in sampler_nodes(graph) if node in within]
    first = [node for node in samplers if not set(behind(graph, node)) & set(samplers)]
    return {
        **{role: Guess(_all(graph, first, *where)) for role, where in _SETTINGS.items()},
        **_words(graph, first),
        Role.SEED: Guess(_all(graph, samplers, *_SEED)),
        Role.MODEL: _one((target,) for target in _all(graph, first, *_MODEL)),
        Role.IMAGE: _picture(graph, first, _PIXELS, "LoadImage"),
        Role.MASK: _picture(graph, first, (*_PIXELS, "mask"), "LoadImageMask"),
        Role.CONTROL: Guess(_controls(graph, first)),
        Role.OUTPUT: output,
    }


def sampler_nodes(graph: Graph) -> list[str]:
    """Return the nodes that draw steps, in the order in which they draw."""
    found = [
        node
        for node in graph
        if class_of(graph, node) in _SAMPLERS
        or {"positive", "steps", "latent_image"} <= set(inputs_of(graph, node))
    ]
    return sorted(found, key=lambda node: len(set(behind(graph, node)) & set(found)))


def _all(
    graph: Graph, nodes: Iterable[str], fields: tuple[str, ...], through: tuple[str, ...]
) -> tuple[Target, ...]:
    found = (seek(graph, node, fields, through) for node in nodes)
    return tuple(dict.fromkeys(target for target in found if target))


def _one(alternatives: Iterable[tuple[Target, ...]]) -> Guess:
    found = list(dict.fromkeys(alternatives))
    if len(found) == 1:
        return Guess(found[0])
    return Guess(tuple(target for targets in found for target in targets), unclear=bool(found))


def _words(graph: Graph, first: list[str]) -> dict[Role, Guess]:
    positive = {found for node in first for found in texts(graph, node, "positive")}
    negative = {found for node in first for found in texts(graph, node, "negative")} - positive
    if not positive:
        positive = {found for node in graph if (found := text_inputs(graph, node))} - negative
    return {Role.PROMPT: _one(positive), Role.NEGATIVE: _one(negative)}


def _picture(graph: Graph, first: list[str], through: tuple[str, ...], loader: str) -> Guess:
    return _one((target,) for node in first for target in pictures(graph, node, through, loader))


def _controls(graph: Graph, first: list[str]) -> tuple[Target, ...]:
    """Return the pictures of the ControlNets, the one that is applied first at the front."""
    found = []
    for node in first:
        for passed in behind(graph, node, ("positive", "guider", "conditioning")):
            if origin(graph, passed, "control_net") and origin(graph, passed, "image"):
                found += pictures(graph, passed, ("image",), "LoadImage")[:1]
    return tuple(dict.fromkeys(reversed(found)))


def _output(graph: Graph) -> Guess:
    for node_class in ("SaveImage", "PreviewImage"):
        nodes = [node for node in graph if class_of(graph, node) == node_class]
        if nodes:
            return _one((Target(node, ""),) for node in nodes)
    custom = [
        node for node in graph if {"images", "filename_prefix"} <= set(inputs_of(graph, node))
    ]
    return _one((Target(node, ""),) for node in custom)
