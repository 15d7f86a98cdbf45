"""The server's socket: progress and previews while it lasts, silence when it does not."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp
import socketio
from yarl import URL

from engines.invokeai.messages import Message, read_event

_log = logging.getLogger(__name__)

_EVENTS: Final = (
    "invocation_progress",
    "queue_item_status_changed",
    "queue_items_canceled",
    "queue_cleared",
)
_BACKLOG = 64
_SUBSCRIBE_SECONDS = 10
_LIMIT_BYTES = 2**26
_BROKEN = (
    socketio.exceptions.SocketIOError,
    aiohttp.ClientError,
    OSError,  # connections, and time-outs
    ValueError,  # frames that are none
    KeyError,  # handshakes that lack something
)


class Feed:
    """What the socket told of late; the oldest is forgotten when nobody reads it."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue()

    def put(self, message: Message | None) -> None:
        """Add a message; None says that messages may have been missed."""
        while self._messages.qsize() >= _BACKLOG:
            self._messages.get_nowait()
        self._messages.put_nowait(message)

    async def next(self, seconds: float) -> Message | None:
        """Return the next message, None when none comes in time or some may have been missed."""
        # `asyncio.wait_for` of Python 3.11 swallows a cancel that comes together with a message
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0.0)):
                return await self._messages.get()
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Socket:
    """Where a server's socket is, and how patiently it is tried.

    Attributes:
        open_seconds: How long a drawing waits for the first connection, lest it misses events.
        retry_seconds: Pause before a socket that did not come about, or broke, is tried again.
    """

    base_url: str
    queue_id: str
    token: str | None = None
    open_seconds: float = 2.0
    retry_seconds: float = 1.0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Feed]:
        """Listen for the length of the block; a socket that fails is only silent."""
        feed, opened = Feed(), asyncio.Event()
        listener = asyncio.create_task(self._listen(feed, opened))
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.open_seconds):
                    await opened.wait()
            yield feed
        finally:
            listener.cancel()
            await asyncio.wait([listener])

    async def _listen(self, feed: Feed, opened: asyncio.Event) -> None:
        while True:
            try:
                await self._listen_once(feed, opened)
            except _BROKEN as error:
                _log.debug("the socket of %s: %r", self.base_url, error)
            feed.put(None)
            await asyncio.sleep(self.retry_seconds)

    async def _listen_once(self, feed: Feed, opened: asyncio.Event) -> None:
        """Connect, subscribe and pass events on until the connection breaks."""
        url, closed = URL(self.base_url), asyncio.Event()
        async with aiohttp.ClientSession() as session:
            client = socketio.AsyncClient(
                reconnection=False,
                handle_sigint=False,
                http_session=session,
                websocket_extra_options={"max_msg_size": _LIMIT_BYTES},
            )
            client.on("disconnect", lambda *_: closed.set())
            for event in _EVENTS:
                client.on(event, _passing(event, feed))
            try:
                await client.connect(
                    str(url.origin()),
                    socketio_path=f"{url.path.rstrip('/')}/ws/socket.io",
                    transports=["websocket"],
                    auth={"token": self.token} if self.token else None,
                )
                # joins the queue's rooms; the handler answers nothing, but the library says when
                # it is done, and what the server sends before that is missed
                await client.call(
                    "subscribe_queue", {"queue_id": self.queue_id}, timeout=_SUBSCRIBE_SECONDS
                )
                feed.put(None)
                opened.set()
                await closed.wait()
            finally:
                await client.disconnect()


def _passing(event: str, feed: Feed) -> Callable[[object], None]:
    def on_event(data: object) -> None:
        message = read_event(event, data)
        if message is not None:
            feed.put(message)

    return on_event
