"""A fake server with a model of each family, an engine on it, and a folder for pictures."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engines.inputs import Inputs
from engines.invokeai.engine import InvokeAiEngine
from tests.contract.bench_invokeai import engine_on
from tests.fakes.invokeai import FakeInvokeAi
from tests.fakes.invokeai_answers import record


@pytest.fixture
async def server() -> AsyncIterator[FakeInvokeAi]:
    server = FakeInvokeAi()
    server.install(record("tiny"), record("big", base="sdxl"))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    return Inputs(tmp_path)


@pytest.fixture
async def engine(server: FakeInvokeAi, tmp_path: Path) -> AsyncIterator[InvokeAiEngine]:
    engine = engine_on(server, tmp_path)
    yield engine
    await engine.aclose()
