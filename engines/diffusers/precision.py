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
        self._memory = memory
        self._known: dict[str, str] = {}
        with suppress(OSError, ValueError, AttributeError):
            self._known = {str(k): str(v) for k, v in json.loads(memory.read_bytes()).items()}

    def rung(self, mark: str, *, least: int = 0) -> Rung:
        """Return where to start with a model, at least `least` rungs up."""
        names = [rung.name for rung in self._rungs]
        known = self._known.get(mark, "")
        index = names.index(known) if known in names else 0
        return self._rungs[min(max(index, least), len(self._rungs) - 1)]

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

    def remember(self, mark: str, rung: Rung) -> None:
        """Record the rung that worked after a lower one had failed."""
        self._known[mark] = rung.name
        # A lost memory costs one broken picture more, which is caught again.
        with suppress(OSError):
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            partial = self._memory.with_suffix(".part")
            partial.write_text(json.dumps(self._known, indent=1))
            partial.replace(self._memory)
