"""A1111 on trial."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from engines.a1111 import A1111Engine
from engines.base import EngineName
from engines.inputs import Inputs
from engines.patience import ServerPatience
from engines.spec import Tiling
from tests.contract.engines import SPEC as SMALL
from tests.contract.engines import Bench, Trouble
from tests.fakes.a1111 import FakeA1111
from tests.fakes.stage import Flaw

SPEC = replace(SMALL, sampler="dpmpp_2m_karras")
UNHONOURED = {
    "width": replace(SPEC, width=65),
    "height": replace(SPEC, height=50),
    "tiling": replace(SPEC, tiling=Tiling.X),
    "prompt": replace(SPEC, prompt="a lighthouse <lora:nowhere:1>"),
}


def engine_on(
    server: FakeA1111,
    folder: Path,
    *,
    stall_seconds: float = 60.0,
    stop_seconds: float = 60.0,
    auth: tuple[str, str] | None = None,
) -> A1111Engine:
    """Return an engine that looks often and gives up late."""
    return A1111Engine(
        name=EngineName("a1111"),
        base_url=server.url,
        inputs=Inputs(folder),
        auth=auth,
        patience=ServerPatience(
            poll_seconds=0.005, stall_seconds=stall_seconds, stop_seconds=stop_seconds
        ),
    )


@asynccontextmanager
async def make(folder: Path) -> AsyncIterator[Bench]:
    """Draw on a fake of the real server."""
    async with FakeA1111().running() as server:
        engine = engine_on(server, folder)

        async def provoke(code: str) -> Trouble:
            match code:
                case "model_not_found":
                    return Trouble(spec=replace(SPEC, model="gone"), words="no checkpoint 'gone'")
                case "out_of_memory":
                    server.stage.error = code
                    return Trouble(spec=SPEC, words="CUDA out of memory")
                case "invalid_spec":
                    return Trouble(spec=replace(SPEC, sampler="nope"), words="no sampler 'nope'")
                case "engine_down":
                    await server.stop()
                    return Trouble(spec=SPEC, words="Cannot connect")
                case "engine_timeout":
                    server.stage.hold()
                    hasty = engine_on(server, folder, stall_seconds=0.05)
                    return Trouble(spec=SPEC, words="no step for 0.05 seconds", engine=hasty)
                case _:
                    server.stage.spoil(Flaw.FLAT)
                    return Trouble(spec=SPEC, words="one flat colour")

        yield Bench(
            engine=engine,
            spec=SPEC,
            provoke=provoke,
            busy=lambda: server.stage.busy,
            restarted=lambda: engine_on(server, folder),
            server=server,
            unhonoured=UNHONOURED,
        )
        await engine.aclose()
