"""The user's workflows on disk: one that draws everything, and a folder of named ones."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from engines.base import ModelInfo
from engines.comfyui.template import PREFIX, Template, read_template
from engines.errors import InvalidSpecError, ModelNotFoundError

SUFFIX: Final = ".json"
BINDING_SUFFIX: Final = ".bind.json"


class Shelf:
    """Reads workflows whenever they are asked for, so that an edited file counts at once.

    Attributes:
        workflow: The file that draws what names no other workflow; None draws with our own.
        folder: Where the named ones lie.
    """

    def __init__(self, *, workflow: Path | None, folder: Path | None) -> None:
        self.workflow = workflow
        self.folder = folder

    def template(self, model: str) -> Template | None:
        """Return the workflow that draws `model`; None when that is for our own to do.

        Raises:
            ModelNotFoundError: `workflow:NAME` without such a file.
            InvalidSpecError: the file cannot be used; the message says why.
        """
        if not model.startswith(PREFIX):
            return _read(self.workflow) if self.workflow else None
        wanted = model.removeprefix(PREFIX)
        for path in self._files():
            if _name(path) == wanted:
                return _read(path)
        raise ModelNotFoundError(f"there is no workflow {wanted!r}; there are {self._names()}")

    def models(self) -> list[ModelInfo]:
        """List the workflows as models, those that cannot be used with the reason."""
        return [_model(path) for path in self._files()]

    def _files(self) -> Iterator[Path]:
        if self.workflow is not None:
            yield self.workflow
        if self.folder is not None:
            for path in sorted(self.folder.glob(f"*{SUFFIX}")):
                if not path.name.endswith(BINDING_SUFFIX) and path != self.workflow:
                    yield path

    def _names(self) -> str:
        return ", ".join(_name(path) for path in self._files()) or "none"


def _name(path: Path) -> str:
    return path.name.removesuffix(SUFFIX)


def _read(path: Path) -> Template:
    sidecar = path.with_name(_name(path) + BINDING_SUFFIX)
    try:
        return read_template(
            _name(path), path.read_bytes(), sidecar.read_bytes() if sidecar.exists() else None
        )
    except OSError as error:
        raise InvalidSpecError(f"workflow {_name(path)!r}: {error.strerror}") from error


def _model(path: Path) -> ModelInfo:
    try:
        template = _read(path)
    except InvalidSpecError as error:
        return ModelInfo(name=PREFIX + _name(path), error=str(error))
    return ModelInfo(name=template.model, defaults=template.defaults, whole=True)
