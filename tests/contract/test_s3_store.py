"""What only S3 can do, or do wrong: secrets, buckets, servers, links."""

from datetime import UTC, datetime, timedelta

import aiohttp
import botocore.auth
import pytest

from scheduler.errors import StoreDownError, StoreError
from service.store.s3_put import SignedPut
from tests.contract.places import BucketPlace

PNG = "image/png"

KEY = "images/20260102_030405_0123abcd.png"


@pytest.mark.parametrize(
    "wrong",
    [{"secret_key": "not-the-secret"}, {"access_key": "nobody", "secret_key": "not-the-secret"}],
)
@pytest.mark.server
async def test_wrong_secrets_are_refused_and_told_to_nobody(
    bucket: BucketPlace, wrong: dict[str, str]
) -> None:
    store = bucket.store(**wrong)
    with pytest.raises(StoreError, match="S3_ACCESS_KEY and S3_SECRET_KEY") as refused:
        await store.open()
    with pytest.raises(StoreError):
        await store.put(KEY, b"x", content_type=PNG)
    await store.aclose()
    assert not isinstance(refused.value, StoreDownError)
    error: BaseException | None = refused.value
    while error is not None:
        assert "not-the-secret" not in f"{error!r} {error}"
        error = error.__cause__


@pytest.mark.server
async def test_a_bucket_that_vanishes_is_made_again(bucket: BucketPlace) -> None:
    store = bucket.store()
    await store.open()
    client = await store._client()
    await client.delete_bucket(Bucket=bucket.bucket)
    with pytest.raises(StoreDownError):
        await store.put(KEY, b"x", content_type=PNG)
    await store.put(KEY, b"x", content_type=PNG)
    assert await store.get(KEY) == b"x"
    await store.aclose()


@pytest.mark.server
async def test_the_general_client_puts_only_what_the_short_way_cannot(bucket: BucketPlace) -> None:
    store, puts = bucket.store(), []
    await store.open()
    client = await store._client()
    client.meta.events.register("before-call.s3.PutObject", lambda **call: puts.append(call))
    await store.put(KEY, b"x", content_type=PNG)
    assert puts == []
    head = await client.head_object(Bucket=bucket.bucket, Key=KEY)
    assert head["ContentType"] == PNG
    await store._quick.aclose()
    store._quick = SignedPut(
        bucket_url=f"http://127.0.0.1:1/{bucket.bucket}", access_key="a", secret_key="b",
        region="us-east-1", connect_timeout_seconds=1, read_timeout_seconds=1,
    )  # fmt: skip
    await store.put(KEY, b"y", content_type=PNG)
    assert len(puts) == 1
    assert await store.get(KEY) == b"y"
    await store.aclose()


@pytest.mark.server
async def test_a_server_that_is_down_at_the_start_is_found_later(bucket: BucketPlace) -> None:
    store = bucket.store()
    bucket.fail()
    with pytest.raises(StoreDownError):
        await store.open()
    bucket.come_back()
    await store.put(KEY, b"x", content_type=PNG)
    assert await store.get(KEY) == b"x"
    await store.aclose()


async def fetch(url: str | None) -> tuple[int, bytes]:
    assert url is not None
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.read()


@pytest.mark.server
async def test_a_link_fetches_the_same_bytes_and_cannot_be_bent(bucket: BucketPlace) -> None:
    store, other = bucket.store(), KEY.replace("0123", "4567")
    await store.open()
    await store.put(KEY, b"bytes", content_type=PNG)
    await store.put(other, b"secret", content_type=PNG)
    link = await store.link(KEY, seconds=60) or ""
    assert await fetch(link) == (200, b"bytes")
    last = "0" if link[-1] != "0" else "1"
    assert (await fetch(link[:-1] + last))[0] == 403
    assert (await fetch(link.replace(KEY, other)))[0] == 403
    assert (await fetch(link.replace("X-Amz-Expires=60", "X-Amz-Expires=600")))[0] == 403
    assert (await fetch(link.partition("?")[0]))[0] == 403
    await store.aclose()


@pytest.mark.server
async def test_an_old_link_has_expired(
    bucket: BucketPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = bucket.store()
    await store.open()
    await store.put(KEY, b"bytes", content_type=PNG)
    two_hours_ago = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=2)
    with monkeypatch.context() as patch:
        patch.setattr(botocore.auth, "get_current_datetime", lambda: two_hours_ago)
        expired = await store.link(KEY, seconds=3600)
        valid = await store.link(KEY, seconds=3 * 3600)
    assert (await fetch(expired))[0] == 403
    assert await fetch(valid) == (200, b"bytes")
    await store.aclose()


@pytest.mark.server
async def test_a_link_is_signed_for_the_public_address(bucket: BucketPlace) -> None:
    public = bucket.gateway.url.replace("127.0.0.1", "localhost")
    store = bucket.store(public_endpoint_url=public)
    await store.open()
    await store.put(KEY, b"bytes", content_type=PNG)
    link = await store.link(KEY, seconds=60) or ""
    assert link.startswith(f"{public}/{bucket.bucket}/{KEY}?")
    assert await fetch(link) == (200, b"bytes")
    assert (await fetch(link.replace("localhost", "127.0.0.1")))[0] == 403
    await store.aclose()


@pytest.mark.server
async def test_a_public_address_that_is_none_is_told_every_time(bucket: BucketPlace) -> None:
    store = bucket.store(public_endpoint_url="http://no address")
    for _ in range(2):
        with pytest.raises(StoreError, match="Invalid endpoint"):
            await store.link(KEY, seconds=60)
    await store.aclose()
