from collections.abc import AsyncIterator

import pytest

from engines.comfyui.client import Client
from engines.comfyui.records import File
from engines.errors import BadPictureError, EngineProtocolError
from engines.http import Server
from tests.fakes.comfyui import FakeComfyUi, Manners, fake_comfyui


@pytest.fixture
async def server() -> AsyncIterator[FakeComfyUi]:
    async with fake_comfyui(Manners(newer=False)) as server:
        yield server


@pytest.fixture
async def client(server: FakeComfyUi) -> AsyncIterator[Client]:
    client = Client(server=Server(base_url=server.url))
    yield client
    await client.aclose()


async def test_a_file_that_is_gone_is_a_bad_picture(client: Client) -> None:
    with pytest.raises(BadPictureError, match=r"1\.png is not on the server"):
        await client.view(File("1.png", "kitty", "output"))


async def test_a_folder_that_a_server_does_not_have_is_empty(client: Client) -> None:
    assert await client.files("diffusion_models") == []


async def test_how_to_cancel_is_found_out_once_and_again_when_told(
    server: FakeComfyUi, client: Client
) -> None:
    for asked in (1, 1):
        await client.stop("p")
        assert server.asked.count("POST /api/jobs/p/cancel") == asked
    client.renew()
    await client.stop("p")
    assert server.asked.count("POST /api/jobs/p/cancel") == 2


async def test_an_answer_of_another_shape_breaks_the_protocol(
    server: FakeComfyUi, client: Client
) -> None:
    server.worker.history["p"] = {"status": ["x"], "outputs": {}}
    with pytest.raises(EngineProtocolError, match=r"GET .*/history/p"):
        await client.look("p")
