"""A user's workflow as a template, and what its author would ask of it."""

import json
from dataclasses import replace

from engines.comfyui.canvas import Names
from engines.comfyui.template import Template, read_template
from engines.spec import GenerationSpec, InputRef
from tests.unit.comfyui.graphs import Graph, classic, node, with_nodes

A, B = InputRef("a" * 64), InputRef("b" * 64)

NAMES = Names(checkpoint="", sampler="", scheduler="", prefix="kitty/1", images={A: "a", B: "b"})

UNCLEAR = with_nodes(
    classic(n3__positive=["20", 0]),
    n20=node("ConditioningCombine", conditioning_1=["6", 0], conditioning_2=["21", 0]),
    n21=node("CLIPTextEncode", "Where", text="at dusk", clip=["4", 1]),
)


def template(graph: Graph, sidecar: object = None) -> Template:
    side = None if sidecar is None else json.dumps(sidecar).encode()
    return read_template("boats", json.dumps(graph).encode(), side)


def asked(of: Template, **wishes: object) -> GenerationSpec:
    """Return a spec that asks for what the author had set, but for the wishes."""
    plain = of.defaults
    spec = GenerationSpec(
        prompt="a cat",
        model=of.model,
        width=plain.width,
        height=plain.height,
        steps=plain.steps,
        cfg=plain.cfg,
        seed=7,
        sampler=plain.sampler,
    )
    return replace(spec, **wishes)  # type: ignore[arg-type]


def filled(of: Template, names: Names = NAMES, **wishes: object) -> tuple[Graph, list[str]]:
    workflow, shortfalls = of.fill(asked(of, **wishes), names)
    return workflow.graph, [s.field for s in shortfalls]
