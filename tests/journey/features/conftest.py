"""A service with tiny models of every kind, and the picture that every wish is compared with."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.journey.running import Client, Service, client_of
from tests.journey.shelf import Drawn, draw, know_models, make_shelf


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder that nobody changes."""
    return make_shelf(tmp_path_factory.mktemp("shelf"))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """The service with tiny models, which takes all above 256 x 256 pixels in tiles."""
    settings = {
        "IMAGE_ENGINE": "diffusers",
        "MODELS_DIR": str(shelf),
        "TILE_PIXELS": "65536",
        "PREVIEW_SECONDS": "0",
    }
    async with Service(tmp_path_factory.mktemp("features"), **settings) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(service: Service) -> AsyncIterator[Client]:
    async with client_of(service) as opened:
        await know_models(opened)
        yield opened


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def plain(client: Client) -> Drawn:
    """The picture that every wish is compared with."""
    return await draw(client)
