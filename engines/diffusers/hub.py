"""Downloads from the Hugging Face hub, where the operator has allowed it."""

import re
from pathlib import Path
from typing import Final

from engines.diffusers.borrowing import SOURCES, is_whole, kept_folder
from engines.diffusers.headers import in_short
from engines.errors import EngineDownError, InvalidSpecError

HUB_ID: Final = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
"""What the name of a model there looks like: `owner/model`."""

_WANTED = ("*.json", "*.txt", "*.safetensors")
"""Never pickle files."""

_LENT = ("model_index.json", "*/*config.json", "tokenizer*/*.json", "tokenizer*/*.txt")
"""Tokenizers and shapes, no weights."""


def is_hub_id(name: str) -> bool:
    """Say whether a name has the form `owner/model`."""
    return re.fullmatch(HUB_ID, name) is not None


def download(name: str, models_dir: Path) -> Path:
    """Download a model folder into the models folder; blocks for as long as that takes.

    Raises:
        EngineDownError: the hub does not answer or has no such model.
    """
    import huggingface_hub  # noqa: PLC0415

    folder = models_dir / name.replace("/", "--")
    try:
        huggingface_hub.snapshot_download(name, local_dir=folder, allow_patterns=list(_WANTED))
    except Exception as error:
        # The hub's errors have no common base; all of them mean that the model is not here.
        raise EngineDownError(f"{name} could not be downloaded: {error}") from error
    return folder


def download_family(base: str, models_dir: Path) -> Path:
    """Download the tokenizers and shapes of a family; blocks for as long as that takes.

    Raises:
        InvalidSpecError: the hub does not answer or has not all of them.
    """
    import huggingface_hub  # noqa: PLC0415

    folder = kept_folder(base, models_dir)
    try:
        huggingface_hub.snapshot_download(
            SOURCES[base], local_dir=folder, allow_patterns=list(_LENT)
        )
    except Exception as error:
        # Whoever has no such file draws on, so it is not the engine that is down.
        detail = f"{SOURCES[base]}, which lends {base} its tokenizer, could not be downloaded"
        raise InvalidSpecError(f"{detail}: {in_short(error)}", field="model") from error
    # Of a download that was broken off, what came is given while the hub does not answer.
    if not is_whole(folder):
        detail = f"{SOURCES[base]} did not give all that single files of {base} need"
        raise InvalidSpecError(detail, field="model")
    return folder
