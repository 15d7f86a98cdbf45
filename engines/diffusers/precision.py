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
    """Remembers per model the lowest rung that worked.

    A picture climbs by itself. What it found is remembered once it is drawn, so that one whose
    numbers run over at every precision slows nobody else down.
    """

    def __init__(self, *, start: Literal["fp32", "fp16", "bf16"], memory: Path) -> None:
        self._rungs = ladder(start)
        self._by_name = {rung.name: rung for rung in self._rungs}
        self._memory = memory
        self._known: dict[str, str] = {}
        with suppress(OSError, ValueError, AttributeError):
            self._known = {str(k): str(v) for k, v in json.loads(memory.read_bytes()).items()}

    def rung(self, mark: str) -> Rung:
        """Return the rung at which new pictures of a model begin."""
        return self._by_name.get(self._known.get(mark, ""), self._rungs[0])

    def wider_decoder(self, rung: Rung) -> Rung | None:
        """Return the next rung at which the same latents are decoded more exactly, if any."""
        above = self._above(rung)
        return next((one for one in above if one.network == rung.network), None)

    def wider_network(self, rung: Rung) -> Rung | None:
        """Return the next rung at which the picture is drawn more exactly, if any."""
        above = self._above(rung)
        return next((one for one in above if one.network != rung.network), None)

    def _above(self, rung: Rung) -> Sequence[Rung]:
        return self._rungs[self._rungs.index(rung) + 1 :]

    def remember(self, mark: str, rung: Rung) -> None:
        """Begin new pictures of a model at a rung that worked, unless they begin higher up."""
        if rung not in self._above(self.rung(mark)):
            return
        self._known[mark] = rung.name
        # A lost memory costs one broken picture more, which is caught again.
        with suppress(OSError):
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            partial = self._memory.with_suffix(".part")
            partial.write_text(json.dumps(self._known, indent=1))
            partial.replace(self._memory)
