"""What a spec comes to with the models that a server has, and what it must do without."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from engines.base import Shortfall
from engines.errors import InvalidSpecError, ModelNotFoundError
from engines.invokeai.parts import GRID, RESAMPLERS, Parts
from engines.invokeai.prompts import read_prompts
from engines.invokeai.records import Record, find, require_base, require_drawn
from engines.invokeai.samplers import find_scheduler
from engines.spec import LATENT, GenerationSpec, Lora

REFINES: Final = frozenset({("sdxl", "sdxl-refiner")})
"""What our graphs refine, and with what."""

_UPSCALER = "spandrel_image_to_image"


@dataclass(frozen=True, slots=True)
class Order:
    """A settled spec: its parts, still without uploads, and its shortfalls."""

    parts: Parts
    shortfalls: tuple[Shortfall, ...]


def settle(
    spec: GenerationSpec,
    records: Sequence[Record],
    schedulers: Collection[str],
    *,
    board: str | None = None,
) -> Order:
    """Find everything that a spec names, and check what the server would find out too late.

    Raises:
        ModelNotFoundError: a model, adapter, ControlNet or upscaler is not there.
        InvalidSpecError: the spec cannot be drawn with what is there.
    """
    _check_sizes(spec)
    model = require_drawn(find(spec.model, records, kind="main", field="model"))
    prompts = read_prompts(spec)
    parts = Parts(
        model=model,
        scheduler=find_scheduler(spec.sampler, schedulers),
        positive=prompts.positive,
        negative=prompts.negative,
        loras=_loras((*spec.loras, *prompts.loras), records, model),
        controls=tuple(
            _of_family(control.model, records, model.base, kind="controlnet", field="controls")
            for control in spec.controls
        ),
        refiner=_refiner(spec, records, model),
        upscalers={
            name: find(name, records, kind=_UPSCALER, field=field)
            for name, field in _upscalers(spec)
        },
        vae=_vae(records, model),
        fp32=model.settings.get("vae_precision") != "fp16",
        board=board,
    )
    return Order(parts, (*prompts.shortfalls, *_shortfalls(spec, model)))


def _check_sizes(spec: GenerationSpec) -> None:
    for field, length in (("width", spec.width), ("height", spec.height)):
        if length % GRID or length < GRID:
            raise InvalidSpecError(f"{field} {length} is no multiple of {GRID}", field=field)


def _loras(
    wanted: Sequence[Lora], records: Sequence[Record], model: Record
) -> tuple[tuple[Record, float], ...]:
    """Find the adapters; one that is named twice acts with both weights, as the server would not.

    The server takes an adapter once and drops its repetitions in silence.
    """
    weights: dict[str, tuple[Record, float]] = {}
    for lora in wanted:
        record = _of_family(lora.name, records, model.base, kind="lora", field="loras")
        _, weight = weights.get(record.key, (record, 0.0))
        weights[record.key] = record, weight + lora.weight
    return tuple(weights.values())


def _refiner(spec: GenerationSpec, records: Sequence[Record], model: Record) -> Record | None:
    if spec.refiner is None:
        return None
    if model.base != "sdxl":
        raise InvalidSpecError("only SDXL pictures have a refiner", field="refiner")
    wanted = spec.refiner.model
    return _of_family(wanted, records, "sdxl-refiner", kind="main", field="refiner")


def _of_family(
    wanted: str, records: Sequence[Record], base: str, *, kind: str, field: str
) -> Record:
    """Find a model of one family, whose name another family may have too."""
    try:
        return find(wanted, [r for r in records if r.base == base], kind=kind, field=field)
    except ModelNotFoundError:
        found = find(wanted, records, kind=kind, field=field)
        return require_base(found, frozenset({base}), field=field)


def _upscalers(spec: GenerationSpec) -> Iterator[tuple[str, str]]:
    """Yield the upscaler models that a spec names, with the field that names them."""
    if spec.hires is not None and spec.hires.upscaler not in {LATENT, *RESAMPLERS}:
        yield spec.hires.upscaler, "hires"
    if spec.upscale is not None and spec.upscale.upscaler not in RESAMPLERS:
        yield spec.upscale.upscaler, "upscale"


def _vae(records: Sequence[Record], model: Record) -> Record | None:
    """Return the VAE that the model's own settings ask for, if it is still there."""
    key = model.settings.get("vae")
    return next((r for r in records if r.kind == "vae" and r.key == key), None)


def _shortfalls(spec: GenerationSpec, model: Record) -> Iterator[Shortfall]:
    if spec.clip_skip and model.base == "sdxl":
        yield Shortfall(
            "clip_skip_unsupported", "InvokeAI skips no CLIP layers for SDXL", "clip_skip"
        )
    if spec.mask is not None and spec.init_image is None:
        yield Shortfall("mask_without_image", "a mask acts on an init image only", "mask")
