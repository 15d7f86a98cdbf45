"""The models that can be drawn with: the built-in one and those in the models folder."""

import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from engines.diffusers.borrowing import SOURCES, borrows, lender, with_lenders
from engines.diffusers.cards import IN_FOLDER
from engines.diffusers.digests import Digests
from engines.diffusers.hub import download, download_family, is_hub_id
from engines.diffusers.kinds import Kind
from engines.diffusers.shelf import Shelved, look_through, pick, with_aliases
from engines.errors import InvalidSpecError, ModelNotFoundError

__all__ = ["BUILT_IN", "Library", "Shelved"]

BUILT_IN = Path(__file__).parent.parent / "mini"


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
        found = with_lenders(
            look_through(self._models_dir, BUILT_IN),
            models_dir=self._models_dir,
            allow_hub=self.allow_hub,
        )
        shelf = tuple(
            replace(one, info=replace(one.info, digest=self._digests.known(one.files)))
            for one in with_aliases(found)
        )
        with self._lock:
            self._shelf = shelf
        return shelf

    def find(self, name: str, kind: Kind = "checkpoint", *, field: str = "model") -> Shelved:
        """Return the model that a request means by `name`, looking again where it has changed.

        Raises:
            ModelNotFoundError: there is none of that kind.
            InvalidSpecError: it is there, but broken.
        """
        found = pick(self._shelf, name, kind)
        if found is None or not found.unchanged:
            found = pick(self.scan(), name, kind)
        if found is None:
            raise ModelNotFoundError(f"there is no {kind} called {name!r}", field=field)
        if found.info.error:
            raise InvalidSpecError(f"{name}: {found.info.error}", field=field)
        return found

    def named(self, kind: Kind, name: str) -> Shelved | None:
        """Return the usable model of a kind and name that a part of the engine looks for."""
        found = pick(self._shelf or self.scan(), name, kind)
        return found if found is not None and not found.info.error else None

    def lender(self, base: str) -> Path | None:
        """Return a folder of a family, whose tokenizers and shapes its single files share."""
        shelf = self._shelf or self.scan()
        return lender(base, shelf, models_dir=self._models_dir)

    def lacks(self, name: str) -> bool:
        """Say whether a model has to be looked for on the hub, or what a single file borrows."""
        if not self.allow_hub or self._models_dir is None:
            return False
        found = pick(self._shelf or self.scan(), name, "checkpoint")
        return is_hub_id(name) if found is None else self._is_poor(found)

    def fetch(self, name: str) -> None:
        """Download what the library lacks of a model, unless it has come meanwhile.

        Raises:
            EngineDownError: the hub does not answer or has no such model.
            InvalidSpecError: the hub does not give what a single file borrows.
        """
        if self._models_dir is None or not self.lacks(name):
            return
        found = pick(self.scan(), name, "checkpoint")
        if found is None:
            folder = download(name, self._models_dir)
            (folder / IN_FOLDER).write_text(json.dumps({"aliases": [name]}))
        elif self._is_poor(found):
            download_family(found.info.base, self._models_dir)
        self.scan()

    def _is_poor(self, found: Shelved) -> bool:
        """Say whether a model is a single file whose family is not there but on the hub."""
        base = found.info.base
        return borrows(found) and base in SOURCES and self.lender(base) is None

    def digest(self, model: Shelved) -> str:
        """Return the SHA-256 of a model; the first time it reads the whole file."""
        return self._digests.count(model.path, model.files)
