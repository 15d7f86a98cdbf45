"""Draws on an InvokeAI server."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

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
from engines.errors import BadPictureError, EngineError, EngineProtocolError, InvalidSpecError
from engines.http import ANSWER_SECONDS, NotSentError, Server
from engines.inputs import Inputs
from engines.invokeai.client import Client
from engines.invokeai.feed import Socket
from engines.invokeai.order import REFINES, Order, settle
from engines.invokeai.parts import RESAMPLERS, Plan
from engines.invokeai.recipe import plan
from engines.invokeai.records import describe_all
from engines.invokeai.samplers import samplers_of
from engines.invokeai.schema import Schema, needs, needs_of, read_schema
from engines.invokeai.uploads import filled
from engines.invokeai.work import PATIENCE, Work
from engines.outlast import outlast
from engines.patience import ServerPatience
from engines.spec import GenerationSpec
from engines.turns import stepping
from engines.verify import verify

_log = logging.getLogger(__name__)

_ALWAYS = frozenset({Feature.PREVIEWS, Feature.REATTACH})
_OLDEST = (6, 0)
_IDLE_SECONDS = 60.0


class InvokeAiEngine:
    """An InvokeAI server, from release 6.0 on; draws SD 1.5, SD 2 and SDXL, one at a time.

    `token`, or e-mail and password as `credentials`, are for a multi-user server. `board` is the
    id or the name of the board that pictures are put on.
    """

    def __init__(
        self,
        *,
        name: EngineName,
        base_url: str,
        inputs: Inputs,
        token: str | None = None,
        credentials: tuple[str, str] | None = None,
        queue_id: str = "default",
        board: str | None = None,
        answer_seconds: float = ANSWER_SECONDS,
        patience: ServerPatience = PATIENCE,
        socket_seconds: float = 2.0,
    ) -> None:
        self.name = name
        self.capabilities = Capabilities(
            preemption="job",
            features=frozenset(needs_of()) | _ALWAYS,
            lists=EVERY_KIND,
            resamplers=RESAMPLERS,
            prompt_loras=True,
            refines=REFINES,
        )
        self._inputs = inputs
        self._board = board
        self._board_id: str | None = None
        self._patience = patience
        self._socket_seconds = socket_seconds
        self._version = ""
        self._schema: Schema | None = None
        self._client = Client(
            server=Server(base_url=base_url, answer_seconds=answer_seconds),
            queue_id=queue_id,
            token=token,
            credentials=credentials,
        )

    async def generate(
        self, spec: GenerationSpec, turn: Turn
    ) -> AsyncGenerator[Progress | Picture]:
        """Draw; the turn is held from the submission until the server's worker is done."""
        work = Work(client=self._client, turn=turn, owner=self.name, patience=self._patience)
        try:
            order = await self._settle(spec, work)
            graph = plan(spec, order.parts, name=turn.picture_id)
            self._require(graph)
            async with stepping(turn), aclosing(work.draw(graph, self._socket())) as updates:
                async for progress in updates:
                    yield progress
        except (GeneratorExit, asyncio.CancelledError):
            await outlast(work.stop())  # what an earlier run of ours left on the server, too
            raise
        png = await self._fetch(work, graph)
        yield self._picture(png, spec, graph, order)

    async def models(self) -> Sequence[ModelInfo]:
        """List the checkpoints, adapters, ControlNets, VAEs and upscalers that it has."""
        return describe_all(await self._client.records())

    async def look_again(self) -> None:
        """Do nothing: it knows of a file as soon as that is installed."""

    async def probe(self) -> Health:
        """Ask for its version, and compare its nodes with what we send when that is new."""
        try:
            schema = await self._described()
        except EngineError as error:
            return Health(ok=False, version=self._version, detail=f"{error.code}: {error}")
        missing = ", ".join(schema.missing(needs()))
        detail = f"its nodes lack {missing}" if missing else ""
        return Health(ok=not missing, version=self._version, detail=detail)

    async def release_memory(self) -> None:
        """Drop its models; somebody else's picture that it is at is waited for a minute.

        A server that is down holds nothing, and counts as done.
        """
        try:
            was = await self._client.queue()
        except NotSentError:
            return
        try:
            await self._client.pause(paused=True)
            await self._idle()
            await self._client.empty_cache()
        finally:  # it may rest, too, where the answer to that did not come
            if was.started:
                await outlast(self._client.pause(paused=False))

    async def aclose(self) -> None:
        """Hang up; may be called twice."""
        await self._client.aclose()

    async def _described(self) -> Schema:
        """Return what its nodes are; they are read anew when its version is another."""
        version = await self._client.version()
        if _release(version) < _OLDEST:
            raise EngineProtocolError(f"InvokeAI {version} is older than 6.0")
        if self._schema is None or version != self._version:
            self._schema = read_schema(await self._client.openapi())
            self._version = version
            able = (f for f, used in needs_of().items() if not self._schema.missing(used))
            self.capabilities = replace(
                self.capabilities,
                features=_ALWAYS.union(able),
                samplers=samplers_of(self._schema.schedulers),
            )
        return self._schema

    async def _settle(self, spec: GenerationSpec, work: Work) -> Order:
        """Find the spec's models, and upload its pictures unless the work is found again."""
        schema = await self._described()
        if self._board is not None and self._board_id is None:
            self._board_id = await self._client.board(self._board)
        records = await self._client.records()
        order = settle(spec, records, schema.schedulers, board=self._board_id)
        if await work.find():
            return replace(order, parts=await filled(spec, order.parts))
        parts = await filled(spec, order.parts, client=self._client, inputs=self._inputs)
        return replace(order, parts=parts)

    def _require(self, graph: Plan) -> None:
        """Refuse a graph of which the server would ignore a part in silence."""
        if self._schema is not None and (missing := self._schema.missing(graph.fields)):
            raise InvalidSpecError(f"InvokeAI {self._version} lacks {', '.join(missing)}")

    def _socket(self) -> Socket:
        return Socket(
            base_url=self._client.base_url,
            queue_id=self._client.queue_id,
            token=self._client.token,
            open_seconds=self._socket_seconds,
            retry_seconds=min(1.0, self._patience.poll_seconds),
        )

    async def _fetch(self, work: Work, graph: Plan) -> bytes:
        try:
            png = await work.picture(graph)
            width, height = graph.size
            return await asyncio.to_thread(verify, png, width=width, height=height)
        except (BadPictureError, EngineProtocolError):
            await work.forget()
            raise

    def _picture(self, png: bytes, spec: GenerationSpec, graph: Plan, order: Order) -> Picture:
        parts = order.parts
        return Picture(
            png=png,
            width=graph.size[0],
            height=graph.size[1],
            seed=spec.seed,
            facts={
                "engine_version": self._version,
                "model": parts.model.name,
                "model_hash": parts.model.hash,
                "model_base": parts.model.base,
                "sampler": parts.scheduler,
                "prompt": parts.positive,
                "negative_prompt": parts.negative,
                "vae": parts.vae.name if parts.vae else "",
                "vae_precision": "fp32" if parts.fp32 else "fp16",
                "noise": "cpu",
                "loras": [
                    {"name": record.name, "hash": record.hash, "weight": weight}
                    for record, weight in parts.loras
                ],
                "controls": [{"name": r.name, "hash": r.hash} for r in parts.controls],
            },
            shortfalls=order.shortfalls,
        )

    async def _idle(self) -> None:
        """Wait until the worker is at nothing, for a while."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _IDLE_SECONDS
        while (await self._client.queue()).processing:
            if loop.time() > deadline:
                _log.warning("%s is still drawing: what it draws with stays", self.name)
                return
            await asyncio.sleep(min(0.2, self._patience.poll_seconds))


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
