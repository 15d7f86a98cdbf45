"""Decides which engine draws a request with which model, and settles what was left open."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from engines.base import EngineName, Feature, ModelInfo, Shortfall
from engines.config import Profile
from engines.errors import InvalidSpecError, ModelNotFoundError
from engines.fitting import Fault, Stock
from engines.models import Models
from engines.names import Named, meant, refusal, usable
from engines.registry import Built
from engines.settle import needs, settled
from engines.spec import Draft, GenerationSpec

CUSTOMARY_NAMES = ("sdxl_base", "sd15_base", "sdxl_refiner")
"""Names that KITTY's clients have built in; without such a model the default one draws.

Without such a refiner there is none.
"""

AUTO = "auto"
"""The profile name that leaves the choice to the profiles' rules."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How an engine stands now: whether its breaker is closed, and how many pictures it has."""

    closed: bool
    load: int


@dataclass(frozen=True, slots=True)
class Route:
    """Who draws, what exactly, which wishes could not be honoured, and whether it may move.

    Attributes:
        pinned: The request named the engine, so no other may take over.
    """

    engine: EngineName
    spec: GenerationSpec
    shortfalls: tuple[Shortfall, ...] = ()
    pinned: bool = False


class Router:
    """Routes drafts; asks nobody, so it answers at once."""

    def __init__(
        self,
        *,
        engines: Mapping[EngineName, Built],
        default: EngineName,
        models: Models,
        profiles: Sequence[Profile] = (),
        standing: Callable[[EngineName], Standing],
    ) -> None:
        self._engines = engines
        self._default = default
        self._models = models
        self._profiles = profiles
        self._standing = standing

    def settle(self, draft: Draft) -> Route:
        """Return the route of a draft.

        The engine is the one that the request names, else its profile's, else the best of those
        that have its model, else the default one.

        Raises:
            InvalidSpecError: it cannot be drawn; the error names the field.
        """
        notes: list[Shortfall] = []
        pinned = draft.engine is not None
        draft = self._profiled(draft)
        engine = self._engine(draft)
        model = self._model(engine, draft, notes)
        draft = self._without_customary_refiner(engine, draft, notes)
        spec = settled(draft, model, self._features(engine), notes)
        self._check(engine, spec, model, notes)
        return Route(engine, spec, tuple(notes), pinned)

    def alternative(self, engine: EngineName, spec: GenerationSpec) -> EngineName | None:
        """Return another engine that works now and can draw the same spec; None without one."""
        homes = [
            name
            for name in self._models.homes(spec.model)
            if name != engine
            and self._standing(name).closed
            and needs(spec) <= self._features(name)
            and not (self._models.sure(name) and self._faults(name, spec))
        ]
        return self._best(homes, spec) if homes else None

    def _profiled(self, draft: Draft) -> Draft:
        """Fill in what the request leaves open and its profile does not."""
        profile = self._profile(draft)
        if profile is None:
            return draft
        open_fields = {
            name: getattr(profile, name)
            for name in ("engine", "model", "width", "height", "steps", "cfg", "sampler",
                         "negative_prompt")
            if getattr(draft, name) is None
        }  # fmt: skip
        if draft.model is not None:
            open_fields.pop("engine", None)
        prompt = f"{profile.prefix}{draft.prompt}{profile.suffix}"
        return replace(draft, prompt=prompt, **open_fields)

    def _profile(self, draft: Draft) -> Profile | None:
        """Find the profile by its name, or by the rules."""
        if draft.profile is None:
            return None
        if draft.profile == AUTO:
            return next((p for p in self._profiles if p.matches(draft.prompt)), None)
        for profile in self._profiles:
            if profile.name == draft.profile:
                return profile
        names = ", ".join(p.name for p in self._profiles) or "none"
        detail = f"there is no profile {draft.profile!r}; there are: {AUTO}, {names}"
        raise InvalidSpecError(detail, field="profile")

    def _engine(self, draft: Draft) -> EngineName:
        """Choose the engine."""
        if draft.engine is not None:
            if draft.engine not in self._engines:
                known = ", ".join(self._engines)
                detail = f"there is no engine {draft.engine!r}; there are: {known}"
                raise InvalidSpecError(detail, field="engine")
            return EngineName(draft.engine)
        homes = self._models.homes(draft.model) if draft.model else ()
        return self._best(homes, draft) if homes else self._default

    def _best(self, homes: Iterable[EngineName], wish: Draft | GenerationSpec) -> EngineName:
        """Prefer who can do it all, has what fits, works, has the least to do for its weight."""
        needed = needs(wish)

        def key(name: EngineName) -> tuple[bool, int, bool, float, bool]:
            standing, weight = self._standing(name), self._engines[name].config.weight
            return (
                not needed <= self._features(name),
                1 + self._models.sure(name) if self._faults(name, wish) else 0,
                not standing.closed,
                standing.load / weight,
                name != self._default,
            )

        return min(homes, key=key)

    def _features(self, engine: EngineName) -> frozenset[Feature]:
        """Return what an engine can be asked for."""
        built = self._engines[engine]
        return built.engine.capabilities.features - frozenset(built.config.disable)

    def _model(self, engine: EngineName, draft: Draft, notes: list[Shortfall]) -> ModelInfo:
        """Find the model, or the engine's first; what cannot be said at present is not refused."""
        known, name = self._models[engine] or (), draft.model or ""
        first = next((i for i in known if i.kind == "checkpoint" and not i.error), None)
        found = usable(name, "checkpoint", known) if name else first
        if found is not None:
            return found
        absent = not meant(name, "checkpoint", known)
        if first and absent and name in CUSTOMARY_NAMES:
            detail = f"{name} is not installed; {first.name} draws instead"
            notes.append(Shortfall("model_substituted", detail, "model"))
            return first
        part = Named("model", "checkpoint", name)
        fetches = self._engines[engine].engine.capabilities.fetches
        fetched = absent and fetches and re.fullmatch(fetches, name)
        if fetched or not self._models.sure(engine):
            notes.append(_unchecked(part.field, name, engine))
            return ModelInfo(name=name)
        if not name:
            raise ModelNotFoundError(f"{engine} has no model to draw with")
        raise refusal(part, known, engine)

    def _without_customary_refiner(
        self, engine: EngineName, draft: Draft, notes: list[Shortfall]
    ) -> Draft:
        """Leave out a refiner that KITTY's clients have built in and the engine has not."""
        name, known = draft.refiner.model if draft.refiner else "", self._models[engine]
        if name not in CUSTOMARY_NAMES or not known or meant(name, "checkpoint", known):
            return draft
        detail = f"{name} is not installed; the picture is not refined"
        notes.append(Shortfall("refiner_left_out", detail, "refiner.model"))
        return replace(draft, refiner=None)

    def _check(
        self, engine: EngineName, spec: GenerationSpec, model: ModelInfo, notes: list[Shortfall]
    ) -> None:
        """Refuse what the engine has not or does not draw; while it cannot say, note it."""
        for fault in self._stock(engine).faults(spec, model, notes):
            if self._models.sure(engine):
                raise fault.error()
            notes.append(_unchecked(fault.field, fault.name, engine))

    def _faults(self, engine: EngineName, wish: Draft | GenerationSpec) -> Sequence[Fault]:
        """Return what, as far as known, stands against drawing a wish on an engine."""
        stock = self._stock(engine)
        model = usable(wish.model, "checkpoint", stock.known) if wish.model else None
        return list(stock.faults(wish, model, []))

    def _stock(self, engine: EngineName) -> Stock:
        can = self._engines[engine].engine.capabilities
        return Stock(engine, can, self._models[engine] or ())


def _unchecked(field: str, name: str, engine: EngineName) -> Shortfall:
    """Return the note that nobody looked whether an engine has what a request names."""
    wanted = f"whether it has {name!r}" if name else "what it has"
    detail = f"{engine} cannot say at present {wanted}, so that was not checked"
    return Shortfall("model_unchecked", detail, field)
