"""A workflow of the user's own, and how a spec is written into it."""

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from engines.base import Json, ModelDefaults, Shortfall
from engines.comfyui.binding import Binding, Role, Target, settle
from engines.comfyui.canvas import Names, Workflow, grid
from engines.comfyui.guess import guess, sampler_nodes
from engines.comfyui.sampling import drawn_steps
from engines.comfyui.sketch import Graph, class_of, inputs_of
from engines.errors import InvalidSpecError
from engines.spec import GenerationSpec

PREFIX: Final = "workflow:"
"""A template is asked for as the model `workflow:NAME`, NAME being its file's without `.json`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A workflow with its binding."""

    name: str
    graph: Graph
    binding: Binding

    @property
    def model(self) -> str:
        """The name under which requests ask for it."""
        return PREFIX + self.name

    @property
    def digest(self) -> str:
        """SHA-256 of the workflow as its author left it."""
        return hashlib.sha256(orjson.dumps(self.graph, option=orjson.OPT_SORT_KEYS)).hexdigest()

    @property
    def checkpoint(self) -> str:
        """The model file that its author had set, empty when that is not bound."""
        return str(self._value(Role.MODEL, ""))

    @property
    def defaults(self) -> ModelDefaults:
        """What its author had set, for what a request leaves open."""
        plain = ModelDefaults()
        sampler = str(self._value(Role.SAMPLER, plain.sampler))
        scheduler = self._value(Role.SCHEDULER, "")
        return ModelDefaults(
            width=int(self._value(Role.WIDTH, plain.width)),
            height=int(self._value(Role.HEIGHT, plain.height)),
            steps=int(self._value(Role.STEPS, plain.steps)),
            cfg=float(self._value(Role.CFG, plain.cfg)),
            sampler=f"{sampler}/{scheduler}" if scheduler else sampler,
        )

    def _value(self, role: Role, otherwise: Any) -> Any:  # noqa: ANN401 -- JSON
        for target in self.binding.get(role, ()):
            value = inputs_of(self.graph, target.node).get(target.field)
            if isinstance(value, type(otherwise) | int):
                return value
        return otherwise

    def fill(self, spec: GenerationSpec, names: Names) -> tuple[Workflow, list[Shortfall]]:
        """Write `spec` into a copy; what the workflow does not take becomes a shortfall.

        Of `names`, an empty checkpoint or sampler leaves what the author had set.
        """
        self._require_pictures(spec)
        graph = copy.deepcopy(self.graph)
        values = _values(spec, names)
        for role, value in values.items():
            for target in self.binding.get(role, ()):
                _set(graph, target.node, target.field, value)
        for target, control in zip(self._of(Role.CONTROL), spec.controls, strict=False):
            _set(graph, target.node, target.field, names.images[control.image])
        workflow = Workflow(
            graph=graph,
            output=_saved(graph, self._of(Role.OUTPUT), names.prefix),
            passes={node: _planned(graph, node) for node in sampler_nodes(graph)},
            size=None,
        )
        return workflow, [
            Shortfall("unsupported", f"the workflow {self.name!r} takes no {wish}", _field(wish))
            for wish in self._missing(spec, values)
        ]

    def _of(self, role: Role) -> tuple[Target, ...]:
        return self.binding.get(role, ())

    def _require_pictures(self, spec: GenerationSpec) -> None:
        """Refuse a spec whose own pictures the workflow does not take: it means another picture."""
        for field, role, count in (
            ("init_image", Role.IMAGE, int(spec.init_image is not None)),
            ("mask", Role.MASK, int(spec.mask is not None)),
            ("controls", Role.CONTROL, len(spec.controls)),
        ):
            if count > len(self._of(role)):
                raise InvalidSpecError(f"the workflow {self.name!r} takes no {field}", field=field)

    def _missing(self, spec: GenerationSpec, values: Mapping[Role, Json]) -> list[str]:
        plain = self.defaults
        asked = {
            "prompt": (Role.PROMPT, bool(spec.prompt)),
            "negative_prompt": (Role.NEGATIVE, bool(spec.negative_prompt)),
            "seed": (Role.SEED, True),
            "width": (Role.WIDTH, spec.width != plain.width),
            "height": (Role.HEIGHT, spec.height != plain.height),
            "steps": (Role.STEPS, spec.steps != plain.steps),
            "cfg": (Role.CFG, spec.cfg != plain.cfg),
            "sampler": (Role.SAMPLER, spec.sampler != plain.sampler),
            "scheduler": (Role.SCHEDULER, Role.SCHEDULER in values),
            "model": (Role.MODEL, Role.MODEL in values),
            "init_image": (Role.IMAGE, spec.init_image is not None),
            "mask": (Role.MASK, spec.mask is not None),
        }
        missing = [
            field for field, (role, wanted) in asked.items() if wanted and not self._of(role)
        ]
        if len(spec.controls) > len(self._of(Role.CONTROL)):
            missing.append("controls")
        others = {
            "loras": spec.loras,
            "hires": spec.hires,
            "upscale": spec.upscale,
            "refiner": spec.refiner,
            "clip_skip": spec.clip_skip,
        }
        return missing + [field for field, wanted in others.items() if wanted]


