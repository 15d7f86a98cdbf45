"""Lets listed pages of other sites read our answers: cross-origin resource sharing (CORS).

Which requests of other sites' pages are refused is `service.middleware.guard`'s business; here it
is said, in the words of the Fetch standard, to whom browsers may hand an answer.
"""

import re
from collections.abc import Awaitable, Callable, Collection

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

KEPT_SECONDS = 600
"""How long a browser may remember what it was told about a call."""

_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-None-Match",
    "Last-Event-ID",
    "Range",
    "X-Client",
    "traceparent",
)
_ANSWER_HEADERS = "Accept-Ranges, Content-Range, ETag, Location, Retry-After"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""What a header's name is made of (RFC 9110, section 5.6.2)."""


def preflights(origins: Collection[str]) -> Middleware:
    """Return the middleware that tells a browser what pages of these origins may send.

    It answers before a token is asked for, since a browser shows none when it asks that.
    """

    @web.middleware
    async def answered(request: web.Request, handler: Handler) -> web.StreamResponse:
        asks = request.method == hdrs.METH_OPTIONS
        if not asks or hdrs.ACCESS_CONTROL_REQUEST_METHOD not in request.headers:
            return await handler(request)
        if request.headers.get(hdrs.ORIGIN) not in origins:
            return await handler(request)
        # What else a listed page may send is for its own good; llama.cpp's clients send much.
        wanted = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "").split(",")
        more = (name.strip() for name in wanted if _TOKEN.fullmatch(name.strip()))
        headers = {
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: _METHODS,
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: ", ".join(dict.fromkeys((*_REQUEST_HEADERS, *more))),
            hdrs.ACCESS_CONTROL_MAX_AGE: str(KEPT_SECONDS),
        }
        return web.Response(status=204, headers=headers)

    return answered


def sharing(
    origins: Collection[str],
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return what marks every answer, streams and refusals too, as readable for these origins.

    Cookies do not count for it: a page of another site shows the token in a header.
    """

    async def mark(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and origin in origins:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _ANSWER_HEADERS

    return mark
