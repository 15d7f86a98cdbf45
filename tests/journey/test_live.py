"""Live news: complete, in order, repeatable."""

import asyncio
import json

from tests.journey.running import Client, Service


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


async def test_server_sent_events_of_a_job_that_ended_end_at_once(client: Client) -> None:
    job_id = (await client.draw())["job_id"]
    later = {"Last-Event-ID": "9" * 18}
    for headers in ({}, later):
        path = f"/api/images/jobs/{job_id}/events"
        async with client.session.get(path, headers=headers) as answer:
            text = await answer.text()
        told = json.loads(text.split("data: ")[1])
        assert (told["type"], told["job"]["state"]) == ("job", "succeeded")


async def test_a_listener_that_leaves_is_no_bug(service: Service, client: Client) -> None:
    job_id = (await client.submit("[fail hang]"))["job_id"]
    async with client.session.get(f"/api/images/jobs/{job_id}/events?since=0") as answer:
        await answer.content.readline()
    answer.close()
    await client.json("DELETE", f"/api/images/jobs/{job_id}")
    await service.end()
    assert b"hit a bug" not in service.log


async def test_another_site_s_page_cannot_listen(client: Client) -> None:
    headers = {"Origin": "http://evil.example"}
    status, problem = await client.json(
        "GET", "/api/images/ws", headers={**headers, "Upgrade": "websocket"}
    )
    assert (status, problem["code"]) == (403, "cross_origin")
    assert (await client.json("GET", "/api/images/stats", headers=headers))[0] == 200
