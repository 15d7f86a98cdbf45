"""The API described: for machines as an OpenAPI document, for people as a page."""

import asyncio

import aiohttp_jinja2
from aiohttp import web

from service.api.body import reply
from service.calls import Call, described
from service.keys import SETTINGS
from service.openapi.codes import CODES, JOB_CODES
from service.openapi.document import build
from service.openapi.page import sections, shapes
from service.openapi.schemas import Schema

routes = web.RouteTableDef()

DOCUMENT: web.AppKey[dict[str, Schema]] = web.AppKey("document")
"""The document under the name "document", once somebody has asked for it."""

_NOTHING_ELSE = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


@routes.get("/openapi.json")
@described(Call(section="operations", answer=dict[str, object]))
async def openapi(request: web.Request) -> web.Response:
    """Return this description as an OpenAPI 3.1 document."""
    return reply(await _document(request))


@routes.get("/docs")
@described(Call(section="operations", media="text/html"))
async def docs(request: web.Request) -> web.Response:
    """Show the calls, their fields, examples and codes on a page."""
    settings, document = request.app[SETTINGS], await _document(request)
    token = settings.api_token is not None
    base = (settings.public_url or f"{request.scheme}://{request.host}").rstrip("/")
    context = {
        "document": document,
        "sections": sections(document, base=base, token=token),
        "shapes": shapes(document),
        "codes": CODES,
        "job_codes": JOB_CODES,
        "token": token,
    }
    page = aiohttp_jinja2.render_template("docs.html", request, context)
    page.headers.update(_NOTHING_ELSE)
    return page


async def _document(request: web.Request) -> Schema:
    """Return the document, made when it is first asked for.

    It takes a tenth of a second, so others have the event loop meanwhile.
    """
    kept = request.app[DOCUMENT]
    if "document" not in kept:
        token = request.app[SETTINGS].api_token is not None
        routes = tuple(request.app.router.routes())
        kept["document"] = await asyncio.to_thread(build, routes, token=token)
    return kept["document"]
