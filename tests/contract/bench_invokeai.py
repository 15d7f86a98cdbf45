"""InvokeAI on trial, on a fake server with the manners of the real one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from engines.base import EngineName
from engines.inputs import Inputs
from engines.invokeai.engine import InvokeAiEngine
from engines.patience import ServerPatience
from engines.spec import GenerationSpec
from tests.contract.engines import Bench, Trouble
from tests.fakes.invokeai import FakeInvokeAi
from tests.fakes.invokeai_answers import record
from tests.fakes.stage import Flaw

NAME = EngineName("invokeai")
QUICK = ServerPatience(poll_seconds=0.02, lost_seconds=0.2, stall_seconds=60.0, stop_seconds=60.0)

SPEC = GenerationSpec(
    prompt="a lighthouse",
    model="tiny",
    width=64,
    height=48,
    steps=6,
    cfg=7.0,
    seed=41,
    sampler="euler",
)


@asynccontextmanager
async def make(folder: Path) -> AsyncIterator[Bench]:
    """Draw cards on a server with one model of each family."""
    server = FakeInvokeAi()
    server.install(record("tiny"), record("big", base="sdxl"))
    await server.start()

    def engine(patience: ServerPatience = QUICK) -> InvokeAiEngine:
        inputs = Inputs(folder)
        return InvokeAiEngine(name=NAME, base_url=server.url, inputs=inputs, patience=patience)

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
                hasty = engine(replace(QUICK, stall_seconds=0.1))
                return Trouble(spec=SPEC, words="in_progress", engine=hasty)
            case "bad_picture":
                server.stage.spoil(Flaw.FLAT)
                return Trouble(spec=SPEC, words="flat")
            case _:
                raise ValueError(code)

    drawing = engine()
    yield Bench(
        engine=drawing,
        spec=SPEC,
        provoke=provoke,
        busy=lambda: server.stage.busy,
        restarted=engine,
        server=server,
        unhonoured={
            "clip_skip": replace(SPEC, model="big", clip_skip=1),
            "prompt": replace(SPEC, prompt="[night:day:0.5]"),
        },
    )
    await drawing.aclose()
    await server.stop()
