"""Put an object with one signed request, at a third of the general client's cost."""

import aiohttp
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL


class SignedPut:
    """The way of every picture while all is well; says no more of a failure than that it was one.

    Args:
        bucket_url: The bucket in path style, without a slash at its end.
    """

    def __init__(
        self,
        *,
        bucket_url: str,
        access_key: str,
        secret_key: str,
        region: str,
        connect_timeout_seconds: float,
        read_timeout_seconds: float,
    ) -> None:
        self._bucket_url = bucket_url
        self._signature = S3SigV4Auth(Credentials(access_key, secret_key), "s3", region)
        self._timeout = aiohttp.ClientTimeout(
            sock_connect=connect_timeout_seconds, sock_read=read_timeout_seconds
        )
        self._session: aiohttp.ClientSession | None = None

    async def put(self, key: str, data: bytes, content_type: str) -> bool:
        """Store an object under a plain key; False if the server did not take it.

        Raises:
            TimeoutError: the server does not answer; asking again would take as long.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar()
            )
        url = f"{self._bucket_url}/{key}"
        request = AWSRequest("PUT", url, {"Content-Type": content_type}, data)
        self._signature.add_auth(request)
        headers = dict(request.headers.items())
        try:
            async with self._session.put(
                URL(url, encoded=True), data=data, headers=headers, allow_redirects=False
            ) as answer:
                return answer.ok and answer.status < 300  # noqa: PLR2004 - 3xx leads elsewhere
        except TimeoutError:
            raise
        except aiohttp.ClientError:
            return False

    async def aclose(self) -> None:
        """Close the connections; a later call opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
