"""The step engine as the scheduler sees it; torch is imported by its thread, at first use."""

import asyncio
import importlib.metadata
import importlib.util
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from engines.base import (
    EVERY_KIND,
    Capabilities,
    EngineName,
    Feature,
    Health,
    ModelInfo,
    Picture,
    Progress,
    Turn,
)
from engines.diffusers.devices import DEVICES, batch_size, guess_device
from engines.diffusers.digests import Digests
from engines.diffusers.furnishing import Furnishing
from engines.diffusers.hub import HUB_ID
from engines.diffusers.library import Library
from engines.diffusers.mailbox import Died, Drawn, Mailbox
from engines.diffusers.order import Order
from engines.diffusers.png import encode_png
from engines.diffusers.provenance import digests_of
from engines.diffusers.recipes import SAMPLERS
from engines.diffusers.settings import DiffusersSettings
from engines.diffusers.thread import DrawingThread
from engines.errors import EngineDownError
from engines.inputs import Inputs
from engines.outlast import outlast
from engines.prompts import without_tags
from engines.spec import GenerationSpec

if TYPE_CHECKING:
    from engines.diffusers.studio import Studio

_T = TypeVar("_T")
_NEEDS = ("torch", "diffusers", "transformers", "safetensors")
_FEATURES = frozenset(Feature) - {Feature.REATTACH}
_STEP_SECONDS = 3.0
"""How long a list of models waits for the step that is under way, or for a model being loaded."""


class DiffusersEngine:
    """Draws in this process, step by step.

    Made in one call, with a folder for its notes and one for input pictures:

        DiffusersEngine(
            name=EngineName("diffusers"), models_dir=None, data_dir=folder,
            inputs=Inputs(folder / "inputs"), device="cpu",
        )

    Without models folder it draws with the built-in model `mini`. Nothing happens before the
    first picture: then a thread starts, imports torch and owns it from there on.

    Args:
        name: The name under which requests ask for it.
        models_dir: Scanned for models; may be missing.
        data_dir: Snapshots, digests and the precision memory go here.
        inputs: Where init images, masks and control pictures are read from.
        device: `auto`, `cpu`, `mps`, `cuda` or `cuda:N`.
    """

    def __init__(
        self,
        *,
        name: EngineName,
        models_dir: Path | None,
        data_dir: Path,
        inputs: Inputs,
        device: str = "auto",
        settings: DiffusersSettings | None = None,
    ) -> None:
        self._name = name
        self._device = device
        self._settings = settings or DiffusersSettings()
        digests = Digests(memory=data_dir / "digests.json")
        self._library = Library(
            models_dir=models_dir, digests=digests, allow_hub=self._settings.allow_hub
        )
        self._furnishing = Furnishing(
            library=self._library,
            data_dir=data_dir,
            inputs=inputs,
            device=device,
            settings=self._settings,
        )
        self._thread: DrawingThread | None = None
        self._were_loaded: Sequence[str] = ()
        self._numbers = count()
        # One at a time: each download holds a thread of those that the whole service shares.
        self._fetching = asyncio.Lock()
        self._closed = False

    @property
    def name(self) -> EngineName:
        """The name under which requests ask for it."""
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        """What it can do, by the device that it will use."""
        batch = batch_size(DEVICES[guess_device(self._device)], self._settings)
        slots = self._settings.slots or batch * 2 + 1
        return Capabilities(
            "step",
            features=_FEATURES,
            batch=batch,
            slots=slots,
            lists=EVERY_KIND,
            fetches=HUB_ID if self._settings.allow_hub else "",
            prompt_loras=True,
            samplers=SAMPLERS,
        )

    async def generate(
        self, spec: GenerationSpec, turn: Turn
    ) -> AsyncGenerator[Progress | Picture]:
        """Draw: progress, then exactly one picture; closing ends it at the next step boundary.

        Raises:
            EngineError: the picture could not be drawn.
        """
        async for progress in self._fetched(spec):
            yield progress
        spec = without_tags(spec)
        order = Order(number=next(self._numbers), spec=spec, turn=turn, mailbox=Mailbox())
        thread = self._started()
        thread.submit(order)
        try:
            news = await order.mailbox.take()
            while isinstance(news, Progress):
                yield news
                news = await order.mailbox.take()
        finally:
            order.cancelled = True
            thread.wake()
            await outlast(asyncio.wrap_future(order.freed))
        if isinstance(news, Died):
            raise news.error
        yield await asyncio.to_thread(self._finish, spec, news)

    async def _fetched(self, spec: GenerationSpec) -> AsyncGenerator[Progress]:
        """Fetch what is not here of the models; it holds no turn, so others draw meanwhile."""
        names = (spec.model, spec.refiner.model) if spec.refiner else (spec.model,)
        for name in names if self._settings.allow_hub else ():
            if await asyncio.to_thread(self._library.lacks, name):
                yield Progress("loading", steps=spec.steps)
                async with self._fetching:
                    await asyncio.to_thread(self._library.fetch, name)

    async def models(self) -> Sequence[ModelInfo]:
        """List what lies in the models folder, broken files with their error."""
        shelf = await asyncio.to_thread(self._library.scan)
        loaded = await self._loaded()
        return [replace(one.info, loaded=one.info.name in loaded) for one in shelf]

    async def _loaded(self) -> Sequence[str]:
        """Name the loaded models; in the middle of a long step, those that were before it."""
        if self._thread is None or self._thread.ended:
            return ()
        with suppress(TimeoutError):
            async with asyncio.timeout(_STEP_SECONDS):
                self._were_loaded = await self.call(lambda studio: studio.loader.loaded)
        return self._were_loaded

    async def look_again(self) -> None:
        """Do nothing: the folder is looked through whenever the models are asked for."""

    async def probe(self) -> Health:
        """Ask whether it can draw; nothing is imported for that."""
        missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
        if missing:
            return Health(ok=False, detail=f"not installed: {', '.join(missing)}")
        version = importlib.metadata.version("diffusers")
        if self._closed:
            return Health(ok=False, version=version, detail="the engine is closed")
        return Health(ok=True, version=version, detail=guess_device(self._device))

    async def release_memory(self) -> None:
        """Let every model go; pictures that are parked keep their state and load it again."""
        thread = self._thread
        if thread is not None and not thread.ended:
            await self.call(lambda studio: studio.release())

    async def aclose(self) -> None:
        """End the thread; pictures that are being drawn fail, their snapshots stay."""
        self._closed = True
        if self._thread is not None:
            await asyncio.to_thread(self._thread.close)

    async def call(self, act: "Callable[[Studio], _T]") -> _T:
        """Let the drawing thread do something between two steps, as benches do.

        Raises:
            EngineDownError: the engine is closed.
        """
        return await asyncio.wrap_future(self._started().call(act))

    def _started(self) -> DrawingThread:
        if self._closed:
            raise EngineDownError("the engine is closed")
        if self._thread is None or self._thread.ended:
            self._thread = DrawingThread(name=f"engine-{self._name}", furnishing=self._furnishing)
            self._thread.start()
        return self._thread

    def _finish(self, spec: GenerationSpec, drawn: Drawn) -> Picture:
        """Encode the picture and count what its facts still lack; runs beside the loop."""
        height, width = drawn.pixels.shape[:2]
        digests, more = digests_of(spec, drawn, self._library)
        return Picture(
            png=encode_png(drawn.pixels),
            width=width,
            height=height,
            seed=spec.seed,
            facts={**drawn.facts, **digests},
            shortfalls=(*drawn.shortfalls, *more),
        )
