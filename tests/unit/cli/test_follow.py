"""A job is followed to its end whatever becomes of websocket and service."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from service.cli.client import Address, connect
from service.cli.exits import RefusedError, UnreachableError, UnwillingError
from service.cli.follow import Patience, follow

PATIENCE = Patience(poll_seconds=0, misses=3)


def job(state: str, progress: float = 0.0) -> dict[str, Any]:
    """Return what is read of a job here."""
    return {"job_id": "j", "state": state, "progress": progress}


class Scripted:
    """A service that answers questions, and pushes, from two scripts.

    A number among the answers is a status to fail with; "away" drops the connection. The
    websocket closes when its script ends; None means that there is no websocket.
    """

    def __init__(
        self, *, answers: Iterable[dict[str, Any] | int | str], pushes: list[Any] | None
    ) -> None:
        self.answers = list(answers)
        self.pushes = pushes
        self.asked = 0

    async def show(self, request: web.Request) -> web.Response:
        """Answer with the next of the script; the last one stays true."""
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer == "away":
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        if isinstance(answer, int):
            return web.json_response({"detail": "no", "code": "x"}, status=answer)
        return web.json_response(answer)

    async def push(self, request: web.Request) -> web.WebSocketResponse:
        """Greet, push the script, hang up."""
        if self.pushes is None:
            raise web.HTTPNotFound
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "hello", "last_event": 0})
        for frame in self.pushes:
            await socket.send_json({"type": "job", "event": 1, "kind": "progress", "job": frame})
        await socket.close()
        return socket


@asynccontextmanager
async def states(server: Scripted) -> AsyncIterator[list[tuple[str, float]]]:
    """Follow the job at `server` and give what was seen."""
    app = web.Application()
    app.add_routes([web.get("/api/images/ws", server.push)])
    app.add_routes([web.get("/api/images/jobs/{job_id}", server.show)])
    async with TestServer(app) as running, connect(Address(str(running.make_url("/")))) as images:
        yield [(one["state"], one["progress"]) async for one in follow(images, "j", PATIENCE)]


async def test_pushed_to_its_end_it_is_asked_for_only_once() -> None:
    server = Scripted(answers=[job("running")], pushes=[job("running", 0.5), job("succeeded", 1.0)])
    async with states(server) as seen:
        assert seen == [("running", 0.0), ("running", 0.5), ("succeeded", 1.0)]
    assert server.asked == 1


async def test_a_job_that_ended_before_the_socket_was_open_is_not_waited_for() -> None:
    async with states(Scripted(answers=[job("failed")], pushes=[])) as seen:
        assert seen == [("failed", 0.0)]


async def test_news_of_other_jobs_are_not_taken_for_ours() -> None:
    other = {**job("succeeded", 1.0), "job_id": "k"}
    server = Scripted(answers=[job("running")], pushes=[other, job("cancelled")])
    async with states(server) as seen:
        assert seen == [("running", 0.0), ("cancelled", 0.0)]


async def test_without_a_websocket_it_polls() -> None:
    server = Scripted(
        answers=[job("queued"), job("running", 0.5), job("succeeded", 1.0)], pushes=None
    )
    async with states(server) as seen:
        assert seen == [("queued", 0.0), ("running", 0.5), ("succeeded", 1.0)]


async def test_when_the_websocket_ends_too_early_it_polls_on() -> None:
    server = Scripted(answers=[job("running"), job("succeeded", 1.0)], pushes=[job("running", 0.4)])
    async with states(server) as seen:
        assert seen == [("running", 0.0), ("running", 0.4), ("succeeded", 1.0)]


async def test_a_service_that_restarts_is_waited_for() -> None:
    lost = ["away", 503, 503]
    answers = [job("running", 0.5), *lost, job("queued"), *lost, job("succeeded", 1.0)]
    async with states(Scripted(answers=answers, pushes=None)) as seen:
        assert seen == [("running", 0.5), ("queued", 0.0), ("succeeded", 1.0)]


@pytest.mark.parametrize(("answer", "error"), [("away", UnreachableError), (503, UnwillingError)])
async def test_a_service_that_stays_away_is_given_up(
    answer: str | int, error: type[Exception]
) -> None:
    server = Scripted(answers=[job("running"), answer], pushes=None)
    with pytest.raises(error):
        async with states(server):
            pass
    assert server.asked >= 1 + PATIENCE.misses


async def test_a_job_that_does_not_exist_is_not_waited_for() -> None:
    server = Scripted(answers=[404], pushes=[])
    with pytest.raises(RefusedError):
        async with states(server):
            pass
    assert server.asked == 1
