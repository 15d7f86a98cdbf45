"""Somebody else who draws on the same server."""

import asyncio
from typing import Any

import pytest

from tests.fakes.a1111 import FakeA1111

USERS = {
    "prompt": "somebody else's",
    "steps": 3,
    "seed": 5,
    "width": 64,
    "height": 64,
    "sampler_name": "Euler",
    "cfg_scale": 7,
    "override_settings": {},
    "force_task_id": "task(users)",
}


async def users_drawing(server: FakeA1111) -> "asyncio.Task[Any]":
    """Have somebody else draw on the web page, and hold that drawing."""

    class Unheard:
        done = False

        def now(self) -> None:
            pytest.fail("nobody listens")

    server.stage.hold()
    task = asyncio.create_task(server.webui.draw(dict(USERS), Unheard()))  # type: ignore[arg-type]
    await server.stage.drawing()
    return task
