"""A fake server, and an engine on it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engines.comfyui.engine import ComfyUiEngine
from tests.contract.bench_comfyui import engine_on
from tests.fakes.comfyui import FakeComfyUi, Manners, fake_comfyui


@pytest.fixture
async def server(request: pytest.FixtureRequest) -> AsyncIterator[FakeComfyUi]:
    newer = getattr(request, "param", "newer") == "newer"
    async with fake_comfyui(Manners(newer=newer)) as server:
        yield server


@pytest.fixture
async def engine(server: FakeComfyUi, tmp_path: Path) -> AsyncIterator[ComfyUiEngine]:
    engine = engine_on(server, tmp_path)
    yield engine
    await engine.aclose()
