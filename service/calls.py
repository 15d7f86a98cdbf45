"""What a handler says about its call, beside its code: the API's document is made of that."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

JSON = "application/json"

Section = Literal["jobs", "pictures", "news", "engines", "gpu", "llm", "operations"]
H = TypeVar("H", bound=Callable[..., Any])
_MARK = "__call_said__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call: what goes in, what comes out, and why it may be refused.

    Attributes:
        section: Under which heading it stands.
        status: Of the usual answer.
        answer: The type of the usual answer, None where it is not JSON.
        media: Of the usual answer; empty where it has no body.
        also: Further answers that are no problems: status → what it means.
        codes: Of the problems, those aside that follow from the rest; with a status where it is
            not the usual one.
        query: The model of its query values.
        headers: The request's headers that change something → what they do.
        body: The model of its JSON body.
        relayed: Whatever comes in its body is passed on.
        example: A body, or the values of path and query, to show how it is used.
    """

    section: Section
    status: int = 200
    answer: Any = None
    media: str = JSON
    also: Mapping[int, str] = field(default_factory=dict)
    codes: tuple[str | tuple[str, int], ...] = ()
    query: type[BaseModel] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: type[BaseModel] | None = None
    relayed: bool = False
    example: Mapping[str, object] = field(default_factory=dict)


def described(call: Call) -> Callable[[H], H]:
    """Say what a handler's call is; its docstring says what it does."""

    def mark(handler: H) -> H:
        setattr(handler, _MARK, call)
        return handler

    return mark


def call_of(handler: object) -> Call | None:
    """Return what was said of a handler, None if it is no part of the API."""
    call = getattr(handler, _MARK, None)
    return call if isinstance(call, Call) else None
