"""The files that a request names beside its model, and which of an engine's files a name means."""

import difflib
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from engines.base import Capabilities, EngineName, ModelInfo, ModelKind
from engines.errors import InvalidSpecError, ModelNotFoundError
from engines.prompts import take_loras
from engines.spec import LATENT, Draft, GenerationSpec

WORDS: Final[Mapping[ModelKind, str]] = {
    "checkpoint": "model",
    "lora": "LoRA",
    "controlnet": "ControlNet",
    "vae": "VAE",
    "upscaler": "upscaler",
}
_NEAR = 3
_COMPARED = 32
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Named:
    """A file that a request names; `field` is the dotted place of the name."""

    field: str
    kind: ModelKind
    name: str


def named(wish: Draft | GenerationSpec, can: Capabilities) -> Iterator[Named]:
    """Yield the files, beside the model, that an engine must have to draw a wish."""
    for place, lora in enumerate(wish.loras):
        yield Named(f"loras.{place}.name", "lora", lora.name)
    for place, control in enumerate(wish.controls):
        yield Named(f"controls.{place}.model", "controlnet", control.model)
    if wish.hires is not None and wish.hires.upscaler not in {LATENT, *can.resamplers}:
        yield Named("hires.upscaler", "upscaler", wish.hires.upscaler)
    if wish.upscale is not None and wish.upscale.upscaler not in can.resamplers:
        yield Named("upscale.upscaler", "upscaler", wish.upscale.upscaler)
    if wish.refiner is not None:
        yield Named("refiner.model", "checkpoint", wish.refiner.model)
    if can.prompt_loras:
        for tag in take_loras(wish.prompt)[1]:
            yield Named("prompt", "lora", tag.name)


def meant(name: str, kind: ModelKind, known: Iterable[ModelInfo]) -> Sequence[ModelInfo]:
    """Return what a name means, usable or not.

    Those that answer to it letter by letter, else the only one that differs from it in no more
    than case and the way its slashes lean.
    """
    of_kind = [info for info in known if info.kind == kind]
    exact = [info for info in of_kind if info.answers_to(name)]
    if exact:
        return exact
    wanted = _folded(name)
    loose = [i for i in of_kind if wanted in {_folded(own) for own in (i.name, *i.aliases)}]
    return loose if len(loose) == 1 else ()


def usable(name: str, kind: ModelKind, known: Iterable[ModelInfo]) -> ModelInfo | None:
    """Return the first of those that a name means which can be drawn with."""
    return next((info for info in meant(name, kind, known) if not info.error), None)


def refusal(part: Named, known: Sequence[ModelInfo], engine: EngineName) -> InvalidSpecError:
    """Return the error for a name of which nothing usable is `known`.

    It says what is wrong with the file, or that there is none, and which names come near.
    """
    for info in known:
        # What a broken file is for is not always known.
        if info.error and info.answers_to(part.name):
            return InvalidSpecError(f"{info.name}: {info.error}", field=part.field)
    infos = [info for info in known if info.kind == part.kind and not info.error]
    detail = f"{engine} has no {WORDS[part.kind]} {part.name!r}; {hint(part.name, infos)}"
    return ModelNotFoundError(detail, field=part.field)


def hint(wanted: str, infos: Sequence[ModelInfo]) -> str:
    """Name the files that come near, else the first ones."""
    names = {name: info.name for info in infos for name in (*info.aliases, info.name)}
    near = nearest(wanted, names)
    if near:
        return f"near it: {', '.join(near)}"
    more = f" and {len(infos) - _SHOWN} more" if len(infos) > _SHOWN else ""
    return f"it has: {', '.join(info.name for info in infos[:_SHOWN]) or 'none'}{more}"


def nearest(wanted: str, known: Mapping[str, str], *, alike: float = 0.5) -> Sequence[str]:
    """Return what those of the `known` names mean that come near a name, at most three.

    `alike` is the share of letters that they must have in common.
    """
    wanted = _folded(wanted)
    names = {_folded(name): means for name, means in known.items()}
    pairs = {wanted[at : at + 2] for at in range(len(wanted) - 1)}
    # Comparing letters takes 20 µs a name: only those that share the most are compared.
    likely = heapq.nlargest(_COMPARED, names, key=lambda name: sum(p in name for p in pairs))
    near = difflib.get_close_matches(wanted, likely, n=_COMPARED, cutoff=alike)
    near = near or [name for name in likely if wanted in name]
    return list(dict.fromkeys(names[name] for name in near))[:_NEAR]


def _folded(name: str) -> str:
    return name.replace("\\", "/").casefold()
