"""What an InvokeAI server says, as typed values: socket events, queue items, queue status.

The events are those of `invokeai/app/services/events/events_common.py` in 6.14. An event of a
kind that is not followed, and one that is malformed, is None: the socket only hastens what a poll
of the queue decides.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, cast, get_args

from engines.errors import EngineProtocolError

Status: TypeAlias = Literal["pending", "in_progress", "waiting", "completed", "failed", "canceled"]
"""`waiting` (6.14) is an item whose child workflow runs."""

ENDED: Final = frozenset[Status]({"completed", "failed", "canceled"})

_JPEG = "data:image/jpeg;base64,"


@dataclass(frozen=True, slots=True)
class Stepped:
    """A node made progress; `share` is None while its end is not known.

    A preview comes latent-sized. Servers before 6.14 repeat every event without its preview.
    """

    batch: str
    node: str
    words: str
    share: float | None = None
    preview: bytes | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """An item of the batch has another status; the poll says what that means."""

    batch: str
    status: str


@dataclass(frozen=True, slots=True)
class Disturbed:
    """Items were cancelled or deleted in bulk, for which no other events come."""


Message: TypeAlias = Stepped | Changed | Disturbed


def read_event(name: str, data: object) -> Message | None:
    """Read one socket.io event."""
    match name, data:
        case "invocation_progress", {
            "batch_id": str(batch),
            "invocation_source_id": str(node),
            "message": str(words),
        }:
            assert isinstance(data, Mapping)  # noqa: S101 -- what the pattern has just said
            share = data.get("percentage")
            if not isinstance(share, int | float) or not 0 <= share <= 1:
                share = None
            return Stepped(batch, node, words, share, _preview(data.get("image")))
        case "queue_item_status_changed", {"batch_id": str(batch), "status": str(status)}:
            return Changed(batch, status)
        case "queue_items_canceled" | "queue_cleared", _:
            return Disturbed()
        case _:
            return None


def _preview(image: object) -> bytes | None:
    match image:
        case {"dataURL": str(url)} if url.startswith(_JPEG):
            try:
                return base64.b64decode(url[len(_JPEG) :], validate=True)
            except binascii.Error:
                return None
        case _:
            return None


@dataclass(frozen=True, slots=True)
class Item:
    """A queue item, as the server's database has it.

    Attributes:
        begun: Whether a worker has ever taken it up.
        images: Our node's id → name of the picture that it made.
    """

    number: int
    batch: str
    status: Status
    begun: bool = False
    error_type: str = ""
    error_message: str = ""
    images: Mapping[str, str] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in ENDED


def read_item(data: object) -> Item:
    """Read a queue item.

    Raises:
        EngineProtocolError: it is none.
    """
    match data:
        case {"item_id": int(number), "batch_id": str(batch), "status": str(status)} if (
            status in get_args(Status)
        ):
            assert isinstance(data, Mapping)  # noqa: S101 -- what the pattern has just said
            return Item(
                number=number,
                batch=batch,
                status=cast(Status, status),
                begun=bool(data.get("started_at")),
                error_type=str(data.get("error_type") or ""),
                error_message=str(data.get("error_message") or ""),
                images=_images(data.get("session")),
            )
        case _:
            raise EngineProtocolError(f"no queue item: {str(data)[:200]}")


def _images(session: object) -> dict[str, str]:
    """Read which node made which picture: results are filed under ids of the server's making."""
    match session:
        case {"source_prepared_mapping": Mapping() as prepared, "results": Mapping() as results}:
            named = (
                (str(node), _image_name(results.get(key)))
                for node, keys in prepared.items()
                for key in keys
            )
            return {node: name for node, name in named if name}
        case _:
            return {}


def _image_name(result: object) -> str:
    match result:
        case {"type": "image_output", "image": {"image_name": str(name)}}:
            return name
        case _:
            return ""


@dataclass(frozen=True, slots=True)
class Queue:
    """What the queue and its worker do.

    Attributes:
        current: The item that the database calls running; a cancelled one is not, though the
            worker may still be at it.
        processing: Whether the worker is at something.
        started: Whether the worker takes new items; a paused one does not.
    """

    current: int | None
    processing: bool
    started: bool


def read_queue(data: Any) -> Queue:  # noqa: ANN401 -- the shape is checked here
    """Read `GET …/status`.

    Raises:
        EngineProtocolError: it is none.
    """
    match data:
        case {
            "queue": Mapping() as queue,
            "processor": {"is_started": bool(started), "is_processing": bool(processing)},
        }:
            current = queue.get("item_id")
            return Queue(current if isinstance(current, int) else None, processing, started)
        case _:
            raise EngineProtocolError(f"no queue status: {str(data)[:200]}")
