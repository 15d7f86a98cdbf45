"""Keep objects in a bucket of an S3 server: MinIO, Ceph, or Amazon's own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Final

import aioboto3
from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError
from botocore.handlers import add_expect_header

from scheduler.errors import StoreDownError
from service.store.base import ObjectInfo
from service.store.keys import plain
from service.store.s3_errors import MISSING, translated
from service.store.s3_put import SignedPut

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

_BEYOND_THE_END: Final = 416


class S3Store:
    """Objects in one bucket, over one long-lived client.

    Args:
        endpoint_url: The server, `http://…` or `https://…`.
        public_endpoint_url: Under which address others reach the same server; presigned links
            are signed for it. The same as `endpoint_url` if empty.
    """

    def __init__(
        self,
        *,
        endpoint_url: str,
        bucket: str,
        access_key: str,
        secret_key: str,
        region: str = "us-east-1",
        public_endpoint_url: str = "",
        connect_timeout_seconds: float = 3,
        read_timeout_seconds: float = 30,
    ) -> None:
        self._quick = SignedPut(
            bucket_url=f"{endpoint_url.rstrip('/')}/{bucket}",
            access_key=access_key,
            secret_key=secret_key,
            region=region,
            connect_timeout_seconds=connect_timeout_seconds,
            read_timeout_seconds=read_timeout_seconds,
        )
        self._endpoint_url = endpoint_url
        self._public_url = public_endpoint_url or endpoint_url
        self._bucket = bucket
        self._region = region
        self._access_key = access_key
        self._secret_key = secret_key
        self._config = AioConfig(
            signature_version="s3v4",
            connect_timeout=connect_timeout_seconds,
            read_timeout=read_timeout_seconds,
            max_pool_connections=32,
            retries={"mode": "standard", "total_max_attempts": 2},
            s3={"addressing_style": "path"},
            # Other servers than Amazon's do not all know the newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        self._stack = AsyncExitStack()
        self._connecting = asyncio.Lock()
        self._connected: S3Client | None = None
        self._signer: S3Client | None = None
        self._bucket_seen = False

    async def open(self) -> None:
        """Make the clients, and the bucket if it is missing.

        When the server is down this raises `StoreDownError`, and the first `put` that reaches
        the server makes up for it.
        """
        await self._see_bucket(await self._client())

    async def put(self, key: str, data: bytes, *, content_type: str) -> None:
        """Store an object; S3 shows it whole or not at all."""
        plain(key)
        client = await self._client()
        if not self._bucket_seen:
            await self._see_bucket(client)
        try:
            with translated(key):
                # The client knows how to follow, retry and explain whatever goes wrong.
                if not await self._quick.put(key, data, content_type):
                    await client.put_object(
                        Bucket=self._bucket, Key=key, Body=data, ContentType=content_type
                    )
        except StoreDownError:
            # Perhaps somebody removed the bucket: look again next time.
            self._bucket_seen = False
            raise

    async def get(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        """Read an object, or a range of it; what lies beyond its end is empty."""
        if length == 0:
            # No Range can say "nothing" (RFC 9110, 14.1.1), and some servers would send all.
            await self.stat(key)
            return b""
        client = await self._client()
        wanted = ""
        if start or length is not None:
            wanted = f"bytes={start}-{'' if length is None else start + length - 1}"
        with translated(plain(key)):
            try:
                answer = await (
                    client.get_object(Bucket=self._bucket, Key=key, Range=wanted)
                    if wanted
                    else client.get_object(Bucket=self._bucket, Key=key)
                )
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == _BEYOND_THE_END:
                    return b""
                raise
            async with answer["Body"] as body:
                return await body.read()

    async def stat(self, key: str) -> ObjectInfo:
        """Describe an object."""
        client = await self._client()
        with translated(plain(key)):
            found = await client.head_object(Bucket=self._bucket, Key=key)
            return ObjectInfo(
                key=key,
                size_bytes=found["ContentLength"],
                modified=found["LastModified"],
                etag=found["ETag"].strip('"'),
            )

    async def delete(self, key: str) -> None:
        """Remove an object if it is there."""
        client = await self._client()
        with translated(plain(key)), suppress(client.exceptions.NoSuchKey):
            await client.delete_object(Bucket=self._bucket, Key=key)

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield the objects whose keys begin with the prefix, a page of 1000 at a time."""
        client = await self._client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        with translated(f"the list of {prefix}"):
            async for page in pages:
                for found in page.get("Contents", []):
                    yield ObjectInfo(
                        key=found["Key"],
                        size_bytes=found["Size"],
                        modified=found["LastModified"],
                        etag=found["ETag"].strip('"'),
                    )

    async def link(self, key: str, *, seconds: int) -> str | None:
        """Presign a GET for the host under which others reach the server."""
        await self._client()
        if self._signer is None:
            raise StoreDownError("the S3 store is closed")
        with translated(plain(key)):
            return await self._signer.generate_presigned_url(
                "get_object", Params={"Bucket": self._bucket, "Key": key}, ExpiresIn=seconds
            )

    def uri(self, key: str) -> str:
        """Return `s3://bucket/key`."""
        return f"s3://{self._bucket}/{plain(key)}"

    async def aclose(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._connected = self._signer = None
        self._bucket_seen = False
        await self._quick.aclose()
        await self._stack.aclose()

    async def _client(self) -> "S3Client":
        """Return the client, made at the first call."""
        async with self._connecting:
            if self._connected is None:
                # Both or none: else links would be signed for an address that others do not know.
                async with AsyncExitStack() as opened:
                    with translated(self._endpoint_url):
                        client = signer = await self._connect(opened, self._endpoint_url)
                        if self._public_url != self._endpoint_url:
                            signer = await self._connect(opened, self._public_url)
                    self._stack.push_async_callback(opened.pop_all().aclose)
                self._connected, self._signer = client, signer
            return self._connected

    def _session(self) -> aioboto3.Session:
        """Return what the clients have in common."""
        return aioboto3.Session(
            aws_access_key_id=self._access_key,
            aws_secret_access_key=self._secret_key,
            region_name=self._region,
        )

    async def _connect(self, opened: AsyncExitStack, url: str) -> "S3Client":
        """Make a client for one address of the server."""
        client: S3Client = await opened.enter_async_context(
            self._session().client("s3", endpoint_url=url, config=self._config)
        )
        # Pictures are small: asking first whether they may come costs more than it saves.
        client.meta.events.unregister("before-call.s3", add_expect_header)
        return client

    async def _see_bucket(self, client: "S3Client") -> None:
        """Make sure that the bucket is there."""
        with translated(f"the bucket {self._bucket}"):
            try:
                await client.head_bucket(Bucket=self._bucket)
            except ClientError as error:
                if error.response["Error"]["Code"] not in MISSING:
                    raise
                await client.create_bucket(Bucket=self._bucket)
        self._bucket_seen = True
