"""What an operator may decide about the step engine."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Precision: TypeAlias = Literal["auto", "fp32", "fp16", "bf16"]


@dataclass(frozen=True, slots=True)
class DiffusersSettings:
    """Choices that the device table leaves open; None takes what the table says.

    Attributes:
        precision: Where the precision ladder starts.
        batch: Pictures stepped in one network call at most.
        slots: Pictures held at once; those beyond `batch` exist to be overtaken.
        threads: Threads of one CPU operator; one draws the same bits everywhere and does not
            fight with the rest of the machine, so more must be asked for.
        snapshot_seconds: Least time between two snapshots of one picture; 0 writes none
            but those at the end of an interrupted drawing.
        snapshot_days: Age at which a forgotten snapshot is swept away.
        preview_seconds: Least time between two previews of one picture; 0 draws none.
        memory_gib: Models kept loaded, together; the least recently used leave first.
        tile_pixels: Pictures larger than this are decoded in tiles.
        allow_hub: Whether a hub id may be downloaded.
        accelerate: On CUDA, `full` fuses passes over memory and replays captured networks;
            `off` draws with PyTorch's own kernels, one by one.
    """

    precision: Precision = "auto"
    batch: int | None = None
    slots: int | None = None
    threads: int | None = None
    snapshot_seconds: float = 15.0
    snapshot_days: float = 3.0
    preview_seconds: float = 0.5
    memory_gib: float | None = None
    tile_pixels: int | None = None
    allow_hub: bool = False
    accelerate: Literal["full", "off"] = "full"
