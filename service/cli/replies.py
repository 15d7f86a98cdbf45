"""What the service answers, as far as the command line reads it."""

from typing import Any, Literal, TypeAlias, TypedDict

State: TypeAlias = Literal["queued", "running", "storing", "succeeded", "failed", "cancelled"]

ENDED: tuple[State, ...] = ("succeeded", "failed", "cancelled")


class Problem(TypedDict, total=False):
    """An RFC 9457 problem document."""

    title: str
    status: int
    detail: str
    code: str
    field: str
    errors: list[dict[str, str]]


class Warned(TypedDict):
    """Something that was asked for and could not be honoured."""

    code: str
    detail: str
    field: str


class Eta(TypedDict):
    """When a job will be done: the median and the ninth decile, in seconds from now."""

    p50_seconds: float
    p90_seconds: float


class Artifact(TypedDict):
    """A stored picture of a job; `size` in bytes, `url` relative to the service."""

    key: str
    seed: int
    width: int
    height: int
    size: int
    url: str


class Accepted(TypedDict):
    """The answer to a submit."""

    job_id: str
    engine: str
    warnings: list[Warned]


class Job(TypedDict):
    """Where a job stands; `progress` goes from 0 to 1 over all its pictures.

    `deleted` counts the pictures that are no longer among the artifacts.
    """

    job_id: str
    state: State
    phase: str
    progress: float
    step: int
    steps: int
    count: int
    position: int | None
    eta: Eta | None
    artifacts: list[Artifact]
    deleted: int
    error: str | None
    error_code: str | None
    prompt: str
    model: str
    engine: str
    created_at: str
    warnings: list[Warned]


class StoredPicture(TypedDict, total=False):
    """A picture as the list of the newest shows it; `size` in bytes."""

    key: str
    size: int
    last_modified: str
    prompt: str
    model: str
    seed: int
    width: int
    height: int


class Page(TypedDict):
    """One page of a list."""

    items: list[Any]
    next_cursor: str | None
