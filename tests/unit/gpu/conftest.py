"""A proxy in front of a server that a test directs."""

from collections.abc import AsyncIterator

import pytest

from service.llm.proxy import ProxyLimits
from tests.unit.gpu.proxied import Rig


@pytest.fixture
def limits() -> ProxyLimits:
    return ProxyLimits()


@pytest.fixture
async def rig(limits: ProxyLimits) -> AsyncIterator[Rig]:
    one = Rig(limits)
    await one.start()
    yield one
    await one.close()
