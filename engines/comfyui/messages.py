"""What a ComfyUI websocket says, as typed messages.

The frames are those of `server.py`, `protocol.py` and `comfy_execution/progress.py` in releases
0.3.64 to 0.38. A frame of a kind that is not followed, and one that is malformed, is None: the
socket only hastens what a poll of the queue and the history decides.
"""

import struct
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import orjson

FEATURE_FLAGS: Final = orjson.dumps(
    {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
).decode()
"""The first frame on every socket; without it previews come without the prompt's name."""

_PREVIEWS, _PREVIEW_WITH_METADATA = (1, 2), 4
"""Event 2 (not yet encoded) becomes 1 before it leaves every release read; it is read alike."""

_HEAD = struct.Struct(">II")
_MEDIA_TYPES = {1: "image/jpeg", 2: "image/png"}


@dataclass(frozen=True, slots=True)
class Executing:
    """The worker is at `node`; None when the prompt has left the worker, however it ended.

    After a reconnect the server names the node only: then `prompt_id` is None.
    """

    prompt_id: str | None
    node: str | None


@dataclass(frozen=True, slots=True)
class Cached:
    """The outputs of these nodes are known already: they are not run."""

    prompt_id: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stepped:
    """`value` of `most` steps of a node are done."""

    prompt_id: str | None
    node: str
    value: int
    most: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The server says that a prompt is over; the history, written later, says how."""

    prompt_id: str


@dataclass(frozen=True, slots=True)
class Preview:
    """A small picture of what is being drawn; old servers do not say of which prompt."""

    prompt_id: str | None
    node: str | None
    media_type: str
    image: bytes


Message: TypeAlias = Executing | Cached | Stepped | Ended | Preview


def parse(frame: bytes | str) -> Message | None:
    """Read one frame; None for kinds that are not followed and for malformed ones."""
    try:
        return _parse_binary(frame) if isinstance(frame, bytes) else _parse_text(frame)
    except (struct.error, ValueError, KeyError, TypeError, AttributeError):
        return None


def _parse_text(frame: str) -> Message | None:
    message = orjson.loads(frame)
    data: dict[str, Any] = message["data"]
    match message["type"]:
        case "executing":
            return Executing(_name(data.get("prompt_id")), _name(data["node"]))
        case "execution_cached":
            return Cached(data["prompt_id"], tuple(str(node) for node in data["nodes"]))
        case "progress":
            node = str(data["node"])
            return Stepped(_name(data.get("prompt_id")), node, int(data["value"]), int(data["max"]))
        case "execution_success" | "execution_error" | "execution_interrupted":
            return Ended(data["prompt_id"])
        case "progress_state":
            return _running(data)
        case _:
            return None


def _running(data: dict[str, Any]) -> Stepped | None:
    """Return how far the node is that runs; the frame lists finished ones, too."""
    for node, state in data["nodes"].items():
        if state["state"] == "running":
            return Stepped(data["prompt_id"], node, int(state["value"]), int(state["max"]))
    return None


def _parse_binary(frame: bytes) -> Preview | None:
    event, second = _HEAD.unpack_from(frame)
    body = frame[_HEAD.size :]
    if event in _PREVIEWS and second in _MEDIA_TYPES:
        return Preview(None, None, _MEDIA_TYPES[second], body) if body else None
    if event != _PREVIEW_WITH_METADATA or len(body) <= second:
        return None
    about = orjson.loads(body[:second])
    return Preview(
        _name(about.get("prompt_id")),
        _name(about.get("node_id")),
        str(about.get("image_type", "image/jpeg")),
        body[second:],
    )


def _name(value: object) -> str | None:
    return None if value is None else str(value)
