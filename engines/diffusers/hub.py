"""Downloads a model from the Hugging Face hub, where the operator has allowed it."""

import re
from pathlib import Path
from typing import Final

from engines.errors import EngineDownError

HUB_ID: Final = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
"""What the name of a model there looks like: `owner/model`."""

_WANTED = ("*.json", "*.txt", "*.safetensors")
"""Never pickle files."""


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
