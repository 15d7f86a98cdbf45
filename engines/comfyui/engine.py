"""ComfyUI as one of our engines: a picture is a prompt on a server that others may use, too."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Final

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
from engines.comfyui.canvas import IMAGE_METHODS
from engines.comfyui.catalogue import Catalogue
from engines.comfyui.client import Client
from engines.comfyui.drawing import Drawing
from engines.comfyui.prompt import Timing
from engines.comfyui.resolver import Resolver
from engines.comfyui.shelf import Shelf
from engines.errors import EngineError
from engines.http import ANSWER_SECONDS, CONNECT_SECONDS, Server
from engines.inputs import Inputs
from engines.spec import GenerationSpec
from engines.turns import stepping

_log = logging.getLogger(__name__)

_FEATURES: Final = frozenset(Feature) - {Feature.TILING, Feature.RESUME}
_NOTICEABLE_BYTES: Final = 2**20


class ComfyUiEngine:
    """Draws on a ComfyUI server, with our own workflows or with the user's."""

    def __init__(
        self,
        *,
        name: EngineName,
        base_url: str,
        inputs: Inputs,
        workflow: Path | None = None,
        workflows_dir: Path | None = None,
        timing: Timing | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self.name = name
        self.capabilities = Capabilities(
            preemption="job",
            features=_FEATURES,
            lists=EVERY_KIND,
            resamplers=IMAGE_METHODS,
            prompt_loras=True,
        )
        self._timing = timing or Timing()
        self._client = Client(
            server=Server(
                base_url=base_url, connect_seconds=connect_seconds, answer_seconds=answer_seconds
            )
        )
        self._shelf = Shelf(workflow=workflow, folder=workflows_dir)
        self._resolver = Resolver(client=self._client, inputs=inputs)
        self._catalogue = Catalogue(client=self._client)

    async def generate(
        self, spec: GenerationSpec, turn: Turn
    ) -> AsyncGenerator[Progress | Picture]:
        """Draw: see `Engine.generate`."""
        drawing = Drawing(
            spec=spec,
            turn=turn,
            client=self._client,
            resolver=self._resolver,
            shelf=self._shelf,
            timing=self._timing,
        )
        picture = None
        async with stepping(turn), aclosing(drawing.run()) as updates:
            async for update in updates:
                match update:
                    case Progress():
                        yield update
                    case Picture():
                        picture = update
        if picture is not None:
            yield picture

    async def models(self) -> Sequence[ModelInfo]:
        """List checkpoints, adapters and workflows; first what draws when nothing is named."""
        workflows = await asyncio.to_thread(self._shelf.models)
        files = await self._catalogue.models()
        samplers = await self._resolver.samplers()
        self.capabilities = replace(self.capabilities, samplers=samplers)
        if self._shelf.workflow:
            return [*workflows, *(replace(file, whole=True) for file in files)]
        return [*files, *workflows]

    async def look_again(self) -> None:
        """Do nothing: the server looks through its folders whenever it is asked."""

    async def probe(self) -> Health:
        """Ask for the server's version, and look whether the workflow for everything is sound."""
        version = ""
        try:
            version = str((await self._client.stats()).get("comfyui_version", "unknown"))
            self._client.renew()
            await asyncio.to_thread(self._shelf.template, "")
        except EngineError as error:
            return Health(ok=False, version=version, detail=str(error))
        return Health(ok=True, version=version)

    async def release_memory(self) -> None:
        """Unload all models, and watch the server's free memory grow before returning.

        The server answers at once and frees when its worker comes round to it. Nothing grows when
        nothing was loaded; then this returns after `free_seconds`.

        Raises:
            LostError: the server could not be asked.
        """
        before = last = await self._free_bytes()
        await self._client.free()
        deadline = asyncio.get_running_loop().time() + self._timing.free_seconds
        while asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(self._timing.quick_seconds)
            now = await self._free_bytes()
            if before + _NOTICEABLE_BYTES < now <= last + _NOTICEABLE_BYTES:
                return
            last = now
        _log.info("%s: no memory became free within %g s", self.name, self._timing.free_seconds)

    async def aclose(self) -> None:
        """Hang up; may be called twice."""
        await self._client.aclose()

    async def _free_bytes(self) -> int:
        devices = (await self._client.stats())["devices"]
        return sum(int(device.get("vram_free") or 0) for device in devices)
