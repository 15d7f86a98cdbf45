"""The precision ladder: where a model starts, and what is tried when a picture comes out broken."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import torch

_DTYPES: Mapping[str, torch.dtype] = MappingProxyType(
    {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
)


@dataclass(frozen=True, slots=True)
class Rung:
    """Number formats of the denoising network and of the decoder."""

    network: torch.dtype
    decoder: torch.dtype

    @property
    def name(self) -> str:
        """How it is written down: `fp16`, or `fp16+vae-fp32` where the decoder differs."""
        names = {dtype: name for name, dtype in _DTYPES.items()}
        if self.network == self.decoder:
            return names[self.network]
        return f"{names[self.network]}+vae-{names[self.decoder]}"


def ladder(start: Literal["fp32", "fp16", "bf16"]) -> Sequence[Rung]:
    """Return the rungs to climb: as asked, then the decoder in fp32, then everything in fp32."""
    first = _DTYPES[start]
    rungs = (Rung(first, first), Rung(first, torch.float32), Rung(torch.float32, torch.float32))
    return rungs if start != "fp32" else rungs[-1:]


class Ladder:
    """Remembers per model the lowest rung that worked."""

    def __init__(self, *, start: Literal["fp32", "fp16", "bf16"], memory: Path) -> None:
        self._rungs = ladder(start)
        self._by_name = {rung.name: rung for rung in self._rungs}
        self._memory = memory
        self._known: dict[str, str] = {}
        with suppress(OSError, ValueError, AttributeError):
            self._known = {str(k): str(v) for k, v in json.loads(memory.read_bytes()).items()}
        self._written = dict(self._known)

    def rung(self, mark: str) -> Rung:
        """Return the rung at which a model is used now."""
        return self._by_name.get(self._known.get(mark, ""), self._rungs[0])

    def above(self, rung: Rung, *, decoder_only: bool) -> Rung | None:
        """Return the next rung to try, None at the top.

        Args:
            rung: The one that failed.
            decoder_only: Whether the latents are sound, so that decoding again may do.
        """
        later = self._rungs[self._rungs.index(rung) + 1 :]
        if not decoder_only:
            later = [one for one in later if one.network == torch.float32]
        return later[0] if later else None

    def set(self, mark: str, rung: Rung) -> None:
        """Use a rung for a model from now on."""
        self._known[mark] = rung.name

    def remember(self) -> None:
        """Write down the rungs that work, if any of them has changed."""
        if self._known == self._written:
            return
        self._written = dict(self._known)
        # A lost memory costs one broken picture more, which is caught again.
        with suppress(OSError):
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            partial = self._memory.with_suffix(".part")
            partial.write_text(json.dumps(self._known, indent=1))
            partial.replace(self._memory)
