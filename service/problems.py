"""Errors as clients see them: RFC 9457 problem documents with a stable code."""

from collections.abc import Mapping, Sequence

import orjson
from aiohttp import web

from engines.errors import EngineError, InvalidSpecError, ModelNotFoundError
from scheduler.errors import (
    BadKeyError,
    GpuBusyError,
    GpuNotFoundError,
    IdempotencyError,
    IllegalTransitionError,
    JobNotFoundError,
    LeaseLostError,
    LockDownError,
    NotStoredError,
    QueueFullError,
    SchedulerError,
    ShuttingDownError,
    StoreDownError,
)

CONTENT_TYPE = "application/problem+json"
DOCUMENT: web.ResponseKey[Mapping[str, object]] = web.ResponseKey("problem document")
"""Under this key an answer holds the problem that it tells, for who tells it in other words."""

_STATUS: Mapping[type[Exception], int] = {
    InvalidSpecError: 422,
    ModelNotFoundError: 422,
    BadKeyError: 400,
    JobNotFoundError: 404,
    NotStoredError: 404,
    IllegalTransitionError: 409,
    IdempotencyError: 409,
    QueueFullError: 429,
    ShuttingDownError: 503,
    StoreDownError: 503,
    GpuNotFoundError: 404,
    LeaseLostError: 409,
    GpuBusyError: 504,
    LockDownError: 503,
}
"""What is not listed is answered like its nearest listed ancestor, else with 500."""

_TITLES = {
    400: "Bad request",
    401: "Not authorised",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    422: "Cannot be done as asked",
    429: "Too many requests",
    500: "Internal error",
    502: "Bad gateway",
    503: "Not available now",
    504: "Gateway timeout",
}


class RequestError(Exception):
    """The request itself is wrong.

    Attributes:
        field: The dotted name of the field at fault, empty when it is not one field.
        errors: Every fault that was found, when there are several.
    """

    def __init__(
        self,
        detail: str,
        *,
        code: str,
        status: int = 400,
        field: str = "",
        errors: Sequence[Mapping[str, str]] = (),
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.status = status
        self.field = field
        self.errors = errors


def problem(
    status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: object
) -> web.Response:
    """Return a problem document; `more` are further members that are not empty.

    What a header brought into `detail` need not be text; each wrong byte becomes a "?".
    """
    body: dict[str, object] = {
        "type": f"about:blank#{code}",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": detail.encode(errors="replace").decode(),
        "code": code,
        **{name: value for name, value in more.items() if value},
    }
    answer = web.Response(
        status=status, body=orjson.dumps(body), content_type=CONTENT_TYPE, headers=headers
    )
    answer[DOCUMENT] = body
    return answer


def status_of(kind: type[Exception]) -> int:
    """Return the status that errors of a kind are answered with."""
    return next((_STATUS[ancestor] for ancestor in kind.__mro__ if ancestor in _STATUS), 500)


def translate(error: EngineError | SchedulerError | RequestError) -> web.Response:
    """Return the answer to a failure of ours: the one place where errors become HTTP."""
    if isinstance(error, RequestError):
        return problem(error.status, error.code, str(error), field=error.field, errors=error.errors)
    status = status_of(type(error))
    headers = (
        {"Retry-After": str(error.retry_after_seconds)}
        if isinstance(error, QueueFullError)
        else None
    )
    field = getattr(error, "field", "")
    holders = getattr(error, "holders", ())
    return problem(status, error.code, str(error), headers=headers, field=field, holders=holders)
