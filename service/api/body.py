"""Reads request bodies and query values, and answers with JSON."""

from typing import TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError

from service.problems import RequestError

_DIGITS = 18

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
    try:
        return kind.model_validate(data), raw
    except ValidationError as error:
        raise _wrong_fields(error) from None


def is_number(text: str) -> bool:
    """Say whether a text is a number that fits into 64 bits."""
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS


def read_limit(request: web.Request, *, usual: int, most: int) -> int:
    """Return the query value `limit`.

    Raises:
        RequestError: it is no number from 1 to `most`.
    """
    text = request.query.get("limit", str(usual))
    if not is_number(text) or not 1 <= int(text) <= most:
        raise RequestError(
            f"expected a number from 1 to {most}",
            code="invalid_request",
            status=422,
            field="limit",
        )
    return int(text)


def reply(data: object, *, status: int = 200) -> web.Response:
    """Answer with JSON."""
    return web.Response(body=orjson.dumps(data), status=status, content_type="application/json")


def _wrong_fields(error: ValidationError) -> RequestError:
    """Name every field at fault."""
    faults = [
        {"field": ".".join(str(part) for part in fault["loc"]), "detail": fault["msg"]}
        for fault in error.errors(include_url=False, include_input=False)
    ]
    first = faults[0]
    return RequestError(
        f"{first['field']}: {first['detail']}" if first["field"] else first["detail"],
        code="invalid_request",
        status=422,
        field=first["field"],
        errors=faults,
    )
