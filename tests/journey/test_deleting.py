"""A picture is deleted: nothing leads to it any more, before and after a restart."""

import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.journey.command_line import Cli
from tests.journey.running import Client, Service, client_of, told


async def delete(client: Client, key: str) -> tuple[int, Any]:
    """Return status and body, None without one."""
    return await client.json("DELETE", f"/api/images/pictures/{key}")


async def status_of(client: Client, path: str) -> int:
    async with client.session.get(path) as answer:
        return answer.status


async def expect_gone(client: Client, job: dict[str, Any], bucket: str) -> None:
    """Check that nothing leads to the job's first picture, and all to its second."""
    gone, there = (artifact["key"] for artifact in job["artifacts"])
    now = await client.job(job["job_id"])
    assert [artifact["key"] for artifact in now["artifacts"]] == [there]
    assert (now["state"], now["count"], now["deleted"]) == ("succeeded", 2, 1)
    assert now["result"]["png_key"] == there
    _, jobs = await client.json("GET", "/api/images/jobs")
    assert [len(listed["artifacts"]) for listed in jobs["items"]] == [1]
    _, latest = await client.json("GET", "/api/images/latest")
    assert [item["key"] for item in latest["items"]] == [there]
    for path in ("/vision/", "/api/images/file/", "/api/images/thumb/", f"/{bucket}/"):
        assert (path, await status_of(client, path + gone)) == (path, 404)
    assert await status_of(client, f"/api/images/file/{gone[:-4]}.json") == 404
    assert await status_of(client, f"/api/images/thumb/{there}") == 200
    assert (await client.json("POST", "/api/images/select", json={"key": gone}))[0] == 404
    assert (await delete(client, gone))[1]["code"] == "not_found"


async def test_nothing_leads_to_a_deleted_picture(tmp_path: Path, storage: dict[str, str]) -> None:
    bucket = storage.get("S3_BUCKET", "kitty-artifacts")
    async with Service(tmp_path, **storage) as service:
        async with client_of(service) as client:
            job = await client.draw(count=2)
            key = job["artifacts"][0]["key"]
            assert await status_of(client, f"/api/images/thumb/{key}") == 200
            assert await status_of(client, f"/{bucket}/{key}") == 200
            assert await delete(client, key) == (204, None)
            await expect_gone(client, job, bucket)
        await service.end(signal.SIGKILL)
    async with Service(tmp_path, **storage) as service, client_of(service) as client:
        await expect_gone(client, job, bucket)


async def test_a_stream_of_an_ended_job_names_no_deleted_picture(tmp_path: Path) -> None:
    async with Service(tmp_path) as service, client_of(service) as client:
        job = await client.draw()
        await delete(client, job["artifacts"][0]["key"])
    async with (
        Service(tmp_path) as service,
        client_of(service) as client,
        client.session.get(f"/api/images/jobs/{job['job_id']}/events") as answer,
    ):
        said = await answer.text()
    assert '"artifacts":[]' in said
    assert '"deleted":1' in said


async def test_a_picture_stays_until_its_job_has_ended(tmp_path: Path) -> None:
    async with Service(tmp_path, FAKE_STEP_SECONDS="0.05") as service, client_of(service) as client:
        job_id = (await client.submit(count=64, steps=20))["job_id"]
        async with client.session.ws_connect(f"/api/images/ws?job_id={job_id}") as news:
            while not (job := (await told(news)).get("job", {"artifacts": []}))["artifacts"]:
                continue
        assert (await client.json("POST", f"/api/images/jobs/{job_id}/pause"))[0] == 200
        key = job["artifacts"][0]["key"]
        status, problem = await delete(client, key)
        assert (status, problem["code"]) == (409, "illegal_transition")
        assert "is running: cancel it, or wait for its end" in problem["detail"]
        assert await status_of(client, f"/vision/{key}") == 200
        await client.json("DELETE", f"/api/images/jobs/{job_id}")
        assert (await delete(client, key))[0] == 204
        assert (await client.job(job_id))["deleted"] == 1


@pytest.mark.parametrize(
    "key",
    [
        "nowhere",
        "images/20260131_174500_0123abcd.json",
        "images/20260131_174500_0123abcd.thumb.webp",
        "others/20260131_174500_0123abcd.png",
        "images/..%2F..%2Fkitty.sqlite3",
        "images/%2e%2e/20260131_174500_0123abcd.png",
    ],
)
async def test_no_other_key_is_touched(client: Client, key: str) -> None:
    status, problem = await delete(client, key)
    assert (status, problem["code"]) == (400, "bad_key")


async def test_who_has_no_token_and_other_sites_delete_nothing(tmp_path: Path) -> None:
    async with (
        Service(tmp_path, API_TOKEN="secret") as service,
        client_of(service, Authorization="Bearer secret") as client,
        client_of(service) as stranger,
    ):
        key = (await client.draw())["artifacts"][0]["key"]
        path = f"/api/images/pictures/{key}"
        elsewhere = {"Origin": "http://elsewhere.example"}
        status, problem = await client.json("DELETE", path, headers=elsewhere)
        assert (status, problem["code"]) == (403, "cross_origin")
        status, problem = await stranger.json("DELETE", path)
        assert (status, problem["code"]) == (401, "unauthorised")
        assert await status_of(client, f"/vision/{key}") == 200


async def test_a_store_that_is_down_is_said(tmp_path: Path) -> None:
    async with Service(tmp_path) as service, client_of(service) as client:
        job = await client.draw()
        key = job["artifacts"][0]["key"]
        folder = tmp_path / "kitty-artifacts"
        folder.rename(tmp_path / "unplugged")
        status, problem = await delete(client, key)
        assert (status, problem["code"]) == (503, "store_down")
        assert (await client.job(job["job_id"]))["artifacts"] == job["artifacts"]
        assert await status_of(client, f"/vision/{key}") == 200
        (tmp_path / "unplugged").rename(folder)
        assert (await delete(client, key))[0] == 204
        assert list(folder.glob("images/*")) == []
        assert list((tmp_path / "thumbs").glob("*")) == []


async def test_what_a_crash_left_of_a_deletion_goes_at_the_next_start(tmp_path: Path) -> None:
    async with Service(tmp_path) as service, client_of(service) as client:
        key = (await client.draw())["artifacts"][0]["key"]
        await service.end()
    with sqlite3.connect(tmp_path / "kitty.sqlite3") as database:
        database.execute("INSERT INTO removed VALUES (?, 0)", (key,))
    database.close()
    async with Service(tmp_path) as service, client_of(service) as client:
        while await status_of(client, f"/api/images/file/{key}") == 200:
            continue
        assert list((tmp_path / "kitty-artifacts").glob("images/*")) == []


async def test_the_command_line_deletes(client: Client, service: Service, tmp_path: Path) -> None:
    cli = Cli(service.url, tmp_path / "cache")
    job = await client.draw(count=2)
    early = await cli("images.delete", "1")
    assert early.status == 2
    assert "list the pictures first" in early.err
    listed = [line.split("\t")[1] for line in (await cli("images.list")).out.splitlines()]
    assert (await cli("images.delete", "2")).out == f"deleted {listed[1]}\n"
    again = await cli("images.delete", "2")
    assert again.status == 2
    assert f"there is no picture {listed[1]}" in again.err
    assert "1 of 2 deleted since" in (await cli("images.status", job["job_id"])).out
    assert (await cli("images.delete", listed[0], "--json")).json == {"deleted": listed[0]}
    assert (await cli("images.list")).out.startswith("No pictures.")
