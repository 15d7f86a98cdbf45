"""Live news of jobs over websockets and server-sent events."""

import asyncio
import logging
from collections.abc import AsyncIterator

import orjson
from aiohttp import WSCloseCode, WSMsgType, web
from pydantic import Field

from scheduler.events import JobEvent, ListenerLostError, Subscription
from scheduler.job import JobId
from service.calls import Call, described
from service.frames import Frames
from service.keys import CATALOGUE, FRAMES, SCHEDULER, SETTINGS
from service.problems import RequestError
from service.queries import Number, Query, read_query
from service.wire import drawn, job_view

routes = web.RouteTableDef()

HEARTBEAT_SECONDS = 30
_DIGITS = 18

_log = logging.getLogger(__name__)


class SinceQuery(Query):
    """The query of `GET /api/images/jobs/{job_id}/events`."""

    since: Number | None = Field(
        default=None, description="repeat first what came after the event of this number"
    )


class NewsQuery(SinceQuery):
    """The query of `GET /api/images/ws`."""

    job_id: JobId | None = Field(default=None, description="hear of this job only")


@routes.get("/api/images/ws")
@described(
    Call(
        section="news",
        status=101,
        media="",
        query=NewsQuery,
        codes=("not_a_websocket", ("invalid_request", 400)),
        example={"since": 0},
    )
)
async def websocket(request: web.Request) -> web.WebSocketResponse:
    """Send news of all jobs, or of `job_id`; `since=` first repeats what came after that event.

    A text frame is JSON; a binary frame is a preview: the event's number (8 bytes, big endian)
    and a JPEG. A client that reads too slowly is cut off with 1013.
    """
    query = read_query(request, NewsQuery)
    job_id, since = query.job_id, _since(request, query.since)
    events = request.app[SCHEDULER].events
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, compress=False)
    if not socket.can_prepare(request):
        raise RequestError("open a websocket here", code="not_a_websocket")
    await socket.prepare(request)
    with events.subscribe(job_id=job_id, since=since) as news:
        await socket.send_json({"type": "hello", "last_event": events.last}, dumps=_dumps)
        sending = asyncio.create_task(_send(socket, news, request.app[FRAMES]))
        try:
            closed_by_us = await _read_until_closed(socket)
            if closed_by_us:
                await sending
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    return socket


async def _read_until_closed(socket: web.WebSocketResponse) -> bool:
    """Read, and forget, what the client says; return whether it is us who close."""
    while True:
        message = await socket.receive()
        if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR):
            return False
        if message.type is WSMsgType.CLOSING:
            return True


async def _send(socket: web.WebSocketResponse, news: Subscription, frames: Frames) -> None:
    """Send events until they end, or the client is too slow, or it is gone."""
    try:
        async for event in news:
            await socket.send_frame(frames.of(event), WSMsgType.TEXT)
            if event.kind == "progress" and (preview := _preview(event)):
                await socket.send_bytes(event.number.to_bytes(8, "big") + preview)
        await socket.close(code=WSCloseCode.GOING_AWAY)
    except ListenerLostError:
        await socket.close(code=WSCloseCode.TRY_AGAIN_LATER)
    except ConnectionError:
        return
    except Exception:  # noqa: BLE001
        # Nobody waits for us yet: the client would take the silence for "no news".
        _log.exception("live news hit a bug")
        await socket.close(code=WSCloseCode.INTERNAL_ERROR)


@routes.get("/api/images/jobs/{job_id}/events")
@described(
    Call(
        section="news",
        media="text/event-stream",
        query=SinceQuery,
        headers={"Last-Event-ID": "the same as `since`"},
        codes=("job_not_found", "store_down", ("invalid_request", 400)),
    )
)
async def server_sent(request: web.Request) -> web.StreamResponse:
    """Send news of one job as server-sent events, until it has ended."""
    job_id = JobId(request.match_info["job_id"])
    await request.app[SCHEDULER].table.find(job_id)
    since = _since(request, read_query(request, SinceQuery).since)
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
    )
    await response.prepare(request)
    try:
        async with asyncio.TaskGroup() as group:
            beating = group.create_task(_beat(response))
            await _tell(request, response, job_id, since)
            beating.cancel()
    except* ConnectionError:
        _log.debug("a listener left job %s", job_id)
    return response


async def _tell(
    request: web.Request, response: web.StreamResponse, job_id: JobId, since: int | None
) -> None:
    """Write what is to be told of a job: the news, or how it ended if there are none any more."""
    scheduler, told = request.app[SCHEDULER], False
    with scheduler.events.subscribe(job_id=job_id, since=since) as news:
        job = await scheduler.table.find(job_id)
        if job.finished:
            news.end()
        async for line in _lines(news, request.app[FRAMES]):
            told = True
            await response.write(line)
    if job.finished and not told:
        gone = await request.app[CATALOGUE].deleted([picture.key for picture in drawn(job)])
        view = job_view(job, request.app[SETTINGS].status_words, deleted=gone)
        body = orjson.dumps({"type": "job", "kind": "status", "job": view})
        await response.write(b"event: status\ndata: " + body + b"\n\n")


async def _beat(response: web.StreamResponse) -> None:
    """Write a comment now and then: only so is it noticed that a client has left."""
    while True:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        await response.write(b":\n\n")


async def _lines(news: Subscription, frames: Frames) -> AsyncIterator[bytes]:
    """Yield server-sent events until the job has ended; a client that was lost asks again."""
    try:
        async for event in news:
            head = f"id: {event.number}\nevent: {event.kind}\ndata: ".encode()
            yield head + frames.of(event) + b"\n\n"
            if event.job.finished:
                return
    except ListenerLostError:
        return


def _preview(event: JobEvent) -> bytes | None:
    progress = getattr(event.job.status, "progress", None)
    return progress.preview if progress else None


def _since(request: web.Request, since: int | None) -> int | None:
    """Return since which event; browsers send it in a header when they come back."""
    text = request.headers.get("Last-Event-ID", "")
    if since is not None or not text:
        return since
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise RequestError("not the number of an event", code="invalid_request", field="since")
    return int(text)


def _dumps(data: object) -> str:
    return orjson.dumps(data).decode()
