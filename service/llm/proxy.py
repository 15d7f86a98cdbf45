"""Passes calls on to llama.cpp's servers, and holds the GPU while one of them works."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from scheduler.desk import Desk
from scheduler.lease import Tenant
from service.calls import Call, described
from service.llm.headers import for_client, for_server
from service.llm.pipe import Pipe, SlowClientError
from service.llm.servers import needs_gpu, path_on_server, target
from service.presence import while_there
from service.problems import RequestError

_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_NAME_LENGTH = 200


class LlmError(RequestError):
    """A llama.cpp server let us down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyLimits:
    """What a call may cost.

    Attributes:
        body_bytes: The largest request body.
        wait_seconds: How long a call waits for the GPU.
        silence_seconds: How long a server may say nothing.
        kept_bytes: How much of an answer is kept for a slow client, and `stall_seconds` for how
            long the rest of it is held back before the client is given up.
    """

    body_bytes: int = 64 * 2**20
    wait_seconds: float = 300.0
    silence_seconds: float = 600.0
    longest_seconds: float = 3600.0
    kept_bytes: int = 4 * 2**20
    stall_seconds: float = 30.0


class Proxy:
    """The reverse proxy `/llm/{server}/{path}`.

    A call that makes the model work holds an `llm` lease from before it is sent until the
    server's last byte has come. Bodies are read before that, so that a slow sender holds nothing,
    and answers are kept for slow readers within limits.
    """

    def __init__(
        self,
        *,
        servers: Mapping[str, URL],
        desks: Mapping[str, Desk],
        limits: ProxyLimits,
        private: frozenset[str] = frozenset(),
    ) -> None:
        """`desks` give leases on the servers' GPUs.

        `private` are the headers, in lower case, that are meant for us and no server.
        """
        self.servers = servers
        self._desks = desks
        self._limits = limits
        self._private = private
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Prepare for calls; they go nowhere but to the servers, and follow no redirects."""
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            # llama.cpp hangs up after five idle seconds, and a call sent at that moment is lost.
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(
                total=self._limits.longest_seconds,
                sock_connect=5.0,
                sock_read=self._limits.silence_seconds,
            ),
        )

    async def aclose(self) -> None:
        """Drop the connections; may be called twice."""
        if self._session is not None:
            await self._session.close()

    @described(
        Call(
            section="llm",
            media="*/*",
            codes=(
                "llm_not_found", "no_such_path", "bad_body", "body_too_large", "gpu_busy",
                "shutting_down", "llm_down", "llm_timeout",
            ),
            relayed=True,
            example={"server": "q4", "path": "v1/chat/completions"},
        )
    )  # fmt: skip
    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass one call on, and its answer back.

        Raises:
            RequestError: there is no such server, or it failed before it answered.
            GpuBusyError: the GPU was not free in time.
        """
        name = request.match_info["server"]
        if name not in self.servers:
            known = ", ".join(self.servers) or "none is configured (LLAMA_SERVERS)"
            raise RequestError(f"no server {name!r}: {known}", code="llm_not_found", status=404)
        path = path_on_server(request.rel_url.raw_path)
        body = await self._read(request)
        call = _Call(
            request=request,
            name=name,
            url=target(self.servers[name], path, request.rel_url.raw_query_string),
            body=body,
            works=needs_gpu(request.method, f"/{path}"),
        )
        return await while_there(request, self._answer(call))

    async def _read(self, request: web.Request) -> bytes:
        """Return the body, within limits."""
        body = bytearray()
        try:
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > self._limits.body_bytes:
                    detail = f"more than {self._limits.body_bytes} bytes"
                    raise RequestError(detail, code="body_too_large", status=413)
        except web.RequestPayloadError as error:
            raise RequestError(f"the body cannot be read: {error}", code="bad_body") from None
        return bytes(body)

    async def _answer(self, call: "_Call") -> web.StreamResponse:
        """Fetch the answer and deliver it side by side."""
        pipe = Pipe(limit_bytes=self._limits.kept_bytes, stall_seconds=self._limits.stall_seconds)
        begun: asyncio.Future[web.StreamResponse] = asyncio.get_running_loop().create_future()
        fetching = asyncio.create_task(self._fetch(call, pipe, begun))
        try:
            waits: list[asyncio.Future[Any]] = [fetching, begun]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if not begun.done():
                await fetching
            response = await begun
            await response.prepare(call.request)
            async for chunk in pipe:
                await response.write(chunk)
            await asyncio.wait([fetching])
            if fetching.cancelled() or fetching.exception() is not None:
                # The status is out already; a connection that breaks says that this is not all.
                call.abort()
            else:
                await response.write_eof()
            return response
        finally:
            fetching.cancel()
            await asyncio.wait([fetching])

    async def _fetch(
        self, call: "_Call", pipe: Pipe, begun: asyncio.Future[web.StreamResponse]
    ) -> None:
        """Fill the pipe with the server's answer, under a lease if the call makes it work."""
        async with AsyncExitStack() as stack:
            stack.callback(pipe.end)
            if call.works:
                hold = self._desks[call.name].hold(
                    Tenant.LLM, call.holder, wait_seconds=self._limits.wait_seconds
                )
                await stack.enter_async_context(hold)
            try:
                await self._transfer(call, pipe, begun)
            except TimeoutError as error:
                raise LlmError(
                    f"server {call.name!r} took too long", code="llm_timeout", status=504
                ) from error
            except SlowClientError:
                call.abort()
                raise
            except (aiohttp.ClientError, OSError) as error:
                why = getattr(error, "strerror", None) or str(error) or type(error).__name__
                detail = f"server {call.name!r} does not answer: {why}"
                raise LlmError(detail, code="llm_down", status=502) from error

    async def _transfer(
        self, call: "_Call", pipe: Pipe, begun: asyncio.Future[web.StreamResponse]
    ) -> None:
        """Send the call and carry back what comes, piece by piece as it comes."""
        if self._session is None:
            raise RuntimeError("open the proxy before it is used")
        async with self._session.request(
            call.request.method,
            call.url,
            headers=for_server(call.request.headers, drop=self._private),
            data=call.body or None,
            skip_auto_headers=_AUTOMATIC,
            allow_redirects=False,
        ) as answer:
            response = web.StreamResponse(
                status=answer.status, reason=answer.reason, headers=for_client(answer.headers)
            )
            begun.set_result(response)
            async for chunk in answer.content.iter_any():
                await pipe.put(chunk)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One call on its way to a server; `works` says that the server needs the GPU for it."""

    request: web.Request
    name: str
    url: URL
    body: bytes
    works: bool

    @property
    def holder(self) -> str:
        """Who holds the lease, for people: what is no text in the name given is left out."""
        given = filter(str.isprintable, self.request.headers.get("X-Client", ""))
        return f"{self.name} for {''.join(given)[:_NAME_LENGTH] or self.request.remote}"

    def abort(self) -> None:
        """Break the client's connection, if it still stands."""
        if self.request.transport is not None:
            self.request.transport.abort()
