"""What a server's own description says of its nodes, compared with what our graphs use.

InvokeAI ignores fields that a node does not have, so that a field renamed in a later release would
change every picture in silence.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from engines.base import Feature
from engines.errors import EngineProtocolError
from engines.invokeai.parts import Parts
from engines.invokeai.recipe import plan
from engines.invokeai.records import Record
from engines.spec import Control, GenerationSpec, Hires, InputRef, Refiner, Tiling, Upscale

Fields = Mapping[str, frozenset[str]]
"""Node type → names of its fields."""


@dataclass(frozen=True, slots=True)
class Schema:
    """A server's nodes.

    Attributes:
        schedulers: The names that `denoise_latents.scheduler` takes.
    """

    nodes: Fields
    schedulers: frozenset[str]

    def missing(self, used: Fields) -> tuple[str, ...]:
        """Return what a graph uses and the server does not have, as `node` or `node.field`."""
        return tuple(sorted(self._missing(used)))

    def _missing(self, used: Fields) -> Iterator[str]:
        for kind, fields in used.items():
            if kind not in self.nodes:
                yield kind
                continue
            yield from (f"{kind}.{field}" for field in fields - self.nodes[kind])


def read_schema(openapi: Any) -> Schema:  # noqa: ANN401 -- the shape is checked here
    """Read the nodes out of `GET /openapi.json`.

    Raises:
        EngineProtocolError: it describes none.
    """
    match openapi:
        case {"components": {"schemas": Mapping() as schemas}}:
            nodes = dict(_nodes(schemas))
        case _:
            nodes = {}
    if not nodes:
        raise EngineProtocolError("its openapi.json describes no nodes")
    denoise = nodes.get("denoise_latents", {})
    names = denoise.get("scheduler", {}).get("enum") or ()
    return Schema(
        {kind: frozenset(fields) for kind, fields in nodes.items()},
        frozenset(str(name) for name in names),
    )


def _nodes(schemas: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for schema in schemas.values():
        match schema:
            case {"class": "invocation", "properties": {"type": {"const": str(kind)}} as fields}:
                yield kind, fields
            case {"class": "invocation", "properties": {"type": {"default": str(kind)}} as fields}:
                yield kind, fields
            case _:
                continue


_REF = InputRef("0" * 64)
_SPEC = GenerationSpec(
    prompt="", model="", width=64, height=64, steps=1, cfg=1.0, seed=0, sampler="", clip_skip=1
)


def needs() -> Fields:
    """Return what the plainest graphs use: without it nothing can be drawn."""
    return _union(_used(_SPEC, "sd-1"), _used(_SPEC, "sdxl"))


def needs_of() -> Mapping[Feature, Fields]:
    """Return what each feature uses beyond that."""
    control = Control(model="", image=_REF)
    specs: dict[Feature, dict[str, Any]] = {
        Feature.IMG2IMG: {"init_image": _REF},
        Feature.INPAINT: {"init_image": _REF, "mask": _REF},
        Feature.LORA: {},
        Feature.CONTROL: {"controls": (control,)},
        Feature.HIRES: {"hires": Hires()},
        Feature.UPSCALE: {"upscale": Upscale(upscaler="model")},
        Feature.REFINER: {"refiner": Refiner(model="")},
        Feature.TILING: {"tiling": Tiling.BOTH},
    }
    bases = dict.fromkeys(specs, ("sd-1", "sdxl")) | {Feature.REFINER: ("sdxl",)}
    return {
        feature: _union(*(_used(replace(_SPEC, **wish), base, feature) for base in bases[feature]))
        for feature, wish in specs.items()
    }


def _used(spec: GenerationSpec, base: str, feature: Feature | None = None) -> Fields:
    model = Record("", "", "", base, "main")
    parts = Parts(
        model=model,
        scheduler="",
        positive="",
        negative="",
        loras=((model, 1.0),) if feature is Feature.LORA else (),
        controls=(model,) * len(spec.controls),
        refiner=model if spec.refiner else None,
        upscalers={"model": model},
        images={_REF: ""},
        mask="" if spec.mask else None,
        board="",
    )
    return plan(spec, parts).fields


def _union(*many: Fields) -> Fields:
    together: dict[str, frozenset[str]] = {}
    for fields in many:
        for kind, names in fields.items():
            together[kind] = together.get(kind, frozenset()) | names
    return together
