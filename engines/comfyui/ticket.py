"""What must be remembered of a submitted prompt so that another process can collect its picture."""

import uuid
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from engines.base import Shortfall


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A prompt on the server.

    Attributes:
        prompt_id: A lower-case UUID, ours, or the server's own where it insists.
        client_id: To whom the server sends the prompt's events.
        output: The node whose picture is the result.
        passes: Sampler → steps.
        classes: Node → class.
        size: Width and height of the result, None when only the server knows.
    """

    prompt_id: str
    client_id: str
    output: str
    passes: dict[str, int]
    classes: dict[str, str]
    size: tuple[int, int] | None
    facts: dict[str, Any]
    shortfalls: tuple[Shortfall, ...] = ()

    def write(self) -> str:
        """Return it as JSON."""
        return _JSON.dump_json(self).decode()


_JSON: TypeAdapter[Ticket] = TypeAdapter(Ticket)


def read_ticket(text: str | None) -> Ticket | None:
    """Read what `write` wrote; None for nothing, and for what another release wrote."""
    try:
        return _JSON.validate_json(text) if text else None
    except ValidationError:
        return None


def new_prompt_id() -> str:
    """Return a name for a prompt: newer servers accept nothing but a canonical UUID."""
    return str(uuid.uuid4())
