"""Looks through a folder of models and says of each what it is, or what is wrong with it."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from engines.base import ModelDefaults, ModelInfo, SizeBounds
from engines.diffusers.cards import Card, read_card
from engines.diffusers.digests import signature
from engines.diffusers.folders import (
    is_model_folder,
    other_latents,
    tell_folder,
    weight_files,
)
from engines.diffusers.headers import BrokenFileError, read_header
from engines.diffusers.kinds import Kind, Nature, tell_nature
from engines.diffusers.names import family_aliases
from engines.fitting import goes_with
from engines.names import meant

_REMEMBERED = 4096
"""Files whose headers are not read again while they are unchanged."""

_DEFAULTS: Mapping[str, ModelDefaults] = MappingProxyType(
    {
        "sdxl": ModelDefaults(width=1024, height=1024, cfg=6.0),
        "sd2": ModelDefaults(width=768, height=768),
    }
)
_PICKLE = "a pickle file, which is never loaded: convert it to safetensors"
_UNREADABLE: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys((".ckpt", ".pt", ".pth", ".bin"), _PICKLE),
        ".gguf": "a GGUF file, which this engine does not read: convert it to safetensors",
    }
)
_SAFE = ".safetensors"


@dataclass(frozen=True, slots=True)
class Shelved:
    """A model and where it lies: one safetensors file, or a folder in diffusers' layout.

    Attributes:
        mark: What changes when the files change, the autoencoder's among them.
        wanted_vae: The autoencoder that its card names.
        vae: That autoencoder; None where the model's own is used.
    """

    info: ModelInfo
    path: Path
    files: tuple[Path, ...]
    mark: str = ""
    wanted_vae: str | None = None
    vae: "Shelved | None" = None

    @property
    def unchanged(self) -> bool:
        """Whether it can be used and its files are still what they were."""
        borrowed = () if self.vae is None else self.vae.files
        try:
            return not self.info.error and signature((*self.files, *borrowed)) == self.mark
        except OSError:
            return False


def look_through(root: Path | None, built_in: Path) -> Sequence[Shelved]:
    """Return the built-in model and all that lies in a models folder, each under its own name.

    What cannot be used has its error in `info.error`. KITTY's names are not given yet.
    """
    own = _shelve_folder(built_in)
    # A family of its own: what was made for the large models fits none of its layers.
    found = [replace(own, info=replace(own.info, base=own.info.name))]
    if root is not None and root.is_dir():
        found += _walk(root, seen=set())
    return _with_vaes(_with_unique_names(found, root))


def pick(shelf: Sequence[Shelved], name: str, kind: Kind) -> Shelved | None:
    """Return the model that a request means by `name`, a usable one before a broken one."""
    infos = meant(name, kind, (one.info for one in shelf))
    found = [one for one in shelf if one.info in infos]
    return min(found, key=lambda one: bool(one.info.error), default=None)


def _walk(folder: Path, *, seen: set[str]) -> Iterator[Shelved]:
    place = os.path.realpath(folder)
    if place in seen:
        return  # a link that leads back
    seen.add(place)
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        yield _broken(folder, f"cannot be read: {error.strerror}")
        return
    for path in paths:
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from [_shelve_folder(path)] if is_model_folder(path) else _walk(path, seen=seen)
        elif path.suffix == _SAFE:
            yield _shelve_file(path)
        elif path.suffix in _UNREADABLE:
            yield _broken(path, _UNREADABLE[path.suffix])


@lru_cache(maxsize=_REMEMBERED)
def _folder_nature(folder: Path, mark: str) -> Nature:  # noqa: ARG001
    """Tell what a folder is, once per state of its files."""
    return tell_folder(folder)


@lru_cache(maxsize=_REMEMBERED)
def _file_nature(path: Path, mark: str) -> Nature:  # noqa: ARG001
    """Tell what a file is, once per state of it."""
    return tell_nature(read_header(path))


def _shelve_folder(folder: Path) -> Shelved:
    try:
        files = tuple(weight_files(folder))
        mark = signature(files)
        nature, card = _folder_nature(folder, mark), read_card(folder)
        info = _info(card.name or folder.name, nature, files, card)
        return Shelved(info, folder, files, mark, card.vae)
    except (BrokenFileError, OSError) as error:
        return _broken(folder, str(error))


def _shelve_file(path: Path) -> Shelved:
    try:
        mark = signature((path,))
        nature, card = _file_nature(path, mark), read_card(path)
        info = _info(card.name or path.stem, nature, (path,), card)
        info = replace(info, aliases=(*info.aliases, path.name))
        return Shelved(info, path, (path,), mark, card.vae)
    except (BrokenFileError, OSError) as error:
        return _broken(path, str(error))


def _info(name: str, nature: Nature, files: tuple[Path, ...], card: Card) -> ModelInfo:
    base = nature.base if card.base is None else card.base
    words = nature.trigger_words if card.trigger_words is None else card.trigger_words
    known = _DEFAULTS.get(base, ModelDefaults())
    return ModelInfo(
        name=name,
        kind=nature.kind,
        base=base,
        aliases=card.aliases,
        size_bytes=sum(path.stat().st_size for path in files),
        trigger_words=words,
        defaults=replace(known, **card.defaults.model_dump(exclude_none=True)),
        bounds=SizeBounds(card.bounds.least, card.bounds.most),
        refused_samplers=card.refused_samplers,
    )


def _broken(path: Path, error: str) -> Shelved:
    name, aliases = (path.name, ()) if path.is_dir() else (path.stem, (path.name,))
    return Shelved(ModelInfo(name=name, aliases=aliases, error=error), path, ())


def _with_unique_names(found: Sequence[Shelved], root: Path | None) -> list[Shelved]:
    """Call those of equal kind and name by their path; a broken one never takes a good one's."""
    names = [(one.info.kind, one.info.name) for one in found]
    usable = [(one.info.kind, one.info.name) for one in found if not one.info.error]
    unique = []
    for one, name in zip(found, names, strict=True):
        path = one.path
        if root is None or not path.is_relative_to(root) or names.count(name) == 1:
            unique.append(one)
            continue
        if not one.info.error and usable.count(name) == 1:
            unique.append(one)
            continue
        longer = path.relative_to(root).as_posix()
        longer = longer if one.info.error else longer.removesuffix(_SAFE)
        unique.append(replace(one, info=replace(one.info, name=longer)))
    return unique


