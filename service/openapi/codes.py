"""Every code that a refusal or a job may carry: its status, and what it means."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engines import errors as engine_errors
from engines.errors import EngineError, InvalidSpecError
from scheduler.errors import SchedulerError
from service.problems import status_of


@dataclass(frozen=True, slots=True)
class Code:
    """What a code means, and the status that it comes with."""

    status: int
    meaning: str


_OURS: Mapping[str, Code] = {
    "bad_body": Code(400, "The body cannot be read."),
    "body_too_large": Code(413, "The body is larger than is taken."),
    "cross_origin": Code(403, "A page of another site asked; ALLOWED_ORIGINS does not list it."),
    "http_error": Code(400, "The request is no good HTTP."),
    "images_disabled": Code(503, "IMAGES_ENABLED is off: no new pictures are drawn."),
    "internal": Code(500, "A bug of ours; the log has the details."),
    "invalid_json": Code(400, "The body is not JSON."),
    "invalid_request": Code(422, "A field of body or query is wrong (400: a header)."),
    "llm_down": Code(502, "The llama.cpp server does not answer, or broke off."),
    "llm_not_found": Code(404, "There is no llama.cpp server of that name."),
    "llm_timeout": Code(504, "The llama.cpp server took too long."),
    "method_not_allowed": Code(405, "The path is right, the method is not."),
    "no_such_path": Code(404, "Nothing is under that path."),
    "not_a_websocket": Code(400, "Only a websocket can be opened here."),
    "unauthorised": Code(401, "A token is needed: `Authorization: Bearer <token>`."),
    "unknown_host": Code(403, "The host's name is not known as ours; see PUBLIC_URL."),
}


def _family(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _family(child)


def _meaning(kind: type[Exception]) -> str:
    return (kind.__doc__ or "").splitlines()[0]


CODES: Mapping[str, Code] = dict(
    sorted(
        {
            **{
                kind.code: Code(status_of(kind), _meaning(kind))
                for base in (SchedulerError, InvalidSpecError)
                for kind in _family(base)
                if issubclass(kind, SchedulerError | EngineError)
            },
            **_OURS,
        }.items()
    )
)
"""Code of a problem document → status and meaning."""

JOB_CODES: Mapping[str, str] = {
    **{
        kind.code: _meaning(kind)
        for kind in vars(engine_errors).values()
        if isinstance(kind, type) and issubclass(kind, EngineError)
    },
    "bad_png": CODES["bad_png"].meaning,
    "cancelled": "Somebody cancelled it.",
    "engine_unknown": "Its engine is no longer configured.",
    "gpu_taken": "A chat took the GPU; it is drawn again.",
    "internal": CODES["internal"].meaning,
    "poison_job": "The service died again and again while it drew this.",
    "restart": "The service died while it drew this; it goes on.",
    "shutdown": "The service was stopped while it drew this; it goes on.",
    "store_down": CODES["store_down"].meaning,
    "store_error": CODES["store_error"].meaning,
}
"""Code of a job (`error_code`) → what it means."""
