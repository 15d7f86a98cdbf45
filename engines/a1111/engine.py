"""A1111 and Forge as an engine: one picture at a time, each in one to three blocking calls."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from engines.a1111.cards import model_cards
from engines.a1111.client import Client
from engines.a1111.drawing import Drawing
from engines.a1111.flight import PATIENCE, Tower
from engines.a1111.methods import samplers_of
from engines.a1111.payloads import Plan, plan
from engines.a1111.stock import Stock
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
from engines.errors import EngineError, EngineTimeoutError, ModelNotFoundError
from engines.http import ANSWER_SECONDS, Server
from engines.inputs import Inputs
from engines.patience import ServerPatience
from engines.spec import GenerationSpec
from engines.turns import stepping

_FEATURES: Final = frozenset(Feature) - {Feature.REATTACH, Feature.RESUME}
_MOST_CALLS: Final = 2  # that have a name: draw, draw again


class A1111Engine:
    """Draws on one server, of which it never has more than one call in flight.

    The server forgets a picture whose answer was lost: nothing can be reattached. What a ticket
    names is waited for or stopped before the picture is drawn anew.
    """

    def __init__(
        self,
        *,
        name: EngineName,
        base_url: str,
        inputs: Inputs,
        auth: tuple[str, str] | None = None,
        answer_seconds: float = ANSWER_SECONDS,
        patience: ServerPatience = PATIENCE,
    ) -> None:
        self.name = name
        self._inputs = inputs
        self._server = Server(base_url=base_url, auth=auth, answer_seconds=answer_seconds)
        self._client = Client(self._server)
        self._tower = Tower(self._client, patience)
        self._lock = asyncio.Lock()
        self._stock: Stock | None = None
        self._version = ""
        self._unloaded = True  # we, before a restart of ours, may have taken it off the GPU

    @property
    def capabilities(self) -> Capabilities:
        """What it can do; until the server has been asked, it is taken to have every extension."""
        features, stock = set(_FEATURES), self._stock
        if stock is not None:
            features -= {Feature.LORA} if stock.loras is None else set()
            features -= set() if stock.controlnets else {Feature.CONTROL}
            features -= set() if stock.tasks else {Feature.PREVIEWS}
        modes = stock.latent_modes if stock is not None else ()
        return Capabilities(
            preemption="job",
            features=frozenset(features),
            lists=EVERY_KIND,
            resamplers=frozenset({"lanczos", *modes, *(mode.casefold() for mode in modes)}),
            samplers=None if stock is None else samplers_of(stock),
        )

    async def generate(
        self, spec: GenerationSpec, turn: Turn
    ) -> AsyncGenerator[Progress | Picture]:
        """Draw one picture; see `engines.base.Engine`."""
        planned = await self._plan(spec)
        async with stepping(turn), self._lock:
            await self._tower.settle(self._tasks(turn.ticket or ""))
            if self._unloaded:
                await self._client.reload()
            self._unloaded = True  # until a drawing has shown that the model is where it belongs
            ticket = f"{self.name}:{turn.picture_id}-{secrets.token_hex(4)}"
            await turn.keep_ticket(ticket)
            drawing = Drawing(self._client, self._tower, planned, self._tasks(ticket), spec.seed)
            async with aclosing(drawing.updates()) as updates:
                async for progress in updates:
                    yield progress
            self._unloaded = False
        yield drawing.picture(self._version)

    async def models(self) -> Sequence[ModelInfo]:
        """List checkpoints, adapters, ControlNets, VAEs and upscalers."""
        return model_cards(await self._restock())

    async def look_again(self) -> None:
        """Have the server look for new files, unless it draws: then it would wait until the end."""
        if self._lock.locked() or (await self._client.state()).busy:
            raise EngineTimeoutError("it draws, and looks for new files only when it does not")
        async with self._lock:
            await self._client.refresh()

    async def probe(self) -> Health:
        """Ask for the state of the server, and for all that it has when that is not known."""
        try:
            await self._client.state()
            stock = self._stock or await self._restock()
            self._version = self._version or await self._client.version()
        except EngineError as error:
            self._stock = None  # it may come back with other extensions
            return Health(ok=False, detail=error.detail)
        if stock.tasks:
            return Health(ok=True, version=self._version)
        detail = "started with --nowebui: cancelled drawings run to their end"
        return Health(ok=True, version=self._version, detail=detail)

    async def release_memory(self) -> None:
        """Move the model to the CPU's memory as soon as the server draws nothing for anybody."""
        async with self._lock:
            await self._tower.idle()
            self._unloaded = True
            await self._client.unload()

    async def aclose(self) -> None:
        """Hang up; may be called twice."""
        await self._server.aclose()

    async def _plan(self, spec: GenerationSpec) -> Plan:
        """Translate the spec; ask for new files before saying that one is not there.

        Raises:
            EngineError: the server cannot draw it, or could not be asked.
        """
        stock = self._stock or await self._restock()
        try:
            return await asyncio.to_thread(plan, spec, stock, self._inputs.read)
        except ModelNotFoundError:
            async with self._lock:  # it would wait for what the server draws for us
                await self._client.refresh()
            return await asyncio.to_thread(plan, spec, await self._restock(), self._inputs.read)

    async def _restock(self) -> Stock:
        stock = await self._client.stock()
        self._stock, self._tower.tasks = stock, stock.tasks
        return stock

    def _tasks(self, ticket: str) -> Sequence[str]:
        """Return the names that the server knows a ticket's calls by; none if it is not ours."""
        name = ticket.removeprefix(f"{self.name}:")
        if name == ticket:
            return ()
        return [f"task({name}-{number})" for number in range(_MOST_CALLS)]
