"""What a ComfyUI server can draw with, as models."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from engines.base import ModelDefaults, ModelInfo
from engines.comfyui.client import Client
from engines.comfyui.naming import aliases_of

Kind: TypeAlias = Literal["checkpoint", "lora", "controlnet", "vae", "upscaler"]

_FOLDERS: Final[Mapping[Kind, str]] = {
    "checkpoint": "checkpoints",
    "lora": "loras",
    "controlnet": "controlnet",
    "vae": "vae",
    "upscaler": "upscale_models",
}
_BASES: Final = (
    ("stable-diffusion-xl", "sdxl"),
    ("sdxl", "sdxl"),
    ("stable-diffusion-v1", "sd15"),
    ("sd_v1", "sd15"),
)
"""What the header of a file says of its architecture (`modelspec`, kohya) → our word for it."""

_DEFAULTS: Final = {"sdxl": ModelDefaults(width=1024, height=1024)}
_AT_ONCE: Final = 8


class Family(NamedTuple):
    """What a checkpoint is of, empty when unknown, and whether its name alone says so."""

    base: str
    guessed: bool


_UNKNOWN: Final = Family("", guessed=False)


class Catalogue:
    """Lists model files; each header is looked at once."""

    def __init__(self, *, client: Client) -> None:
        self._client = client
        self._families: dict[str, Family] = {}

    async def models(self) -> list[ModelInfo]:
        """List the files of every kind.

        Raises:
            LostError: the server could not be asked.
        """
        listed = await asyncio.gather(*map(self._client.files, _FOLDERS.values()))
        found = dict(zip(_FOLDERS, listed, strict=True))
        await self._look_at(found["checkpoint"])
        return [model for kind, files in found.items() for model in self._infos(kind, files)]

    def _infos(self, kind: Kind, files: Sequence[str]) -> Iterable[ModelInfo]:
        shared = Counter(alias for file in files for alias in aliases_of(file))
        for file in dict.fromkeys(files):
            family = self._families.get(file, _UNKNOWN) if kind == "checkpoint" else _UNKNOWN
            yield ModelInfo(
                name=file,
                kind=kind,
                base=family.base,
                guessed=family.guessed,
                aliases=tuple(alias for alias in aliases_of(file) if shared[alias] == 1),
                defaults=_DEFAULTS.get(family.base, ModelDefaults()),
            )

    async def _look_at(self, files: Sequence[str]) -> None:
        limit = asyncio.Semaphore(_AT_ONCE)

        async def look(file: str) -> None:
            async with limit:
                header = await self._client.header("checkpoints", file)
            self._families[file] = _family_of(file, header)

        await asyncio.gather(*(look(file) for file in files if file not in self._families))


def _family_of(file: str, header: Mapping[str, object]) -> Family:
    """Return the family that a header names, else the one that the file's own name gives away."""
    said = " ".join(
        str(header.get(key, ""))
        for key in ("modelspec.architecture", "ss_base_model_version", "ss_sd_model_name")
    )
    for words, guessed in ((said, False), (file, True)):
        for part, base in _BASES:
            if part in words.casefold():
                return Family(base, guessed)
    return _UNKNOWN
