"""Decides which engine draws a request with which model, and settles what was left open."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from engines.base import Engine, EngineName, Feature, ModelDefaults, ModelInfo, Shortfall
from engines.errors import InvalidSpecError, ModelNotFoundError
from engines.models import Models
from engines.spec import SEED_LIMIT, Draft, GenerationSpec, Tiling

CUSTOMARY_NAMES = ("sdxl_base", "sd15_base", "sdxl_refiner")
"""Names that KITTY's clients have built in; without such a model the default one draws."""

MULTIPLE = 8
"""Side lengths are multiples of the factor by which the autoencoders shrink a picture."""


@dataclass(frozen=True, slots=True)
class Route:
    """Who draws, what exactly, and which wishes could not be honoured."""

    engine: EngineName
    spec: GenerationSpec
    shortfalls: tuple[Shortfall, ...] = ()


@dataclass(slots=True)
class _Notes:
    """Shortfalls found on the way."""

    found: list[Shortfall] = field(default_factory=list)

    def add(self, code: str, detail: str, name: str) -> None:
        self.found.append(Shortfall(code, detail, name))


class Router:
    """Routes drafts; asks nobody, so it answers at once."""

    def __init__(
        self, *, engines: Mapping[EngineName, Engine], default: EngineName, models: Models
    ) -> None:
        self._engines = engines
        self._default = default
        self._models = models

    def settle(self, draft: Draft) -> Route:
        """Return the route of a draft.

        Raises:
            InvalidSpecError: it cannot be drawn; the error names the field.
        """
        notes = _Notes()
        engine = self._engine(draft)
        model = self._model(engine, draft, notes)
        spec = _spec(draft, model, notes)
        spec = _without_the_impossible(spec, self._engines[engine].capabilities.features, notes)
        return Route(engine, spec, tuple(notes.found))

    def _engine(self, draft: Draft) -> EngineName:
        """Choose: the one asked for, else the model's home, else the default."""
        if draft.engine is not None:
            if draft.engine not in self._engines:
                known = ", ".join(self._engines)
                detail = f"there is no engine {draft.engine!r}; there are: {known}"
                raise InvalidSpecError(detail, field="engine")
            return EngineName(draft.engine)
        home = self._models.home(draft.model) if draft.model else None
        return home or self._default

    def _model(self, engine: EngineName, draft: Draft, notes: _Notes) -> ModelInfo:
        """Find the model, or the engine's first; an engine that is away is not asked."""
        known = self._models[engine]
        if known is None:
            notes.add("model_unchecked", f"{engine} does not answer at present", "model")
            return ModelInfo(name=draft.model or "")
        usable = [m for m in known if m.kind == "checkpoint" and not m.error]
        if draft.model is None:
            return _first(engine, usable)
        for info in known:
            if info.answers_to(draft.model) and info.kind == "checkpoint":
                if info.error:
                    raise InvalidSpecError(f"{info.name}: {info.error}", field="model")
                return info
        if draft.model in CUSTOMARY_NAMES and usable:
            detail = f"{draft.model} is not installed; {usable[0].name} draws instead"
            notes.add("model_substituted", detail, "model")
            return usable[0]
        names = ", ".join(info.name for info in usable) or "none"
        raise ModelNotFoundError(f"{engine} has no model {draft.model!r}; it has: {names}")


def _first(engine: EngineName, usable: Sequence[ModelInfo]) -> ModelInfo:
    """Return the model that an engine draws with when nobody names one."""
    if not usable:
        raise ModelNotFoundError(f"{engine} has no model to draw with")
    return usable[0]


def _spec(draft: Draft, model: ModelInfo, notes: _Notes) -> GenerationSpec:
    """Fill in what was left open."""
    defaults: ModelDefaults = model.defaults
    sampler = draft.sampler or defaults.sampler
    if sampler in model.refused_samplers:
        raise InvalidSpecError(f"{model.name} cannot be drawn with {sampler}", field="sampler")
    seed = secrets.randbelow(SEED_LIMIT) if draft.seed is None else draft.seed
    return GenerationSpec(
        prompt=draft.prompt,
        model=model.name,
        width=_side(draft.width or defaults.width, "width", model, notes),
        height=_side(draft.height or defaults.height, "height", model, notes),
        steps=draft.steps or defaults.steps,
        cfg=defaults.cfg if draft.cfg is None else draft.cfg,
        seed=seed,
        sampler=sampler,
        negative_prompt=draft.negative_prompt or "",
        loras=draft.loras,
        controls=draft.controls,
        init_image=draft.init_image,
        mask=draft.mask,
        strength=draft.strength,
        hires=draft.hires,
        upscale=draft.upscale,
        refiner=draft.refiner,
        tiling=draft.tiling,
        clip_skip=draft.clip_skip,
        reproducible=draft.reproducible,
    )


def _side(asked: int, name: str, model: ModelInfo, notes: _Notes) -> int:
    """Round a side length to what the autoencoder can make, and warn outside the model's range."""
    side = max(MULTIPLE, asked // MULTIPLE * MULTIPLE)
    if side != asked:
        notes.add("size_rounded", f"{asked} became {side}, a multiple of {MULTIPLE}", name)
    bounds = model.bounds
    if not bounds.least <= side <= bounds.most:
        detail = f"{model.name} draws well between {bounds.least} and {bounds.most} pixels a side"
        notes.add("size_outside_model", detail, name)
    return side


def _without_the_impossible(
    spec: GenerationSpec, can: frozenset[Feature], notes: _Notes
) -> GenerationSpec:
    """Drop what the engine cannot do and say so; without its input pictures nothing is drawn."""
    for name, asked, feature in (
        ("init_image", spec.init_image, Feature.IMG2IMG),
        ("mask", spec.mask, Feature.INPAINT),
        ("controls", spec.controls, Feature.CONTROL),
    ):
        if asked and feature not in can:
            raise InvalidSpecError(f"this engine cannot do {feature.value}", field=name)
    optional: tuple[tuple[str, object, Feature, object], ...] = (
        ("loras", spec.loras, Feature.LORA, ()),
        ("hires", spec.hires, Feature.HIRES, None),
        ("upscale", spec.upscale, Feature.UPSCALE, None),
        ("refiner", spec.refiner, Feature.REFINER, None),
        ("tiling", spec.tiling is not Tiling.NONE, Feature.TILING, Tiling.NONE),
    )
    dropped: dict[str, object] = {}
    for name, wish, feature, nothing in optional:
        if wish and feature not in can:
            notes.add("unsupported", f"this engine cannot do {feature.value}", name)
            dropped[name] = nothing
    return replace(spec, **dropped) if dropped else spec  # type: ignore[arg-type]
