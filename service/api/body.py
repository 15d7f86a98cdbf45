"""Reads request bodies, and answers with JSON."""

from typing import TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError

from service.problems import RequestError
from service.queries import wrong_fields

B = TypeVar("B", bound=BaseModel)


async def read_body(request: web.Request, kind: type[B]) -> tuple[B, bytes]:
    """Return the body as `kind`, and its bytes.

    Raises:
        RequestError: it is no JSON object (400), too large (413) or wrong in a field (422).
    """
    try:
        raw = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise RequestError(error.text or "too large", code="body_too_large", status=413) from None
    except web.RequestPayloadError as error:
        raise RequestError(f"the body cannot be read: {error}", code="bad_body") from None
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the body is not JSON: {error}", code="invalid_json") from None
    if not isinstance(data, dict):
        detail = "the body is to be a JSON object"
        raise RequestError(detail, code="invalid_request", status=422)
    try:
        return kind.model_validate(data), raw
    except ValidationError as error:
        raise wrong_fields(error) from None


def reply(data: object, *, status: int = 200) -> web.Response:
    """Answer with JSON."""
    return web.Response(body=orjson.dumps(data), status=status, content_type="application/json")
