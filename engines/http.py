"""An engine's HTTP server as seen from here: the one place where aiohttp's failures become ours."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import orjson
from yarl import URL

from engines.errors import EngineDownError, EngineProtocolError, EngineTimeoutError

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 30.0
LIMIT_BYTES: Final = 256 * 2**20

_KEEPALIVE_SECONDS = 2.0
"""Less than the 5 s after which uvicorn hangs up, lest a POST travels on a dying connection."""


class NotSentError(EngineDownError):
    """The request surely never reached the engine: it may be sent again."""


class AnswerLostError(EngineDownError):
    """The request may have been carried out, but its answer did not arrive: never repeat it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered, whatever the status; the dialect decides what it means."""

    status: int
    body: bytes
    content_type: str
    request: str

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004 -- the range is the definition

    @property
    def text(self) -> str:
        """The body as text, cut to what a person would read of an error."""
        return self.body[:2000].decode("utf-8", "replace").strip()

    def json(self) -> Any:  # noqa: ANN401 -- the dialects check the shape of what they read
        """Return the body read as JSON.

        Raises:
            EngineProtocolError: it is no JSON.
        """
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise EngineProtocolError(f"{self.request}: no JSON: {self.text[:200]}") from error

    def require(self) -> "Answer":
        """Return the answer itself when its status is 2xx.

        Raises:
            EngineProtocolError: it is another; for calls whose refusal has no special meaning.
        """
        if not self.ok:
            raise EngineProtocolError(f"{self.request}: {self.status} {self.text}")
        return self


_NOT_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
)


@contextmanager
def translated(request: str) -> Iterator[None]:
    """Translate what aiohttp raises inside the block; `request` opens every message.

    Raises:
        NotSentError: no connection came about.
        AnswerLostError: the connection broke.
        EngineTimeoutError: the answer did not come in time; the request may have been carried out.
        EngineProtocolError: what came was no HTTP, or the websocket was refused.
    """
    try:
        yield
    except _NOT_SENT as e:
        raise NotSentError(f"{request}: {_words(e)}") from e
    except TimeoutError as e:
        raise EngineTimeoutError(f"{request}: no answer in time") from e
    except aiohttp.ClientResponseError as e:
        raise EngineProtocolError(f"{request}: {e.status} {e.message}") from e
    except (aiohttp.ClientError, OSError) as e:
        raise AnswerLostError(f"{request}: {_words(e)}") from e


class Server:
    """An engine's HTTP server; connects when it is first asked for something.

    Redirects are answers like others: a followed one could carry a POST out twice.
    """

    def __init__(
        self,
        *,
        base_url: str,
        auth: tuple[str, str] | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        url = URL(base_url)
        if auth is None and url.user:
            auth = (url.user, url.password or "")
        self._headers = {"Authorization": aiohttp.encode_basic_auth(*auth)} if auth else {}
        self.base_url = str(url.with_user(None)).rstrip("/") if url.host else base_url
        self._connect_seconds = connect_seconds
        self._answer_seconds = answer_seconds
        self._limit_bytes = limit_bytes
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def send(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        data: aiohttp.FormData | bytes | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        answer_seconds: float | None = None,
        limit_bytes: int | None = None,
    ) -> Answer:
        """Send one request, exactly once, and return the answer with any status.

        `answer_seconds` passes at most until the whole answer is here (`inf` waits for ever), and
        its body holds `limit_bytes` at most; None takes the server's own.

        Raises:
            NotSentError: no connection came about.
            AnswerLostError: the connection broke before the whole answer was here.
            EngineTimeoutError: the answer did not come in time.
            EngineProtocolError: the answer is no HTTP or is too large.
        """
        request, headers = f"{method} {self.base_url}{path}", dict(headers or {})
        if json is not None:
            data, headers = orjson.dumps(json), {"Content-Type": "application/json", **headers}
        with translated(request):
            async with self._open(request).request(
                method,
                self.base_url + path,
                params=query,
                data=data,
                headers=headers,
                timeout=self._timeout(answer_seconds),
                allow_redirects=False,
            ) as response:
                body = await _read(response, limit_bytes or self._limit_bytes, request)
                return Answer(response.status, body, response.content_type, request)

    async def websocket(
        self, path: str, *, query: Mapping[str, str] | None = None, limit_bytes: int = LIMIT_BYTES
    ) -> aiohttp.ClientWebSocketResponse:
        """Open a websocket; use `translated` around what is then received.

        Raises:
            LostError: as `send`; a refused handshake is an `EngineProtocolError`.
        """
        request = f"WS {self.base_url}{path}"
        with translated(request):
            # not `wait_for`: before Python 3.12 it may swallow a cancellation
            async with asyncio.timeout(self._answer_seconds):
                return await self._open(request).ws_connect(
                    self.base_url + path, params=query, max_msg_size=limit_bytes, heartbeat=20.0
                )

    async def aclose(self) -> None:
        """Hang up; may be called twice."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self, request: str) -> aiohttp.ClientSession:
        if self._closed:
            raise NotSentError(f"{request}: closed")
        if self._session is None:
            # no bound on connections: who waits in a pool cannot interrupt what runs
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_SECONDS)
            self._session = aiohttp.ClientSession(connector=connector, headers=self._headers)
        return self._session

    def _timeout(self, answer_seconds: float | None) -> aiohttp.ClientTimeout:
        total = self._answer_seconds if answer_seconds is None else answer_seconds
        return aiohttp.ClientTimeout(
            total=None if total == float("inf") else total, sock_connect=self._connect_seconds
        )


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


async def _read(response: aiohttp.ClientResponse, limit_bytes: int, request: str) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(2**18):
        body += chunk
        if len(body) > limit_bytes:
            raise EngineProtocolError(f"{request}: the answer is larger than {limit_bytes} bytes")
    return bytes(body)
