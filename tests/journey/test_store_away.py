"""The store goes away and comes back; no picture is lost meanwhile."""

from pathlib import Path

from tests.contract.rgw import Gateway
from tests.journey.running import Service, client_of


def settings_of(gateway: Gateway, bucket: str, **more: str) -> dict[str, str]:
    return {
        "S3_ENDPOINT_URL": gateway.url,
        "S3_ACCESS_KEY": gateway.access_key,
        "S3_SECRET_KEY": gateway.secret_key,
        "S3_BUCKET": bucket,
        **more,
    }


async def test_pictures_wait_in_the_spool_until_the_store_is_back(
    tmp_path: Path, gateway: Gateway
) -> None:
    settings = settings_of(gateway, "kitty-away")
    gateway.revive()
    async with Service(tmp_path, **settings) as service, client_of(service) as client:
        await client.draw("before")
        gateway.kill()
        try:
            job_id = (await client.submit("meanwhile", count=2))["job_id"]
            job = await client.until(job_id, "storing")
            assert (job["status"], job["phase"]) == ("running", "storing")
            assert (await client.json("GET", "/healthz"))[0] == 200
        finally:
            gateway.revive()
        job = await client.ended(job_id)
        assert len(job["artifacts"]) == 2
        async with client.session.get(job["artifacts"][1]["url"]) as answer:
            assert answer.status == 200
    assert not list((tmp_path / "spool").rglob("*.png"))


async def test_a_store_that_is_away_at_the_start_stops_nothing(
    tmp_path: Path, gateway: Gateway
) -> None:
    gateway.kill()
    settings = settings_of(gateway, "kitty-late")
    try:
        async with Service(tmp_path, **settings) as service, client_of(service) as client:
            job_id = (await client.submit())["job_id"]
            await client.until(job_id, "storing")
            await service.end()
    finally:
        gateway.revive()
    async with Service(tmp_path, **settings) as service, client_of(service) as client:
        assert (await client.ended(job_id))["state"] == "succeeded"


async def test_wrong_secrets_are_said_and_the_pictures_kept(
    tmp_path: Path, gateway: Gateway
) -> None:
    gateway.revive()
    wrong = settings_of(gateway, "kitty-locked", S3_SECRET_KEY="a-wrong-secret")
    async with Service(tmp_path, **wrong) as service, client_of(service) as client:
        job_id = (await client.submit())["job_id"]
        await client.until(job_id, "storing", "failed")
        await service.end()
    assert b"a-wrong-secret" not in service.log
    right = settings_of(gateway, "kitty-locked")
    async with Service(tmp_path, **right) as service, client_of(service) as client:
        job = await client.job(job_id)
        if job["state"] == "failed":
            await client.json("POST", f"/api/images/jobs/{job_id}/retry")
        assert (await client.ended(job_id))["state"] == "succeeded"
