"""Live news: complete, in order, repeatable."""

import asyncio
import json

from tests.journey.running import Client


async def test_a_job_s_whole_life_is_told_in_order(client: Client) -> None:
    async with client.session.ws_connect("/api/images/ws") as news:
        hello = await news.receive_json()
        job_id = (await client.submit())["job_id"]
        told = []
        while not told or told[-1]["job"]["state"] != "succeeded":
            told.append(await news.receive_json())
    states = list(dict.fromkeys(message["job"]["state"] for message in told))
    assert states == ["queued", "running", "succeeded"]
    numbers = [message["event"] for message in told]
    assert numbers == list(range(hello["last_event"] + 1, hello["last_event"] + 1 + len(told)))
    shares = [message["job"]["progress"] for message in told]
    assert shares == sorted(shares)
    async with client.session.ws_connect(
        f"/api/images/ws?job_id={job_id}&since={numbers[0]}"
    ) as later:
        await later.receive_json()
        repeated = [await later.receive_json() for _ in told[1:]]
    assert repeated == told[1:]


async def test_server_sent_events_end_with_the_job(client: Client) -> None:
    job_id = (await client.submit())["job_id"]
    async with client.session.get(f"/api/images/jobs/{job_id}/events?since=0") as answer:
        assert answer.content_type == "text/event-stream"
        text = await answer.text()
    last = [line for line in text.splitlines() if line.startswith("data: ")][-1]
    assert json.loads(last.removeprefix("data: "))["job"]["state"] == "succeeded"


async def test_metrics_count_what_happened(client: Client) -> None:
    await asyncio.gather(client.draw(), client.draw("[fail out_of_memory]"))
    async with client.session.get("/metrics") as answer:
        text = await answer.text()
    assert 'kitty_images_jobs_succeeded_total{engine="fake"} 1.0' in text
    assert 'kitty_images_engine_errors_total{code="out_of_memory",engine="fake"} 1.0' in text
    assert 'kitty_images_jobs_queued{engine="fake"} 0.0' in text
