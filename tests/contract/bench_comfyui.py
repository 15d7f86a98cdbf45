"""ComfyUI on trial, before a fake server."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from engines.base import EngineName
from engines.comfyui.engine import ComfyUiEngine
from engines.comfyui.prompt import Timing
from engines.inputs import Inputs
from engines.spec import Tiling
from tests.contract.engines import SPEC as SMALL
from tests.contract.engines import Bench, Trouble
from tests.fakes.comfyui import FakeComfyUi, Manners, fake_comfyui
from tests.fakes.stage import Flaw

SPEC = replace(SMALL, steps=4, sampler="dpmpp_2m_karras")
TIMING = Timing(
    poll_seconds=0.05,
    quick_seconds=0.005,
    reconnect_seconds=0.01,
    free_seconds=0.2,
)


def engine_on(
    server: FakeComfyUi,
    folder: Path,
    timing: Timing = TIMING,
    *,
    workflow: Path | None = None,
    workflows_dir: Path | None = None,
) -> ComfyUiEngine:
    """Return an engine that talks to the server."""
    return ComfyUiEngine(
        name=EngineName("comfyui"),
        base_url=server.url,
        inputs=Inputs(folder / "inputs"),
        workflow=workflow,
        workflows_dir=workflows_dir,
        timing=timing,
    )


def make(folder: Path) -> AbstractAsyncContextManager[Bench]:
    """Draw on a server of the newer kind."""
    return make_before(Manners(newer=True), folder)


@asynccontextmanager
async def make_before(manners: Manners, folder: Path) -> AsyncIterator[Bench]:
    """Draw on a server of these manners."""
    async with fake_comfyui(manners) as server:
        engine = engine_on(server, folder)

        async def provoke(code: str) -> Trouble:
            match code:
                case "model_not_found":
                    return Trouble(spec=replace(SPEC, model="absent"), words="sd/tiny.safetensors")
                case "out_of_memory":
                    server.stage.error = code
                    return Trouble(spec=SPEC, words="would exceed memory")
                case "invalid_spec":
                    return Trouble(spec=replace(SPEC, sampler="guesswork"), words="euler")
                case "engine_down":
                    await server.stop()
                    return Trouble(spec=SPEC, words=server.url)
                case "engine_timeout":
                    server.stage.hold()
                    hasty = engine_on(server, folder, replace(TIMING, stall_seconds=0.1))
                    return Trouble(spec=SPEC, words="running", engine=hasty)
                case _:
                    server.stage.spoil(Flaw.FLAT)
                    return Trouble(spec=SPEC, words="flat")

        yield Bench(
            engine=engine,
            spec=SPEC,
            provoke=provoke,
            busy=lambda: server.stage.busy,
            restarted=lambda: engine_on(server, folder),
            server=server,
            unhonoured={"tiling": replace(SPEC, tiling=Tiling.BOTH)},
        )
        await engine.aclose()
