"""The server's model records: what it can draw with, and which one a name means."""

import difflib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Final, Literal

from engines.base import Json, ModelDefaults, ModelInfo
from engines.errors import InvalidSpecError, ModelNotFoundError
from engines.invokeai.samplers import SAMPLERS

Kind = Literal["checkpoint", "lora", "controlnet", "vae", "upscaler"]

KINDS: Final[Mapping[str, Kind]] = {
    "main": "checkpoint",
    "lora": "lora",
    "controlnet": "controlnet",
    "vae": "vae",
    "spandrel_image_to_image": "upscaler",
}
"""The server's `type` → ours; records of other types are not shown."""

BASES: Final = {"sd-1": "sd15", "sd-2": "sd2", "sdxl": "sdxl", "sdxl-refiner": "sdxl-refiner"}
"""The families that our graphs draw, in the server's words and in ours."""

_DRAWN = frozenset({"sd-1", "sd-2", "sdxl"})
_NATIVE_SIZES = {"sd-1": 512, "sd-2": 768, "sdxl": 1024}
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Record:
    """One installed model.

    Attributes:
        key: What nodes look it up by; it changes when the model is installed anew.
        hash: Hash of the weights, with the name of the method in front (`blake3:…`).
        base: `sd-1`, `sdxl`, … in the server's words.
        kind: The server's `type`: `main`, `lora`, …
        settings: Its `default_settings`, without those that are not set.
    """

    key: str
    hash: str
    name: str
    base: str
    kind: str
    path: str = ""
    size_bytes: int | None = None
    triggers: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identifier(self) -> dict[str, Json]:
        """The `ModelIdentifierField` that nodes take."""
        return {
            "key": self.key,
            "hash": self.hash,
            "name": self.name,
            "base": self.base,
            "type": self.kind,
        }

    @property
    def full_name(self) -> str:
        """Its name and its family, for when the name alone means several."""
        return f"{self.name} ({self.base})"

    @property
    def aliases(self) -> tuple[str, ...]:
        """What it may be called beside its name: key, hash, file name, our own alias."""
        path = PurePath(self.path.replace("\\", "/"))
        names = (self.key, self.hash, path.name, path.stem)
        return tuple(dict.fromkeys(name for name in names if name and name != self.name))


def read_record(data: Mapping[str, Any]) -> Record | None:
    """Read one entry of `GET /api/v2/models/`; None when it lacks what identifies a model."""
    match data:
        case {"key": str(key), "name": str(name), "base": str(base), "type": str(kind)}:
            settings = data.get("default_settings") or {}
            return Record(
                key=key,
                hash=str(data.get("hash") or ""),
                name=name,
                base=base,
                kind=kind,
                path=str(data.get("path") or ""),
                size_bytes=data.get("file_size"),
                triggers=tuple(sorted(data.get("trigger_phrases") or ())),
                settings={k: v for k, v in settings.items() if v is not None},
            )
        case _:
            return None


def describe_all(records: Sequence[Record]) -> list[ModelInfo]:
    """Return what clients see of the records; types that no spec can name are left out.

    Of several with one type and name, each goes by its name and family, or else by its key.
    """
    shown = [record for record in records if record.kind in KINDS]
    names = Counter((record.kind, record.name) for record in shown)
    full = Counter((record.kind, record.full_name) for record in shown)
    infos = []
    for record in shown:
        name = record.name
        if names[record.kind, name] > 1:
            alone = full[record.kind, record.full_name] == 1
            name = record.full_name if alone else record.key
        infos.append(_describe(record, name))
    return infos


def _describe(record: Record, name: str) -> ModelInfo:
    foreign = record.kind == "main" and record.base not in BASES
    # Of namesakes the model's family decides, but not of models themselves.
    shared = (record.full_name,) if record.kind == "main" else (record.full_name, record.name)
    return ModelInfo(
        name=name,
        kind=KINDS[record.kind],
        base=BASES.get(record.base, record.base),
        aliases=tuple(n for n in dict.fromkeys((*record.aliases, *shared)) if n != name),
        size_bytes=record.size_bytes,
        trigger_words=record.triggers,
        defaults=_defaults(record),
        error=f"{record.base} models are not drawn here" if foreign else "",
    )


def find(wanted: str, records: Sequence[Record], *, kind: str, field: str) -> Record:
    """Return the record of type `kind` that `wanted` means: a key, a hash or a name.

    The most literal reading that fits wins: key, hash, name, name and family, file name, any case.

    Raises:
        ModelNotFoundError: none fits, or several do; `field` is blamed.
    """
    readings: tuple[Callable[[Record], tuple[str, ...]], ...] = (
        lambda record: (record.key,),
        lambda record: (record.hash,),
        lambda record: (record.name,),
        lambda record: (record.full_name,),
        lambda record: record.aliases,
        lambda record: tuple(
            n.casefold() for n in (record.name, record.full_name, *record.aliases)
        ),
    )
    known = [record for record in records if record.kind == kind]
    for reading in readings:
        names = (wanted, wanted.casefold()) if reading is readings[-1] else (wanted,)
        found = [record for record in known if set(names) & set(reading(record))]
        if len(found) == 1:
            return found[0]
        if found:
            keys = ", ".join(f"{r.name} ({r.base}, {r.key})" for r in found[:_SHOWN])
            raise ModelNotFoundError(f"{wanted!r} may be any of {keys}", field=field)
    raise ModelNotFoundError(
        f"the server has no {KINDS[kind]} {wanted!r}; {_nearest(wanted, known)}", field=field
    )


def require_base(record: Record, bases: frozenset[str], *, field: str) -> Record:
    """Return the record itself when it belongs to one of `bases`.

    The server would find out only while it draws.

    Raises:
        InvalidSpecError: it belongs to another family.
    """
    if record.base not in bases:
        asked = " or ".join(sorted(bases))
        raise InvalidSpecError(f"{record.name!r} is for {record.base}, not {asked}", field=field)
    return record


def require_drawn(record: Record) -> Record:
    """Return the checkpoint itself when our graphs draw its family.

    Raises:
        InvalidSpecError: it belongs to another family.
    """
    return require_base(record, _DRAWN, field="model")


def _defaults(record: Record) -> ModelDefaults:
    """Return what the model's own settings say, and where they are silent, its family's size."""
    size, own = _NATIVE_SIZES.get(record.base, 512), record.settings
    usual = ModelDefaults()
    scheduler = str(own.get("scheduler") or "")
    return ModelDefaults(
        width=own.get("width") or size,
        height=own.get("height") or size,
        steps=own.get("steps") or usual.steps,
        cfg=own.get("cfg_scale") or usual.cfg,
        sampler=SAMPLERS.get(scheduler, scheduler) or usual.sampler,
    )


def _nearest(wanted: str, known: Sequence[Record]) -> str:
    names = [record.name for record in known]
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.4)
    shown = ", ".join(near or names[:_SHOWN]) or "none"
    return f"near it: {shown}" if near else f"it has {shown}"
