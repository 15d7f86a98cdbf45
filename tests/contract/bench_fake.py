"""The engine without a network on trial."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from engines.fake import FakeEngine
from tests.contract.engines import SPEC as SMALL
from tests.contract.engines import Bench, Trouble

SPEC = replace(SMALL, model="test-card")


@asynccontextmanager
async def make(folder: Path) -> AsyncIterator[Bench]:
    """Draw cards in steps of no length to speak of."""
    del folder
    engine = FakeEngine(step_seconds=1e-4)

    async def provoke(code: str) -> Trouble:
        spec = replace(SPEC, prompt=f"[fail {code} after 2]")
        return Trouble(spec=spec, words="as the prompt asked")

    # it draws inside its generator: nothing can go on when nobody pulls
    yield Bench(engine=engine, spec=SPEC, provoke=provoke, busy=lambda: False)
    await engine.aclose()
