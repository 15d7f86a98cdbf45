"""The models that can be drawn with: the built-in one and those in the models folder."""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from engines.base import ModelDefaults, ModelInfo, SizeBounds
from engines.diffusers.digests import Digests, signature
from engines.diffusers.folders import (
    CARD,
    is_model_folder,
    read_card,
    read_json,
    tell_folder,
    weight_files,
)
from engines.diffusers.headers import BrokenFileError, read_header
from engines.diffusers.hub import download, is_hub_id
from engines.diffusers.kinds import Kind, Nature, tell_nature
from engines.diffusers.names import family_aliases
from engines.errors import InvalidSpecError, ModelNotFoundError

BUILT_IN = Path(__file__).parent.parent / "mini"
_REMEMBERED = 4096
"""Files whose headers are not read again while they are unchanged."""

_DEFAULTS = {
    "sdxl": ModelDefaults(width=1024, height=1024, cfg=6.0),
    "sd2": ModelDefaults(width=768, height=768),
}


@dataclass(frozen=True, slots=True)
class Shelved:
    """A model and where it lies: one safetensors file, or a folder in diffusers' layout.

    Attributes:
        mark: What changes when the files change.
    """

    info: ModelInfo
    path: Path
    files: tuple[Path, ...]
    mark: str = ""


class Library:
    """Finds models by name; safe to use from several threads."""

    def __init__(
        self, *, models_dir: Path | None, digests: Digests, allow_hub: bool = False
    ) -> None:
        self._models_dir = models_dir
        self.allow_hub = allow_hub
        self._digests = digests
        self._lock = threading.Lock()
        self._shelf: tuple[Shelved, ...] = ()

    def scan(self) -> Sequence[Shelved]:
        """Look through the models folder again; broken files are listed with their error."""
        found = [_shelve_folder(BUILT_IN, name=BUILT_IN.name)]
        if self._models_dir is not None and self._models_dir.is_dir():
            found += _walk(self._models_dir, self._models_dir)
        named = _with_aliases(_with_unique_names(found, self._models_dir))
        shelf = tuple(
            replace(one, info=replace(one.info, digest=self._digests.known(one.files)))
            for one in named
        )
        with self._lock:
            self._shelf = shelf
        return shelf

    def find(self, name: str, kind: Kind = "checkpoint", *, field: str = "model") -> Shelved:
        """Return the model that a request means by `name`, looking again where it is new.

        Raises:
            ModelNotFoundError: there is none of that kind.
            InvalidSpecError: it is there, but broken.
        """
        found = _pick(self._shelf, name, kind) or _pick(self.scan(), name, kind)
        if found is None:
            raise ModelNotFoundError(f"there is no {kind} called {name!r}", field=field)
        if found.info.error:
            raise InvalidSpecError(f"{name}: {found.info.error}", field=field)
        return found

    def named(self, kind: Kind, name: str) -> Shelved | None:
        """Return the usable model of a kind and name that a part of the engine looks for."""
        found = _pick(self._shelf or self.scan(), name, kind)
        return found if found is not None and not found.info.error else None

    def pattern(self, base: str) -> Shelved | None:
        """Return a model folder of a family, whose tokenizer and shapes single files share."""
        for one in self._shelf or self.scan():
            whole = one.info.kind == "checkpoint" and one.path.is_dir() and not one.info.error
            if whole and one.info.base == base and one.path != BUILT_IN:
                return one
        return None

    def fetch(self, name: str) -> None:
        """Download a model that is named by its hub id and not here yet, if that is allowed.

        Raises:
            EngineDownError: the hub does not answer or has no such model.
        """
        if not self.allow_hub or self._models_dir is None or not is_hub_id(name):
            return
        if _pick(self._shelf, name, "checkpoint") or _pick(self.scan(), name, "checkpoint"):
            return
        folder = download(name, self._models_dir)
        (folder / CARD).write_text(json.dumps({"aliases": [name]}))
        self.scan()

    def digest(self, model: Shelved) -> str:
        """Return the SHA-256 of a model; the first time it reads the whole file."""
        return self._digests.count(model.path, model.files)


