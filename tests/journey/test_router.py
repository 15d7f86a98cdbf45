"""Engines that come and go: nobody waits for one that is away, and it is told why."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from tests.journey.running import Client, Service, client_of

NOBODY = "http://127.0.0.1:9"


@asynccontextmanager
async def running(tmp_path: Path, config: str, **settings: str) -> AsyncIterator[Client]:
    """A service with a configuration file."""
    path = tmp_path / "kitty.toml"
    path.write_text(config)
    settings = {"CONFIG_FILE": str(path), **settings}
    async with Service(tmp_path / "data", **settings) as service, client_of(service) as client:
        yield client


async def test_an_engine_that_is_away_holds_up_nobody(tmp_path: Path) -> None:
    config = f'[[engines]]\nname = "gone"\nkind = "comfyui"\nurl = "{NOBODY}"\n'
    async with running(tmp_path, config) as client:
        lost = await client.submit(engine="gone", model="any.safetensors")
        assert [w["code"] for w in lost["warnings"]] == ["model_unchecked"]
        assert (await client.draw())["state"] == "succeeded"
        stuck = await client.until(lost["job_id"], "queued")
        assert stuck["engine"] == "gone"
        engines = (await client.json("GET", "/api/images/engines"))[1]["items"]
        gone = next(e for e in engines if e["engine"] == "gone")
        assert gone["state"] in ("open", "half_open", "closed")
        _, models = await client.json("GET", "/api/images/models")
        assert "engine_down" in models["errors"]["gone"]


async def test_a_profile_decides_by_name(tmp_path: Path) -> None:
    config = (
        '[[profiles]]\nname = "quick"\nsteps = 2\nwidth = 72\nheight = 72\nsuffix = ", plain"\n'
    )
    async with running(tmp_path, config) as client:
        _, answer = await client.json(
            "POST", "/api/images/generate", json={"prompt": "a card", "profile": "quick"}
        )
        job = await client.ended(answer["job_id"])
        assert job["prompt"] == "a card, plain"
        assert job["artifacts"][0]["width"] == 72


async def test_a_second_fake_engine_shares_the_work(tmp_path: Path) -> None:
    config = '[[engines]]\nname = "twin"\nkind = "fake"\ngpu = "other"\nstep_seconds = 0.05\n'
    settings = {"FAKE_STEP_SECONDS": "0.05"}
    async with running(tmp_path, config, **settings) as client:
        asked = [await client.submit(model="test-card") for _ in range(8)]
        jobs = [await client.ended(answer["job_id"]) for answer in asked]
    assert {job["engine"] for job in jobs} == {"fake", "twin"}


async def test_a_hostile_server_is_no_engine(tmp_path: Path) -> None:
    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="<html>hello</html>")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    config = f'[[engines]]\nname = "odd"\nkind = "a1111"\nurl = "http://127.0.0.1:{port}"\n'
    try:
        async with running(tmp_path, config) as client:
            job = await client.draw(engine="odd", model="m")
            assert (job["state"], job["error_code"]) == ("failed", "engine_protocol")
    finally:
        await runner.cleanup()
