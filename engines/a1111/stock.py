"""What a server has to draw with, as read from its listings; pure."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from engines.base import Json
from engines.errors import EngineProtocolError, ModelNotFoundError


def stem(path: str) -> str:
    """Return a file's name without folder and ending, whichever way its slashes lean."""
    return PurePosixPath(PureWindowsPath(path).as_posix()).stem


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model file; `title` is what `override_settings` takes, hashes may be unknown."""

    title: str
    name: str
    shorthash: str = ""
    sha256: str = ""
    filename: str = ""

    @property
    def aliases(self) -> tuple[str, ...]:
        """Further names that the server understands (`checkpoint_aliases`)."""
        file = PureWindowsPath(self.filename).name
        names = (self.title, file, stem(self.filename), self.shorthash, self.sha256)
        return tuple(dict.fromkeys(name for name in names if name and name != self.name))


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA file; `family` is what it was trained on, as its metadata says."""

    name: str
    alias: str = ""
    family: str = ""

    @property
    def aliases(self) -> tuple[str, ...]:
        """Further names that a prompt may use."""
        return (self.alias,) if self.alias not in ("", "None", self.name) else ()


@dataclass(frozen=True, slots=True)
class Stock:
    """Everything that a server can name.

    Attributes:
        samplers: Sampler name → its aliases.
        schedulers: Scheduler label → its other names; empty before 1.9, where the schedule is
            part of the sampler's name.
        upscalers: Of finished pictures and of the hires pass.
        latent_modes: Of the hires pass alone.
        options: The keys that `override_settings` may hold; another one is answered with 500.
        loras: None where the server has no LoRA extension.
        control_blank: What the ControlNet extension calls "no preprocessor".
        tasks: Whether `/internal/progress` tells one drawing from another.
    """

    checkpoints: tuple[Checkpoint, ...]
    samplers: Mapping[str, tuple[str, ...]]
    schedulers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    upscalers: tuple[str, ...] = ()
    latent_modes: tuple[str, ...] = ()
    options: frozenset[str] = frozenset()
    loras: tuple[Adapter, ...] | None = None
    controlnets: tuple[str, ...] = ()
    control_blank: str = "none"
    vaes: tuple[str, ...] = ()
    loaded: str = ""
    tasks: bool = True

    def checkpoint(self, name: str, *, field: str = "model") -> Checkpoint:
        """Find a model by any of its names.

        Raises:
            ModelNotFoundError: there is none; the server itself would draw with another one.
        """
        known = {c.name: c for c in self.checkpoints}
        known |= {a: c for c in reversed(self.checkpoints) for a in c.aliases if a not in known}
        return known[pick(name, known, what="checkpoint", field=field)]

    def lora(self, name: str) -> Adapter:
        """Find an adapter by name or alias.

        Raises:
            ModelNotFoundError: there is none; the server itself would draw without it.
        """
        known = {a: lora for lora in self.loras or () for a in (lora.name, *lora.aliases)}
        return known[pick(name, known, what="LoRA", field="loras")]

    def controlnet(self, name: str) -> str:
        """Find a ControlNet by its name with or without the hash in brackets.

        Raises:
            ModelNotFoundError: there is none.
        """
        known = {alias: full for full in self.controlnets for alias in (full, full.split(" [")[0])}
        return known[pick(name, known, what="ControlNet", field="controls")]

    def upscaler(self, name: str, *, field: str) -> str:
        """Find an upscaler, `lanczos` or one of the server's; `latent` only for `hires`.

        Raises:
            ModelNotFoundError: there is none.
        """
        modes = self.latent_modes if field == "hires" else ()
        return pick(name, (*self.upscalers, *modes), what="upscaler", field=field)

    def known(self, settings: Mapping[str, Json]) -> dict[str, Json]:
        """Return those settings that the server has."""
        return {key: value for key, value in settings.items() if key in self.options}


def pick(name: str, known: Iterable[str], *, what: str, field: str) -> str:
    """Return the known name that `name` means, letter by letter or but for case.

    Raises:
        ModelNotFoundError: none; the message names those that come near.
    """
    names = list(known)
    if name in names:
        return name
    found = [n for n in names if n.casefold() == name.casefold()]
    if found:
        return found[0]
    near = difflib.get_close_matches(name, names, n=3) or sorted(names)[:3]
    hint = f"; it has {', '.join(near)}" if near else ""
    raise ModelNotFoundError(f"the server has no {what} {name!r}{hint}", field=field)


def read_checkpoints(listing: Any) -> tuple[Checkpoint, ...]:  # noqa: ANN401 -- JSON as it came
    """Read `GET /sdapi/v1/sd-models`."""
    return tuple(
        Checkpoint(
            title=str(m["title"]),
            name=str(m.get("model_name") or stem(str(m["title"]))),
            shorthash=m.get("hash") or "",
            sha256=m.get("sha256") or "",
            filename=m.get("filename") or "",
        )
        for m in rows(listing, "sd-models", "title")
    )


def read_loras(listing: Any) -> tuple[Adapter, ...]:  # noqa: ANN401 -- JSON as it came
    """Read `GET /sdapi/v1/loras`."""
    return tuple(
        Adapter(str(m["name"]), str(m.get("alias") or ""), _family(m.get("metadata")))
        for m in rows(listing, "loras", "name")
    )


def read_aliases(listing: Any, *, key: str) -> dict[str, tuple[str, ...]]:  # noqa: ANN401 -- JSON
    """Read `GET /sdapi/v1/samplers` (by `name`) or `…/schedulers` (by `label`)."""
    return {
        str(m[key]): tuple(str(a) for a in (m["name"], *(m.get("aliases") or ())) if a != m[key])
        for m in rows(listing, "samplers", key)
    }


def rows(listing: Any, what: str, *keys: str) -> Sequence[dict[str, Any]]:  # noqa: ANN401 -- JSON
    """Return a listing whose every row has the given keys.

    Raises:
        EngineProtocolError: it has another shape.
    """
    if isinstance(listing, list) and all(
        isinstance(row, dict) and all(key in row for key in keys) for row in listing
    ):
        return listing
    raise EngineProtocolError(f"the listing of {what} has another shape: {str(listing)[:200]}")


def _family(metadata: Any) -> str:  # noqa: ANN401 -- JSON as it came
    """Read the base model that kohya's trainer notes in a LoRA's metadata."""
    version = str(metadata.get("ss_base_model_version", "")) if isinstance(metadata, dict) else ""
    if version.startswith("sdxl"):
        return "sdxl"
    return "sd15" if version.startswith("sd_v1") else ""