def _pick(shelf: Sequence[Shelved], name: str, kind: Kind) -> Shelved | None:
    for one in shelf:
        there = bool(one.info.error) or all(path.exists() for path in one.files)
        if one.info.kind == kind and one.info.answers_to(name) and there:
            return one
    return None


def _walk(folder: Path, root: Path) -> list[Shelved]:
    found: list[Shelved] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            found += (
                [_shelve_folder(path, name=path.name)]
                if is_model_folder(path)
                else _walk(path, root)
            )
        elif path.suffix == ".safetensors":
            found.append(_shelve_file(path))
        elif path.suffix in {".ckpt", ".pt", ".pth"}:
            found.append(_broken(path, "a pickle file, which is never loaded: convert it"))
    return found


@lru_cache(maxsize=_REMEMBERED)
def _folder_nature(folder: Path, mark: str) -> Nature:  # noqa: ARG001
    """Tell what a folder is, once per state of its files."""
    return tell_folder(folder)


@lru_cache(maxsize=_REMEMBERED)
def _file_nature(path: Path, mark: str) -> Nature:  # noqa: ARG001
    """Tell what a file is, once per state of it."""
    return tell_nature(read_header(path))


def _shelve_folder(folder: Path, *, name: str) -> Shelved:
    try:
        files = tuple(weight_files(folder))
        mark = signature(files)
        nature, card = _folder_nature(folder, mark), read_card(folder)
        return Shelved(
            _info(card.get("name", name), nature, files, card), folder, files, signature(files)
        )
    except (BrokenFileError, OSError, TypeError) as error:
        return _broken(folder, str(error))


def _shelve_file(path: Path) -> Shelved:
    try:
        mark = signature((path,))
        nature = _file_nature(path, mark)
        card_path = path.with_suffix(".kitty.json")
        card = {} if not card_path.exists() else read_json(card_path)
        info = _info(card.get("name", path.stem), nature, (path,), card)
        return Shelved(info, path, (path,), mark)
    except (BrokenFileError, OSError, TypeError) as error:
        return _broken(path, str(error))


def _info(name: str, nature: Nature, files: tuple[Path, ...], card: Mapping[str, Any]) -> ModelInfo:
    known = _DEFAULTS.get(nature.base, ModelDefaults())
    return ModelInfo(
        name=str(name),
        kind=nature.kind,
        base=str(card.get("base", nature.base)),
        aliases=tuple(card.get("aliases", ())),
        size_bytes=sum(path.stat().st_size for path in files),
        trigger_words=tuple(card.get("trigger_words", nature.trigger_words)),
        defaults=replace(known, **card.get("defaults", {})),
        bounds=SizeBounds(**card.get("bounds", {})),
        refused_samplers=tuple(card.get("refused_samplers", ())),
    )


def _broken(path: Path, error: str) -> Shelved:
    return Shelved(ModelInfo(name=path.stem, error=error), path, ())


def _with_unique_names(found: Sequence[Shelved], root: Path | None) -> list[Shelved]:
    names = [(one.info.kind, one.info.name) for one in found]
    unique = []
    for one, name in zip(found, names, strict=True):
        if names.count(name) > 1 and root is not None and one.path.is_relative_to(root):
            path = one.path.relative_to(root).with_suffix("").as_posix()
            unique.append(replace(one, info=replace(one.info, name=path)))
        else:
            unique.append(one)
    return unique


def _with_aliases(found: Sequence[Shelved]) -> list[Shelved]:
    usable = [o.info for o in found if o.info.kind == "checkpoint" and not o.info.error]
    meant = family_aliases([(info.name, info.base) for info in usable if info.name != "mini"])
    result = []
    for one in found:
        extra = tuple(a for a, n in meant.items() if n == one.info.name and one.info in usable)
        file_name = (one.path.name,) if one.path.suffix == ".safetensors" else ()
        aliases = (*one.info.aliases, *file_name, *extra)
        result.append(replace(one, info=replace(one.info, aliases=aliases)))
    return result
