"""What a ComfyUI server answers over HTTP, read without asking: queue, history, refusals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

from engines.errors import (
    EngineError,
    EngineProtocolError,
    InvalidSpecError,
    ModelNotFoundError,
    OutOfMemoryError,
)


class Waiting(Enum):
    """A prompt that is not over."""

    PENDING = "pending"
    BEHIND = "pending, and the worker is busy with another prompt"
    RUNNING = "running"


class Gone(Enum):
    """A prompt that the server knows nothing of: lost, deleted, or never accepted."""

    GONE = "gone"


@dataclass(frozen=True, slots=True)
class File:
    """A picture that the server has written."""

    filename: str
    subfolder: str
    folder: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """A prompt that succeeded, with the pictures of each output node."""

    outputs: Mapping[str, tuple[File, ...]]


@dataclass(frozen=True, slots=True)
class Failed:
    """A prompt that ended with an error."""

    error: EngineError


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A prompt that somebody stopped."""


Outcome: TypeAlias = Drawn | Failed | Interrupted
Standing: TypeAlias = Waiting | Gone | Outcome

_FILE_FIELDS: Final = {
    "ckpt_name": "model",
    "unet_name": "model",
    "lora_name": "loras",
    "control_net_name": "controls",
    "model_name": "upscale",
    "vae_name": "model",
}
_FIELDS: Final = {
    "sampler_name": "sampler",
    "scheduler": "sampler",
    "image": "init_image",
    "width": "width",
    "height": "height",
    "steps": "steps",
    "cfg": "cfg",
    "seed": "seed",
}


def read_history(body: Any, prompt_id: str) -> Outcome | None:  # noqa: ANN401 -- JSON
    """Read `GET /history/{id}`; None while the prompt is not over, or unknown."""
    entry = _mapping(body, "history").get(prompt_id)
    if entry is None:
        return None
    status = _mapping(entry, "history entry").get("status") or {}
    messages = dict(m for m in status.get("messages", ()) if len(m) == 2)  # noqa: PLR2004 -- pairs
    if "execution_interrupted" in messages:
        return Interrupted()
    if status.get("status_str", "success") != "success":
        return Failed(_failure(messages.get("execution_error") or {}))
    return Drawn({node: _files(output) for node, output in entry.get("outputs", {}).items()})


def read_queue(body: Any, prompt_id: str) -> Waiting | None:  # noqa: ANN401 -- JSON
    """Read `GET /queue`; None when the prompt is in neither half."""
    queue = _mapping(body, "queue")
    running, pending = queue.get("queue_running", ()), queue.get("queue_pending", ())
    if any(item[1] == prompt_id for item in running):
        return Waiting.RUNNING
    if any(item[1] == prompt_id for item in pending):
        return Waiting.BEHIND if running else Waiting.PENDING
    return None


def read_options(body: Any, node_class: str, name: str) -> list[str]:  # noqa: ANN401 -- JSON
    """Read the options of a combo from `GET /object_info/{class}`; none without that node.

    Two shapes: `[[options], {…}]`, and of nodes with the newer schema `["COMBO", {"options"}]`.
    """
    inputs = _mapping(body, "object_info").get(node_class, {}).get("input", {})
    match {**inputs.get("optional", {}), **inputs.get("required", {})}.get(name):
        case [[*options], *_] | ["COMBO", {"options": [*options]}, *_]:
            return [str(option) for option in options]
        case _:
            return []


def read_refusal(body: Any) -> EngineError | None:  # noqa: ANN401 -- JSON
    """Read the answer to `POST /prompt`; None when the whole prompt was accepted.

    `node_errors` beside an acceptance mean that some of the outputs were dropped in silence.
    """
    answer = _mapping(body, "answer")
    error, nodes = answer.get("error"), answer.get("node_errors") or {}
    if not error and not nodes:
        return None
    complaints = [
        (problem, f"{node.get('class_type', 'node')} ({node_id})")
        for node_id, node in nodes.items()
        for problem in node.get("errors", ())
    ]
    words = "; ".join(f"{where}: {_complaint(problem)}" for problem, where in complaints)
    if not words and isinstance(error, Mapping):
        words = ": ".join(filter(None, (error.get("message"), error.get("details"))))
    return _blame(complaints, words or str(error or "nodes without a complaint were refused"))


def _blame(complaints: Sequence[tuple[Mapping[str, Any], str]], words: str) -> EngineError:
    names = [(problem.get("extra_info") or {}).get("input_name") for problem, _ in complaints]
    for name, (problem, _) in zip(names, complaints, strict=True):
        if name in _FILE_FIELDS and problem.get("type") == "value_not_in_list":
            return ModelNotFoundError(words, field=_FILE_FIELDS[name])
    field = next((_FIELDS[name] for name in names if name in _FIELDS), "")
    return InvalidSpecError(words, field=field)


def _complaint(problem: Mapping[str, Any]) -> str:
    extra = problem.get("extra_info") or {}
    if problem.get("type") == "value_not_in_list" and "received_value" in extra:
        return f"the server has no {extra.get('input_name')} {extra['received_value']!r}"
    return f"{problem.get('message', problem.get('type'))} ({problem.get('details', '')})"


def _failure(problem: Mapping[str, Any]) -> EngineError:
    kind = str(problem.get("exception_type", ""))
    said = str(problem.get("exception_message", "")).strip()
    words = f"{problem.get('node_type', 'a node')}: {kind.rpartition('.')[2]}: {said}"
    if kind.endswith("OutOfMemoryError") or "out of memory" in said.casefold():
        return OutOfMemoryError(words)
    return EngineError(words if problem else "the prompt failed without a word")


def _files(output: Any) -> tuple[File, ...]:  # noqa: ANN401 -- JSON
    return tuple(
        File(image["filename"], image.get("subfolder", ""), image.get("type", "output"))
        for image in (output or {}).get("images") or ()
        if "filename" in image
    )


def _mapping(value: Any, what: str) -> Mapping[str, Any]:  # noqa: ANN401 -- JSON
    if not isinstance(value, Mapping):
        raise EngineProtocolError(f"the {what} is no object: {str(value)[:200]}")
    return value
