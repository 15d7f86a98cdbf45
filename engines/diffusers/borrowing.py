"""What a checkpoint in one file lacks, and which folder lends it: tokenizers and shapes.

Such a file holds weights alone. A model folder of its family has the rest, and so has the folder
that is kept for the family once it was downloaded, which holds no weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from engines.diffusers.folders import read_json
from engines.diffusers.headers import BrokenFileError
from engines.diffusers.shelf import Shelved

SOURCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "sd15": "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "sd2": "stabilityai/stable-diffusion-2-1",
        "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
        "sdxl-refiner": "stabilityai/stable-diffusion-xl-refiner-1.0",
    }
)
"""Family → the hub's repository whose shapes and tokenizers its single files share: those that
diffusers looks them up in (`DIFFUSERS_DEFAULT_PIPELINE_PATHS` of its `loaders.single_file_utils`).
"""

_TOKENIZER: Final = ("vocab.json", "merges.txt", "tokenizer_config.json")
"""Without the last one SDXL's second tokenizer would pad with the wrong token."""

_PARTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "unet": ("config.json",),
        "vae": ("config.json",),
        "scheduler": ("scheduler_config.json",),
        "text_encoder": ("config.json",),
        "text_encoder_2": ("config.json",),
        "tokenizer": _TOKENIZER,
        "tokenizer_2": _TOKENIZER,
    }
)
"""Parts of a pipeline that are borrowed → the files without which they are of no use."""

_KEPT = ".families"
"""Folder in the models folder; its name keeps it out of the list of models."""


def kept_folder(base: str, models_dir: Path) -> Path:
    """Return where a family's tokenizers and shapes are kept."""
    return models_dir / _KEPT / base


def is_whole(folder: Path) -> bool:
    """Say whether a folder has all that single files of its family borrow."""
    try:
        index = read_json(folder / "model_index.json")
    except BrokenFileError:
        return False
    # A part that the family has not is there as [null, null].
    wanted = {part for part in _PARTS if index.get(part) not in (None, [None, None])}
    needed = {"unet", "vae", "scheduler"} <= wanted and wanted & {"tokenizer", "tokenizer_2"}
    files = (folder / part / name for part in wanted for name in _PARTS[part])
    return bool(needed) and all(path.is_file() for path in files)


def borrows(one: Shelved) -> bool:
    """Say whether a model is a checkpoint in one file."""
    return one.info.kind == "checkpoint" and one.path.is_file() and not one.info.error


def lender(base: str, shelf: Sequence[Shelved], *, models_dir: Path | None) -> Path | None:
    """Return a folder of a family that lends tokenizers and shapes; None without one."""
    for one in shelf:
        whole = one.info.kind == "checkpoint" and one.path.is_dir() and not one.info.error
        if whole and one.info.base == base:
            return one.path
    kept = kept_folder(base, models_dir) if base and models_dir is not None else None
    return kept if kept is not None and is_whole(kept) else None


def with_lenders(
    shelf: Sequence[Shelved], *, models_dir: Path | None, allow_hub: bool
) -> list[Shelved]:
    """Say of each checkpoint in one file what it lacks, unless that is there or can be fetched."""
    lent: dict[str, bool] = {}
    told = []
    for one in shelf:
        base = one.info.base
        if borrows(one) and base not in lent:
            there = lender(base, shelf, models_dir=models_dir) is not None
            lent[base] = there or (allow_hub and base in SOURCES)
        poor = borrows(one) and not lent[base]
        told.append(replace(one, info=replace(one.info, error=remedy(one))) if poor else one)
    return told


def remedy(one: Shelved) -> str:
    """Say what a checkpoint in one file lacks, and everything that can be done about it."""
    base, card = one.info.base, one.path.with_suffix(".kitty.json").name
    if not base:
        return (
            "its family cannot be told from its tensors: name it in a file "
            f'{card} beside it, as {{"base": "sdxl"}}'
        )
    ways = [f"put any {base} model folder in diffusers' layout into MODELS_DIR"]
    if base in SOURCES:
        fetch = f'run: hf download {SOURCES[base]} --include "*.json" --include "*.txt"'
        ways = [
            "set ALLOW_HUB=true, and its first picture fetches them once (about 3 MB)",
            *ways,
            f"{fetch} --local-dir MODELS_DIR/{_KEPT}/{base}",
        ]
    return (
        f"a single file holds neither tokenizer nor shapes, and nothing of {base} is there to "
        f"lend them: {'; or '.join(ways)}"
    )
