"""InvokeAI on trial, on a fake server with the manners of the real one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from engines.base import EngineName
from engines.inputs import Inputs
from engines.invokeai.engine import InvokeAiEngine
from engines.patience import ServerPatience
from tests.contract.engines import SPEC as SMALL
from tests.contract.engines import Bench, Trouble
from tests.fakes.invokeai import FakeInvokeAi
from tests.fakes.invokeai_answers import record
from tests.fakes.stage import Flaw

SPEC = replace(SMALL, steps=3)
QUICK = ServerPatience(poll_seconds=0.02, lost_seconds=0.2, stall_seconds=60.0, stop_seconds=60.0)


def engine_on(
    server: FakeInvokeAi,
    folder: Path,
    patience: ServerPatience = QUICK,
    **more: Any,  # noqa: ANN401 - what an engine may be told
) -> InvokeAiEngine:
    """Return an engine that talks to the server."""
    return InvokeAiEngine(
        name=EngineName("invokeai"),
        base_url=server.url,
        inputs=Inputs(folder),
        patience=patience,
        **more,
    )


@asynccontextmanager
async def make(folder: Path) -> AsyncIterator[Bench]:
    """Draw cards on a server with one model of each family."""
    server = FakeInvokeAi()
    inks = record("ink", "lora"), record("ink", "lora", "sdxl")
    server.install(record("tiny"), record("big", base="sdxl"), *inks)
    await server.start()

    async def provoke(code: str) -> Trouble:
        server.stage.error = code if code == "out_of_memory" else ""
        match code:
            case "model_not_found":
                return Trouble(spec=replace(SPEC, model="absent"), words="tiny")
            case "out_of_memory":
                return Trouble(spec=SPEC, words="CUDA out of memory")
            case "invalid_spec":
                return Trouble(spec=replace(SPEC, cfg=0.5), words="must be greater than 1")
            case "engine_down":
                server.queue.crashes = True
                return Trouble(spec=SPEC, words="canceled")
            case "engine_timeout":
                server.stage.error = "hang"
                hasty = engine_on(server, folder, replace(QUICK, stall_seconds=0.1))
                return Trouble(spec=SPEC, words="in_progress", engine=hasty)
            case "bad_picture":
                server.stage.spoil(Flaw.FLAT)
                return Trouble(spec=SPEC, words="flat")
            case _:
                raise ValueError(code)

    engine = engine_on(server, folder)
    yield Bench(
        engine=engine,
        spec=SPEC,
        provoke=provoke,
        busy=lambda: server.stage.busy,
        restarted=lambda: engine_on(server, folder),
        server=server,
        unhonoured={
            "clip_skip": replace(SPEC, model="big", clip_skip=1),
            "prompt": replace(SPEC, prompt="[night:day:0.5]"),
        },
    )
    await engine.aclose()
    await server.stop()
