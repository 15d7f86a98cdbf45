"""What the answers of a service, or of something else, mean to the command line."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from service.cli.client import Address, Images, connect
from service.cli.exits import RefusedError, UnreachableError, UnwillingError

Answer = Callable[[web.Request], web.Response]


@asynccontextmanager
async def facing(answer: Answer) -> AsyncIterator[Images]:
    """Connect to a server that answers everything in one way."""

    async def handle(request: web.Request) -> web.Response:
        return answer(request)

    app = web.Application()
    app.add_routes([web.route("*", "/{path:.*}", handle)])
    async with TestServer(app) as server, connect(Address(str(server.make_url("/")))) as images:
        yield images


async def test_a_lost_answer_is_asked_for_again_under_the_same_key() -> None:
    keys = []

    def answer(request: web.Request) -> web.Response:
        keys.append(request.headers["Idempotency-Key"])
        if len(keys) == 1 and request.transport is not None:
            request.transport.close()
        return web.json_response({"job_id": "j"}, status=202)

    async with facing(answer) as images:
        assert (await images.submit({"prompt": "x"}))["job_id"] == "j"
        await images.submit({"prompt": "x"})
    assert keys[0] == keys[1] != keys[2]


async def test_a_service_that_never_answers_is_not_asked_for_ever() -> None:
    asked = []

    def answer(request: web.Request) -> web.Response:
        asked.append(request)
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async with facing(answer) as images:
        with pytest.raises(UnreachableError, match="hung up before it answered"):
            await images.submit({"prompt": "x"})
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RefusedError),
        (404, RefusedError),
        (422, RefusedError),
        (429, UnwillingError),
        (500, UnwillingError),
        (503, UnwillingError),
    ],
)
async def test_a_problem_says_what_is_wrong_and_its_status_whose_fault_it_is(
    status: int, error: type[Exception]
) -> None:
    problem = {"detail": "as it is", "code": "x", "field": "y"}
    async with facing(lambda _: web.json_response(problem, status=status)) as images:
        with pytest.raises(error, match="as it is") as caught:
            await images.call("GET", "x")
    assert caught.value.problem == {**problem, "status": status}


@pytest.mark.parametrize("body", ["<h1>Bad gateway</h1>", "[1]", ""])
async def test_an_error_that_is_no_problem_document_still_has_a_meaning(body: str) -> None:
    async with facing(lambda _: web.Response(text=body, status=502)) as images:
        with pytest.raises(UnwillingError, match="HTTP 502 Bad Gateway"):
            await images.call("GET", "x")


async def test_somebody_else_s_page_is_not_taken_for_the_service() -> None:
    async with facing(lambda _: web.Response(text="<h1>Hello</h1>")) as images:
        with pytest.raises(UnreachableError, match="is not KITTY Images"):
            await images.call("GET", "x")


async def test_ids_cannot_leave_their_place_in_the_address() -> None:
    seen = []

    def answer(request: web.Request) -> web.Response:
        seen.append(request.raw_path)
        return web.json_response({})

    async with facing(answer) as images:
        await images.job("../../queue/pause?x#y")
    assert seen == ["/api/images/jobs/..%2F..%2Fqueue%2Fpause%3Fx%23y"]
