"""What the server answers, as typed values and as our errors; pure."""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engines.a1111.methods import AUTOMATIC
from engines.a1111.payloads import Plan
from engines.a1111.stock import Checkpoint, stem
from engines.base import Shortfall
from engines.errors import (
    BadPictureError,
    EngineError,
    EngineProtocolError,
    InvalidSpecError,
    OutOfMemoryError,
)
from engines.http import Answer

_SCHEDULE = re.compile(r"Schedule type: ([^,\n]+)")
_BLAMED = {
    "could not find upscaler": "hires",
    "Invalid encoded image": "init_image",
    "Init image not found": "init_image",
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture as it came, and what the server says of it (`info`)."""

    picture: bytes
    info: Mapping[str, Any]

    @property
    def seed(self) -> int:
        """The seed that was really used."""
        return int(self.info.get("seed", -1))

    @property
    def extra(self) -> Mapping[str, Any]:
        """What extensions and special features left in the infotext."""
        extra = self.info.get("extra_generation_params")
        return extra if isinstance(extra, dict) else {}

    @property
    def infotext(self) -> str:
        """The text that the web page would show under the picture."""
        texts = self.info.get("infotexts")
        return str(texts[0]) if isinstance(texts, list) and texts else ""

    @property
    def scheduler(self) -> str:
        """The schedule that was really used, empty when the server does not say."""
        named = self.extra.get("Schedule type")
        if isinstance(named, str):
            return named
        found = _SCHEDULE.search(self.infotext)
        return found[1].strip() if found else ""


def read_drawn(answer: Answer) -> Drawn:
    """Read what `txt2img` or `img2img` answered.

    Raises:
        EngineError: it is a failure, in the code that it means.
        BadPictureError: there is no picture in it.
        EngineProtocolError: it has another shape.
    """
    if not answer.ok:
        raise failure(answer)
    body = answer.json()
    try:
        # Python's own reader: the server writes NaN where it has no number
        info, images = json.loads(body["info"]), body["images"]
        first = int(info.get("index_of_first_image", 0))
        picture = images[first] if len(images) > first else ""
        if picture:
            return Drawn(base64.b64decode(picture), info)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EngineProtocolError(f"{answer.request}: another shape: {error!r}") from error
    raise BadPictureError("the server answered without a picture")


def read_enlarged(answer: Answer) -> bytes:
    """Read the picture that `extra-single-image` answered.

    Raises:
        EngineError: as `read_drawn`.
    """
    if not answer.ok:
        raise failure(answer)
    try:
        return base64.b64decode(answer.json()["image"])
    except (KeyError, TypeError, binascii.Error) as error:
        raise EngineProtocolError(f"{answer.request}: another shape: {error!r}") from error


def check(drawn: Drawn, plan: Plan, *, seed: int) -> tuple[Shortfall, ...]:
    """Compare what was drawn with what was asked; return what was passed over in silence.

    Raises:
        BadPictureError: another model, sampler, schedule or seed drew it.
    """
    info, asked = drawn.info, plan.checkpoint
    if drawn.seed != seed:
        raise BadPictureError(f"seed {drawn.seed} was drawn, not {seed}")
    if not _is(asked, str(info.get("sd_model_name") or ""), str(info.get("sd_model_hash") or "")):
        used = f"{info.get('sd_model_name')} [{info.get('sd_model_hash')}]"
        raise BadPictureError(f"the server drew with {used}, not with {asked.title}")
    sampler, scheduler = str(info.get("sampler_name") or ""), drawn.scheduler
    if sampler.casefold() != plan.method.sampler.casefold():
        raise BadPictureError(f"the server drew with {sampler!r}, not with {plan.method.sampler!r}")
    if scheduler and plan.method.scheduler not in ("", AUTOMATIC, scheduler):
        raise BadPictureError(
            f"the server drew with schedule {scheduler!r}, not with {plan.method.scheduler!r}"
        )
    return tuple(_passed_over(drawn, plan))


def failure(answer: Answer) -> EngineError:
    """Return the error that a status of 4xx or 5xx means, with the server's own words."""
    kind, words = _words(answer)
    match answer.status:
        case 401 | 403:
            return EngineProtocolError(f"the server refuses the credentials: {words}")
        case _ if kind == "OutOfMemoryError" or "out of memory" in words.lower():
            return OutOfMemoryError(words)
        case _ if kind == "NansException" or "NansException" in words:
            return BadPictureError(words)
        case 404 if words == "Not Found":
            return EngineProtocolError(f"{answer.request} is unknown: was --api forgotten?")
        case status:
            field = next((f for said, f in _BLAMED.items() if said in words), "")
            if field or status < 500:  # noqa: PLR2004 -- the client's fault, says HTTP
                return InvalidSpecError(words, field=field)
            return EngineProtocolError(f"{status} {words}")


def _words(answer: Answer) -> tuple[str, str]:
    """Return the exception's class and what it says; Forge answers plain text."""
    try:
        body = answer.json()
    except EngineProtocolError:
        return "", answer.text or f"status {answer.status}"
    if not isinstance(body, dict):
        return "", answer.text
    kind, detail = str(body.get("error") or ""), body.get("detail")
    words = str(body.get("errors") or "") or (detail if isinstance(detail, str) else "")
    words = words or (json.dumps(detail) if detail else "")
    return kind, words or kind or answer.text


def _is(asked: Checkpoint, name: str, shorthash: str) -> bool:
    """Say whether the model that drew is the one asked for; hashes count more than names."""
    known = asked.shorthash or asked.sha256
    if known and shorthash:
        return known.startswith(shorthash) or shorthash.startswith(known)
    return name in (asked.name, stem(asked.filename)) if name else True


def _passed_over(drawn: Drawn, plan: Plan) -> Iterator[Shortfall]:
    """Name what an extension left out: its failures end in the server's log, not in the answer."""
    extra = drawn.extra
    if sum(key.startswith("ControlNet") for key in extra) < plan.controls:
        yield Shortfall("ignored", "the server drew without a ControlNet; see its log", "controls")
    if plan.refiner and "Refiner" not in extra:
        yield Shortfall("ignored", "the server drew without the refiner", "refiner")
    hashes = extra.get("Lora hashes")
    if isinstance(hashes, str):
        used = {entry.split(":")[0].strip() for entry in hashes.split(",")}
        for name in plan.loras:
            if name not in used:
                yield Shortfall("ignored", f"the server drew without the LoRA {name!r}", "loras")
