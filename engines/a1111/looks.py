"""How far the server says it is; pure. Decoration: only the answer of the call is the truth."""

import base64
import io
from dataclasses import dataclass
from typing import Any

from PIL import Image

from engines.base import Progress
from engines.errors import EngineProtocolError

_PREVIEW_SIDE = 512


@dataclass(frozen=True, slots=True)
class Task:
    """What `/internal/progress` says of one of our calls.

    A call that failed stays `active` until the next one starts, and one whose request could not
    be read stays `queued` for ever: only together with `State.busy` do both mean anything.
    """

    active: bool
    queued: bool
    fraction: float = 0.0
    text: str = ""
    preview: str = ""
    preview_id: int = -1


@dataclass(frozen=True, slots=True)
class State:
    """What `/sdapi/v1/progress` says of whatever runs, whoever asked for it.

    Attributes:
        busy: Something runs.
        interrupted: The last thing that ran was told to stop.
        started: When it began, `YYYYmmddHHMMSS` in the server's time.
    """

    busy: bool
    interrupted: bool
    started: str
    fraction: float


def read_task(body: Any) -> Task:  # noqa: ANN401 -- JSON as it came
    """Read `POST /internal/progress`.

    Raises:
        EngineProtocolError: it has another shape.
    """
    try:
        return Task(
            active=bool(body["active"]),
            queued=bool(body["queued"]),
            fraction=float(body.get("progress") or 0.0),
            text=str(body.get("textinfo") or ""),
            preview=str(body.get("live_preview") or ""),
            preview_id=int(body.get("id_live_preview") or -1),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EngineProtocolError(f"progress has another shape: {error!r}") from error


def read_state(body: Any) -> State:  # noqa: ANN401 -- JSON as it came
    """Read `GET /sdapi/v1/progress`.

    Raises:
        EngineProtocolError: it has another shape.
    """
    try:
        state = body["state"]
        return State(
            busy=bool(state["job"] or state["job_count"]),
            interrupted=bool(state["interrupted"] or state["skipped"]),
            started=str(state["job_timestamp"]),
            fraction=float(body.get("progress") or 0.0),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EngineProtocolError(f"progress has another shape: {error!r}") from error


def progress(fraction: float, *, done: int, steps: int, total: int) -> Progress:
    """Return the progress of a call of `steps` steps, before which `done` of `total` were done.

    The server counts in fractions; nothing is drawn yet while it says 0.
    """
    if fraction <= 0:
        return Progress("loading", done, total)
    if fraction >= 1:
        return Progress("decoding", done + steps, total)
    return Progress("drawing", done + int(fraction * steps + 1e-6), total)


def read_preview(uri: str) -> bytes | None:
    """Return a `data:` URI's picture as a small JPEG; None when it is none."""
    try:
        data = base64.b64decode(uri.partition("base64,")[2])
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as picture:
            if picture.format == "JPEG" and max(picture.size) <= _PREVIEW_SIDE:
                return data
            small = picture.convert("RGB")
            small.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    return out.getvalue()
