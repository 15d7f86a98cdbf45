"""What stands against drawing a wish: a name that is not there, another family, a sampler."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from engines.base import Capabilities, EngineName, ModelInfo, Shortfall
from engines.errors import InvalidSpecError
from engines.families import share_latents, share_network
from engines.names import WORDS, Named, hint, meant, named, nearest, refusal, usable
from engines.samplers import Samplers
from engines.spec import Draft, GenerationSpec

_LISTED = 24


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that stands against a wish.

    Attributes:
        field: The dotted place of the name at fault.
        error: Makes the refusal; finding the names that come near takes its time.
    """

    field: str
    name: str
    error: Callable[[], InvalidSpecError]


@dataclass(frozen=True, slots=True)
class Stock:
    """What an engine said of itself when it was asked last: what it can do, and its files."""

    engine: EngineName
    can: Capabilities
    known: Sequence[ModelInfo]

    def faults(
        self, wish: Draft | GenerationSpec, model: ModelInfo | None, notes: list[Shortfall]
    ) -> Iterator[Fault]:
        """Yield what stands against drawing a wish with a model, None where that is not known.

        Families that were only guessed refuse nothing: what does not fit by them is added to
        the notes. A workflow brings its own files and samplers.
        """
        if model is not None and model.whole:
            return
        if wish.sampler is not None:
            yield from self._sampler(wish.sampler, model)
        for part in named(wish, self.can):
            if part.kind in self.can.lists:
                yield from self._part(part, model, notes)

    def _sampler(self, sampler: str, model: ModelInfo | None) -> Iterator[Fault]:
        refused = model.refused_samplers if model is not None else ()
        if model is not None and sampler in refused:
            error = partial(refused_sampler, sampler, model, self.can.samplers)
            yield Fault("sampler", sampler, error)
        elif self.can.samplers is not None and not self.can.samplers.reads(sampler):
            error = partial(no_sampler, sampler, self.can.samplers, refused, engine=self.engine)
            yield Fault("sampler", sampler, error)

    def _part(
        self, part: Named, model: ModelInfo | None, notes: list[Shortfall]
    ) -> Iterator[Fault]:
        if usable(part.name, part.kind, self.known) is None:
            yield Fault(part.field, part.name, partial(refusal, part, self.known, self.engine))
            return
        if model is None:
            return
        found = [i for i in meant(part.name, part.kind, self.known) if not i.error]
        if any(goes_with(info, model, self.can) for info in found):
            return
        error = partial(_misfit_with_hint, part, found[0], model, self)
        if model.guessed or found[0].guessed:
            notes.append(Shortfall("base_doubtful", str(error()), part.field))
        else:
            yield Fault(part.field, part.name, error)


def goes_with(info: ModelInfo, model: ModelInfo, can: Capabilities | None = None) -> bool:
    """Say whether a file may act on a model, as far as their families are known.

    `can` knows which refiners the engine draws with, beside that.
    """
    match info.kind:
        case "lora" | "controlnet":
            return share_network(info.base, model.base)
        case "vae":
            return share_latents(info.base, model.base)
        case "checkpoint" if can is not None and can.refines and info.base and model.base:
            return (model.base, info.base) in can.refines
        case "checkpoint":
            return share_latents(info.base, model.base)
        case "upscaler":
            return True


def misfit(info: ModelInfo, model: ModelInfo, *, field: str) -> InvalidSpecError:
    """Return the refusal of a file that was made for another family than the model's."""
    detail = f"the {WORDS[info.kind]} {info.name} was made for {info.base}, but {_called(model)}"
    if info.kind == "checkpoint":
        detail = f"{_called(info)} and cannot refine {model.name}, which is of {model.base}"
    return InvalidSpecError(detail, field=field)


def _called(model: ModelInfo) -> str:
    return f"{model.name} is of {model.base}"


def no_sampler(
    name: str, samplers: Samplers, refused: Sequence[str] = (), *, engine: str = ""
) -> InvalidSpecError:
    """Return the refusal of a name that is no sampler's: what comes near, and what there is."""
    there = f"{engine} has no" if engine else "there is no"
    detail = f"{there} sampler {name!r}; {_choice(name, samplers, refused)}"
    return InvalidSpecError(detail, field="sampler")


def refused_sampler(name: str, model: ModelInfo, samplers: Samplers | None) -> InvalidSpecError:
    """Return the refusal of a sampler with which a model cannot be drawn."""
    detail = f"{model.name} cannot be drawn with {name}"
    if samplers is not None:
        detail += f"; {_choice(name, samplers, model.refused_samplers)}"
    return InvalidSpecError(detail, field="sampler")


def _choice(wanted: str, samplers: Samplers, refused: Sequence[str]) -> str:
    names = [name for name in samplers.names if name not in refused]
    near = nearest(wanted, {name: name for name in names}, alike=0.6)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    listed = f"there are: {', '.join(names[:_LISTED]) or 'none'}{more}"
    return f"near it: {', '.join(near)}; {listed}" if near else listed


def _misfit_with_hint(
    part: Named, info: ModelInfo, model: ModelInfo, stock: Stock
) -> InvalidSpecError:
    """Return the refusal with the names of those that do fit."""
    fitting = [
        other
        for other in stock.known
        if other.kind == part.kind
        and not other.error
        and other.name != model.name
        and goes_with(other, model, stock.can)
    ]
    error = misfit(info, model, field=part.field)
    detail = f"{error}; for {model.base}, {hint(part.name, fitting)}"
    return InvalidSpecError(detail, field=part.field)
