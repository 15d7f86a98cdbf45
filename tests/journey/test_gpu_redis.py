"""The service beside other processes of KITTY, with the lock in a real Redis."""

from pathlib import Path

import pytest
from redis.asyncio import Redis

from scheduler.lease import LlmPolicy, Rules
from scheduler.ports import SystemClock
from service.settings import Settings as AllSettings
from service.settings import SettingsError
from service.sharing import build_gpus
from tests.contract.redis import KEY, RedisServer
from tests.journey.running import Client, Service, client_of, told


async def lock(client: Client) -> str:
    """Return how the service stands with other processes."""
    _, gpus = await client.json("GET", "/api/gpu")
    state: str = gpus["items"][0]["lock"]
    return state


@pytest.mark.server
async def test_a_job_parks_while_another_process_has_the_gpu(
    tmp_path: Path, redis_server: RedisServer, kitty: Redis
) -> None:
    settings = {"REDIS_URL": redis_server.url, "FAKE_STEP_SECONDS": "0.01"}
    async with (
        Service(tmp_path, **settings) as service,
        client_of(service) as client,
    ):
        await kitty.set(KEY, "another", nx=True, ex=60)
        job_id = (await client.submit())["job_id"]
        async with client.session.ws_connect(f"/api/images/ws?job_id={job_id}&since=0") as news:
            phase = ""
            while phase != "parked":
                phase = (await told(news)).get("job", {}).get("phase", phase)
        while await lock(client) != "theirs":
            continue
        await kitty.delete(KEY)
        assert (await client.ended(job_id))["state"] == "succeeded"
        redis_server.kill()
        assert (await client.draw())["state"] == "succeeded", "alone, then"
        assert await lock(client) == "down"
        assert b"other processes are not kept out" in service.log
        redis_server.start()


def test_servers_that_are_none_stop_the_start() -> None:
    with pytest.raises(SettingsError, match=r"LLAMA_SERVERS: 'q4' is not"):
        build_gpus(AllSettings(llama_servers="q4"), [], clock=SystemClock())


def test_gpus_are_those_of_engines_and_servers() -> None:
    settings = AllSettings(llama_servers="a=http://127.0.0.1:1,b=http://far:2,c@d=http://far:3")
    assert list(build_gpus(settings, ["e"], clock=SystemClock())) == ["local", "e", "far", "d"]


def test_a_gpu_is_shared_as_the_settings_say() -> None:
    settings = AllSettings(
        llm_policy="interrupt",
        llm_patience_seconds=3,
        gpu_images_share=0.2,
        gpu_images_slice_seconds=4,
    )
    assert build_gpus(settings, [], clock=SystemClock())["local"].rules == Rules(
        policy=LlmPolicy.INTERRUPT,
        patience_seconds=3,
        images_share=0.2,
        longest_slice_seconds=4,
    )