def read_template(name: str, text: bytes, sidecar: bytes | None = None) -> Template:
    """Read a workflow in API format, with its binding beside it or under its key `kitty`.

    Raises:
        InvalidSpecError: it is no such workflow, or its binding is wrong or stays unclear.
    """
    try:
        graph, declared = _parts(_json(text))
        return Template(
            name=name,
            graph=graph,
            binding=settle(graph, declared if sidecar is None else _json(sidecar), guess),
        )
    except InvalidSpecError as error:
        raise InvalidSpecError(f"workflow {name!r}: {error}", field="model") from error


def _field(wish: str) -> str:
    """Return the spec's field that a wish belongs to: samplers name their scheduler, too."""
    return "sampler" if wish == "scheduler" else wish


def _json(text: bytes) -> Any:  # noqa: ANN401 -- JSON
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidSpecError(f"no JSON: {error}") from error


def _parts(body: Any) -> tuple[Graph, Any]:  # noqa: ANN401 -- JSON
    """Return the graph and the declaration that lies in it or beside it."""
    if not isinstance(body, dict) or not body:
        raise InvalidSpecError("it is no JSON object with nodes")
    if isinstance(body.get("nodes"), list):
        raise InvalidSpecError(
            "it was saved for the editor; save it again with Export (API), which is what runs"
        )
    declared = body.pop("kitty", {})
    wrapped = body.get("prompt")  # as in a recorded POST
    graph = wrapped if isinstance(wrapped, dict) and "class_type" not in wrapped else body
    for node, content in graph.items():
        match content:
            case {"class_type": str(), "inputs": {}}:
                pass
            case _:
                raise InvalidSpecError(f"node {node!r} has no class_type or no inputs")
    return graph, declared


def _values(spec: GenerationSpec, names: Names) -> dict[Role, Json]:
    values: dict[Role, Json] = {
        Role.PROMPT: spec.prompt,
        Role.NEGATIVE: spec.negative_prompt,
        Role.SEED: spec.seed,
        Role.WIDTH: grid(spec.width),
        Role.HEIGHT: grid(spec.height),
        Role.STEPS: spec.steps,
        Role.CFG: spec.cfg,
    }
    if names.checkpoint:
        values[Role.MODEL] = names.checkpoint
    if names.sampler:
        values |= {Role.SAMPLER: names.sampler, Role.SCHEDULER: names.scheduler}
    if spec.init_image is not None:
        values |= {
            Role.IMAGE: names.images[spec.init_image],
            Role.STRENGTH: spec.strength,
            Role.STEPS: drawn_steps(spec.steps, spec.strength),
        }
    if spec.mask is not None:
        values[Role.MASK] = names.images[spec.mask]
    return values


def _set(graph: Graph, node: str, field: str, value: Json) -> None:
    graph[node]["inputs"] = {**inputs_of(graph, node), field: value}


def _saved(graph: Graph, outputs: tuple[Target, ...], prefix: str) -> str:
    """Make the output write a file of our own name, and return its node."""
    if not outputs:
        raise InvalidSpecError("the workflow saves no picture", field="model")
    node = outputs[0].node
    if class_of(graph, node) == "PreviewImage":
        graph[node]["class_type"] = "SaveImage"
    if class_of(graph, node) == "SaveImage" or "filename_prefix" in inputs_of(graph, node):
        _set(graph, node, "filename_prefix", prefix)
    return node


def _planned(graph: Graph, node: str) -> int:
    """Return the steps that a sampler will take as far as its own inputs tell, else 0."""
    inputs = inputs_of(graph, node)
    match inputs.get("steps"), inputs.get("start_at_step", 0), inputs.get("end_at_step", None):
        case int(steps), int(start), None:
            return max(0, steps - start)
        case int(steps), int(start), int(end):
            return max(0, min(steps, end) - start)
        case _:
            return 0
