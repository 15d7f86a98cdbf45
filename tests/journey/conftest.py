"""Services for the journeys."""

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.contract.rgw import Gateway
from tests.journey.running import Client, Service, client_of


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Settings of either image store."""
    if request.param == "folder":
        yield {}
        return
    server: Gateway = request.getfixturevalue("gateway")
    server.revive()
    yield {
        "S3_ENDPOINT_URL": server.url,
        "S3_ACCESS_KEY": server.access_key,
        "S3_SECRET_KEY": server.secret_key,
        "S3_BUCKET": f"kitty-{uuid.uuid4().hex[:12]}",
    }
    server.revive()


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """A service on the folder store."""
    async with Service(tmp_path) as running:
        yield running


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    """A client of that service."""
    async with client_of(service) as one:
        yield one
