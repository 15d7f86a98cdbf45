"""All that the drawing thread draws with, opened in that thread."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import cast

import torch

from engines.diffusers.adapters import wear
from engines.diffusers.batches import Batches
from engines.diffusers.checkpoint import Checkpoint
from engines.diffusers.devices import DEVICES, DeviceKind, DeviceRules, accelerated, batch_size
from engines.diffusers.encoding import PromptCache
from engines.diffusers.furnishing import Furnishing
from engines.diffusers.graphs import CudaRecorder
from engines.diffusers.guiding import Guides
from engines.diffusers.library import Library, Shelved
from engines.diffusers.loader import Loader, empty_cache
from engines.diffusers.meter import meter_of
from engines.diffusers.plan import Worn
from engines.diffusers.precision import Ladder, Rung
from engines.diffusers.preview import Previews
from engines.diffusers.replay import Replays
from engines.diffusers.settings import DiffusersSettings
from engines.diffusers.snapshot import Snapshots
from engines.diffusers.stepper import Network, PlainNetwork
from engines.diffusers.upscaling import Upscalers
from engines.errors import EngineDownError
from engines.inputs import Inputs
from engines.spec import Tiling


@dataclass(frozen=True, slots=True)
class Studio:
    """The thread's tools; only that thread may use them."""

    library: Library
    loader: Loader
    ladder: Ladder
    inputs: Inputs
    device: torch.device
    rules: DeviceRules
    settings: DiffusersSettings
    device_name: str
    batches: Batches
    snapshots: Snapshots
    guides: Guides
    upscalers: Upscalers
    previews: Previews
    prompts: PromptCache = field(default_factory=PromptCache)
    network: Network = field(default_factory=PlainNetwork)
    clock: Callable[[], float] = time.monotonic

    @property
    def tile_pixels(self) -> int:
        """Pictures above this size are decoded in tiles."""
        return self.settings.tile_pixels or self.rules.tile_pixels

    def dressed(
        self,
        model: Shelved,
        rung: Rung | None = None,
        *,
        loras: tuple[Worn, ...],
        tiling: Tiling,
    ) -> Checkpoint:
        """Return a loaded model with exactly these LoRAs and seams; `rung` as the loader has it.

        Raises:
            InvalidSpecError: the model or a LoRA cannot be used.
        """
        checkpoint = self.loader.get(model, rung)
        wear(checkpoint, loras)
        checkpoint.seams.set(tiling)
        return checkpoint

    @property
    def held(self) -> int:
        """Bytes that all loaded weights take, small decoders for previews aside."""
        return self.loader.held + self.guides.held + self.upscalers.held

    def makes_room(self, model: Shelved, rung: Rung) -> bool:
        """Let go what a picture of this model does not need; False when there is nothing."""
        held = self.held
        self.upscalers.release()
        self.loader.keep_only(model, rung)
        empty_cache(self.device)
        return self.held < held

    def release(self) -> None:
        """Give all memory on the device back; what is being drawn keeps its state."""
        self.prompts.clear()
        self.guides.release()
        self.upscalers.release()
        self.previews.release()
        self.loader.release()


@contextmanager
def open_studio(furnishing: Furnishing) -> Iterator[Studio]:
    """Open the device; call it in the thread that will draw.

    Raises:
        EngineDownError: the device is not there.
    """
    settings = furnishing.settings
    place = claim_device(furnishing.device)
    rules = DEVICES[cast("DeviceKind", place.type)]
    start = rules.precision if settings.precision == "auto" else settings.precision
    if place.type == "cpu":
        torch.set_num_threads(settings.threads or 1)
    ladder = Ladder(start=start, memory=furnishing.data_dir / "precision.json")
    snapshots = Snapshots(
        folder=furnishing.data_dir / "snapshots", keep_days=settings.snapshot_days
    )
    snapshots.sweep()
    library = furnishing.library
    previews = Previews(library=library, device=place)
    with torch.inference_mode(), closing(snapshots), closing(previews):
        loader = Loader(
            library=library,
            ladder=ladder,
            device=place,
            rules=rules,
            memory_gib=settings.memory_gib or rules.memory_gib,
            quick=accelerated(rules, settings),
        )
        yield Studio(
            library=library,
            loader=loader,
            ladder=ladder,
            inputs=furnishing.inputs,
            device=place,
            device_name=device_name(place),
            rules=rules,
            settings=settings,
            batches=Batches(most=batch_size(rules, settings), meter=meter_of(place, rules)),
            snapshots=snapshots,
            guides=Guides(library=library, device=place),
            upscalers=Upscalers(library=library, device=place),
            previews=previews,
            network=_network(rules, settings),
        )
        loader.release()


def _network(rules: DeviceRules, settings: DiffusersSettings) -> Network:
    return Replays(recorder=CudaRecorder()) if accelerated(rules, settings) else PlainNetwork()


def claim_device(wanted: str) -> torch.device:
    """Return the device that was asked for, and make it the one that this thread's kernels run on.

    Raises:
        EngineDownError: it is not there.
    """
    place = find_device(wanted)
    if place.type == "cuda" and place.index is not None:
        torch.cuda.set_device(place)
    return place


def find_device(wanted: str) -> torch.device:
    """Return the device that was asked for, or the best one that there is.

    Raises:
        EngineDownError: it is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return torch.device(next((kind for kind, found in there.items() if found), "cpu"))
    place = torch.device(wanted)
    if not there.get(place.type, True):
        raise EngineDownError(f"the device {wanted} is not there")
    return place


def device_name(place: torch.device) -> str:
    """Return what people call the device."""
    return torch.cuda.get_device_name(place) if place.type == "cuda" else place.type