def _with_vaes(found: Sequence[Shelved]) -> list[Shelved]:
    """Put the autoencoders that cards name beside their models, or say that they are missing."""
    return [one if one.wanted_vae is None else _with_vae(one, found) for one in found]


def _with_vae(one: Shelved, found: Sequence[Shelved]) -> Shelved:
    vae = pick(found, one.wanted_vae or "", "vae")
    if one.info.kind != "checkpoint":
        error = "but only checkpoints have one"
    elif vae is None:
        error = "which is not in the models folder"
    elif error := _misfit(vae, one):
        error = f"which {error}"
    else:
        return replace(one, vae=vae, mark=signature((*one.files, *vae.files)))
    error = f"its card names the VAE {one.wanted_vae}, {error}"
    return replace(one, info=replace(one.info, error=error))


def _misfit(vae: Shelved, model: Shelved) -> str:
    """Say why an autoencoder cannot decode for a model, as far as their files tell."""
    if vae.info.base == "taesd":
        return "draws previews only"
    if not goes_with(vae.info, model.info):
        return f"was made for {vae.info.base}, but {model.info.name} is of {model.info.base}"
    if not (vae.path.is_dir() and model.path.is_dir()):
        return ""
    try:
        return other_latents(vae.path, like=model.path / "vae")
    except BrokenFileError as error:
        return f"cannot be compared: {error}"


def with_aliases(found: Sequence[Shelved]) -> list[Shelved]:
    """Let KITTY's names mean models that can be used."""
    usable = [o.info for o in found if o.info.kind == "checkpoint" and not o.info.error]
    meant = family_aliases([(info.name, info.base) for info in usable if info.name != "mini"])
    result = []
    for one in found:
        extra = tuple(a for a, n in meant.items() if n == one.info.name and one.info in usable)
        result.append(replace(one, info=replace(one.info, aliases=(*one.info.aliases, *extra))))
    return result
