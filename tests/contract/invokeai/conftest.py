"""A real InvokeAI, an engine on it, and a client of it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from engines.http import Server
from engines.inputs import Inputs
from engines.invokeai.client import Client
from engines.invokeai.engine import InvokeAiEngine
from tests.contract.invokeai.pictures import engine_on
from tests.contract.invokeai.server import RealInvokeAi


@pytest.fixture(scope="module")
def invokeai(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealInvokeAi]:
    server = RealInvokeAi(tmp_path_factory.mktemp("invokeai"))
    try:
        server.start()
        server.install()
        yield server
    finally:
        server.kill()


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    return Inputs(tmp_path)


@pytest.fixture
async def engine(invokeai: RealInvokeAi, inputs: Inputs) -> AsyncIterator[InvokeAiEngine]:
    engine = engine_on(invokeai, inputs)
    yield engine
    await engine.aclose()


@pytest.fixture(scope="module")
def drawn() -> dict[str, bytes]:
    """Return the pixels that each wish gave, to be filled."""
    return {}


@pytest.fixture
async def client(invokeai: RealInvokeAi) -> AsyncIterator[Client]:
    client = Client(server=Server(base_url=invokeai.url))
    yield client
    await client.aclose()
