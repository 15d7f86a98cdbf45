"""The REST calls that the command line makes, and what their failures mean."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote, urljoin
from uuid import uuid4

import aiohttp
import orjson

from service.cli.exits import RefusedError, UnreachableError, UnwillingError
from service.cli.replies import Accepted, Job, Page, Problem

_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=10, sock_read=60)


@dataclass(frozen=True, slots=True)
class Address:
    """Where the service is, and the token that it wants, if any."""

    base: str
    token: str | None = None

    def url(self, path: str) -> str:
        """Return the full address of a path of the service."""
        return urljoin(self.base.rstrip("/") + "/", path.lstrip("/"))


class Images:
    """The service, seen from outside."""

    def __init__(self, *, address: Address, session: aiohttp.ClientSession) -> None:
        self.address = address
        self.session = session

    async def submit(self, body: Mapping[str, object]) -> Accepted:
        """Ask for pictures.

        An answer that was lost on the way is asked for once more; the idempotency key keeps that
        from becoming a second job.
        """
        headers = {"Idempotency-Key": str(uuid4())}
        try:
            answer = await self.call("POST", "api/images/generate", body=body, headers=headers)
        except UnreachableError as error:
            if not isinstance(error.__cause__, aiohttp.ServerDisconnectedError):
                raise
            answer = await self.call("POST", "api/images/generate", body=body, headers=headers)
        return cast("Accepted", answer)

    async def job(self, job_id: str) -> Job:
        """Return where a job stands."""
        return cast("Job", await self.call("GET", f"api/images/jobs/{quote(job_id, safe='')}"))

    async def order(self, job_id: str, verb: str) -> Job:
        """Tell a job to `cancel`, `pause`, `resume` or `retry`."""
        path = f"api/images/jobs/{quote(job_id, safe='')}"
        if verb == "cancel":
            return cast("Job", await self.call("DELETE", path))
        return cast("Job", await self.call("POST", f"{path}/{verb}"))

    async def page(self, path: str, **params: str | int | None) -> Page:
        """Return one page of a list; parameters that are None are left out."""
        given = {name: str(value) for name, value in params.items() if value is not None}
        return cast("Page", await self.call("GET", f"api/images/{path}", params=given))

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, object] | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:  # noqa: ANN401 - JSON; the callers above say what they expect
        """Make a call and return its JSON.

        Raises:
            RefusedError: the service refuses the request.
            UnwillingError: the service cannot do it now.
            UnreachableError: nobody answers, or not in JSON.
        """
        data = await self.fetch(method, path, body=body, params=params, headers=headers)
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            raise UnreachableError(f"{self.address.base} is not KITTY Images") from None

    async def fetch(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, object] | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Make a call and return the bytes of its answer; raises as `call` does."""
        url = self.address.url(path)
        try:
            async with self.session.request(
                method, url, json=body, params=params, headers=headers
            ) as reply:
                data = await reply.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnreachableError(_silence(self.address.base, error)) from error
        if reply.status >= HTTPStatus.BAD_REQUEST:
            raise _refusal(reply.status, reply.reason or "", data)
        return data


@asynccontextmanager
async def connect(address: Address) -> AsyncGenerator[Images]:
    """Hold a session with the service."""
    headers = {"X-Client": "kitty-cli"}
    if address.token:
        headers["Authorization"] = f"Bearer {address.token}"
    async with aiohttp.ClientSession(
        headers=headers,
        timeout=_TIMEOUT,
        # Whatever was typed is said, so that the service can refuse it: orjson knows neither
        # numbers above 64 bits nor what is no UTF-8.
        json_serialize=json.dumps,
    ) as session:
        yield Images(address=address, session=session)


def _silence(base: str, error: Exception) -> str:
    """Say why a call got no answer."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"{base} is not known: {error.os_error.strerror}"
        case aiohttp.ClientConnectorError():
            return f"nobody answers at {base}"
        case aiohttp.ClientResponseError():
            return f"{base} does not speak HTTP"
        case aiohttp.ServerDisconnectedError():
            return f"{base} hung up before it answered"
        case _:
            return f"{base} does not answer: {str(error) or type(error).__name__}"


def _refusal(status: int, reason: str, data: bytes) -> RefusedError | UnwillingError:
    """Return what an error answer means, be it a problem document or not."""
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        found = None
    problem = cast("Problem", found if isinstance(found, dict) else {})
    problem.setdefault("status", status)
    problem.setdefault("detail", f"HTTP {status} {reason}")
    later = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS
    return (UnwillingError if later else RefusedError)(problem)
