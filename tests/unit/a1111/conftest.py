"""A fake server in whatever mode, and an engine on it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from engines.a1111 import A1111Engine
from tests.contract.bench_a1111 import engine_on
from tests.fakes.a1111 import FakeA1111

Start = Callable[..., Any]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start a server in some mode, and an engine on it."""
    async with AsyncExitStack() as stack:

        async def start(
            *, password: tuple[str, str] | None = None, **mode: bool | tuple[str, str]
        ) -> tuple[FakeA1111, A1111Engine]:
            server = await stack.enter_async_context(FakeA1111(**mode).running())  # type: ignore[arg-type]
            engine = engine_on(server, tmp_path, auth=password)
            stack.push_async_callback(engine.aclose)
            return server, engine

        yield start
