"""What InvokeAI's refusals and failed items mean in our error codes."""

from collections.abc import Iterator, Mapping
from typing import Final

from engines.errors import (
    EngineError,
    EngineProtocolError,
    InvalidSpecError,
    ModelNotFoundError,
    OutOfMemoryError,
)
from engines.http import Answer
from engines.invokeai.messages import Item

_FIELDS: Final[Mapping[str, str]] = {
    "cfg_scale": "cfg",
    "steps": "steps",
    "width": "width",
    "height": "height",
    "scheduler": "sampler",
    "seed": "seed",
    "skipped_layers": "clip_skip",
    "denoising_start": "strength",
    "control_weight": "controls",
    "begin_step_percent": "controls",
    "end_step_percent": "controls",
    "weight": "loras",
}
"""Fields of nodes → the spec's field that they come from."""

_UNPROCESSABLE, _UNSUPPORTED = 422, 415


def failure(item: Item) -> EngineError:
    """Return the error that a failed item stands for."""
    words = f"{item.error_type}: {item.error_message}"
    lowered = words.casefold()
    if "outofmemory" in lowered or "out of memory" in lowered:
        return OutOfMemoryError(words)
    if "unknown model" in lowered or "unknown lora" in lowered:
        return ModelNotFoundError(words, field="loras" if "unknown lora" in lowered else "model")
    return EngineError(words)


def refusal(answer: Answer) -> EngineError:
    """Return the error that a status other than 2xx stands for, when work or a picture is sent."""
    if answer.status == _UNSUPPORTED:
        return InvalidSpecError(answer.text, field="init_image")
    if answer.status == _UNPROCESSABLE:
        try:
            problems = list(_problems(answer.json()))
        except EngineProtocolError:
            problems = []
        words = "; ".join(f"{'.'.join(place)}: {message}" for place, message in problems)
        return InvalidSpecError(words or answer.text, field=_field(problems))
    return EngineProtocolError(f"{answer.request}: {answer.status} {answer.text}")


def _problems(body: object) -> Iterator[tuple[list[str], str]]:
    """Yield where and what each problem of a validation error is."""
    match body:
        case {"detail": list(problems)}:
            for problem in problems:
                match problem:
                    case {"loc": list(place), "msg": str(message)}:
                        yield [str(step) for step in place[-3:]], message
                    case _:
                        continue
        case _:
            return


def _field(problems: list[tuple[list[str], str]]) -> str:
    """Return the spec's field that the first problem is about, empty when it is none of them."""
    return next((_FIELDS[p[-1]] for p, _ in problems if p and p[-1] in _FIELDS), "")
