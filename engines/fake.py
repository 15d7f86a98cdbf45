"""An engine without a network: it draws test cards, at any speed, and fails on request.

It takes everybody's part in tests, benches and demonstrations. A prompt that contains
`[fail CODE]` fails with that code (see `engines.errors`), `[fail bug]` with an unexpected
exception and `[fail hang]` never ends; `[fail CODE after N]` does so after N steps, and
`[fail CODE once]` only at the first attempt.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from typing import Literal

from engines.base import (
    Capabilities,
    EngineName,
    Feature,
    Health,
    ModelDefaults,
    ModelInfo,
    Picture,
    Progress,
    Turn,
)
from engines.card import test_card
from engines.errors import (
    BadPictureError,
    EngineDownError,
    EngineError,
    EngineProtocolError,
    EngineTimeoutError,
    InvalidSpecError,
    ModelNotFoundError,
    OutOfMemoryError,
)
from engines.spec import GenerationSpec
from engines.turns import stepping

_FAILURES: dict[str, type[EngineError]] = {
    failure.code: failure
    for failure in (
        BadPictureError,
        EngineDownError,
        EngineProtocolError,
        EngineTimeoutError,
        InvalidSpecError,
        ModelNotFoundError,
        OutOfMemoryError,
    )
}
_WISH = re.compile(r"\[fail (?P<code>\w+)(?: after (?P<after>\d+))?(?P<once> once)?\]")

NAME = EngineName("fake")

MODEL = ModelInfo(
    name="test-card",
    defaults=ModelDefaults(width=512, height=512, steps=20, cfg=7.0, sampler="euler"),
)


class FakeEngine:
    """Draws test cards, one step every `step_seconds`."""

    def __init__(
        self,
        *,
        name: EngineName = NAME,
        step_seconds: float = 0.0,
        preemption: Literal["step", "job"] = "step",
        batch: int = 8,
        slots: int = 16,
    ) -> None:
        self.name = name
        self.capabilities = Capabilities(
            preemption=preemption,
            features=frozenset(Feature) - {Feature.REATTACH, Feature.RESUME, Feature.PREVIEWS},
            batch=batch,
            slots=slots,
        )
        self.drawn = 0
        self.released = 0
        self._step_seconds = step_seconds
        self._failed: set[str] = set()

    async def generate(
        self, spec: GenerationSpec, turn: Turn
    ) -> AsyncGenerator[Progress | Picture]:
        """Draw a card in `spec.steps` steps; a `job` engine holds its turn throughout."""
        wish = self._wish(spec, turn)
        async with AsyncExitStack() as whole:
            if self.capabilities.preemption == "job":
                await whole.enter_async_context(stepping(turn))
            for step in range(spec.steps):
                if wish and step == int(wish["after"] or 0):
                    await self._fail(wish["code"])
                if self._step_seconds:
                    await self._step(turn)
                    yield Progress("drawing", step + 1, spec.steps)
            if wish:
                await self._fail(wish["code"])
        if not self._step_seconds:
            await self._step(turn)
            yield Progress("drawing", spec.steps, spec.steps)
        yield self._card(spec)

    async def models(self) -> Sequence[ModelInfo]:
        """List the one thing it can draw."""
        return (MODEL,)

    async def look_again(self) -> None:
        """Do nothing: there is nothing new."""

    async def probe(self) -> Health:
        """Say that all is well."""
        return Health(ok=True, version="1")

    async def release_memory(self) -> None:
        """Count the call; there is no memory to release."""
        self.released += 1

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""

    def _wish(self, spec: GenerationSpec, turn: Turn) -> re.Match[str] | None:
        """Find what the prompt asks to go wrong this time."""
        wish = _WISH.search(spec.prompt)
        if wish and wish["once"]:
            if turn.picture_id in self._failed:
                return None
            self._failed.add(turn.picture_id)
        return wish

    async def _step(self, turn: Turn) -> None:
        """Take one step; a `job` engine has its turn already."""
        if self.capabilities.preemption == "job":
            await asyncio.sleep(self._step_seconds)
            return
        async with stepping(turn):
            if self._step_seconds:
                await asyncio.sleep(self._step_seconds)

    async def _fail(self, code: str) -> None:
        """Fail in the way that was asked for."""
        if code == "hang":
            await asyncio.Event().wait()
        if code in _FAILURES:
            raise _FAILURES[code]("as the prompt asked")
        raise RuntimeError("a bug, as the prompt asked")

    def _card(self, spec: GenerationSpec) -> Picture:
        """Return the finished card."""
        width, height = spec.output_size
        self.drawn += 1
        return Picture(
            png=test_card(width=width, height=height, seed=spec.seed),
            width=width,
            height=height,
            seed=spec.seed,
            facts={"engine_version": "1"},
        )
