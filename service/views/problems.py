"""Refusals and warnings."""

from collections.abc import Sequence
from typing import NotRequired

from typing_extensions import TypedDict


class ProblemView(TypedDict):
    """Why a request was refused (RFC 9457); `code` is stable, `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: NotRequired[str]
    errors: NotRequired[Sequence[dict[str, str]]]
    holders: NotRequired[Sequence[str]]


class WarningView(TypedDict):
    """A wish that could not be honoured, and the field that it stood in."""

    code: str
    detail: str
    field: str
