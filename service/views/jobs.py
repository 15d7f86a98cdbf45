"""Jobs and the queue."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from typing_extensions import TypedDict

from engines.spec import GenerationSpec
from service.views.pictures import ArtifactView
from service.views.problems import WarningView

StatusWord = Literal["queued", "running", "done", "error", "started", "finished", "failed"]
State = Literal["queued", "running", "storing", "succeeded", "failed", "cancelled"]


class EtaView(TypedDict):
    """Seconds from now until a job is done, learned from those before it."""

    p50_seconds: float
    p90_seconds: float


class ResultView(TypedDict):
    """The first picture of a finished job, as KITTY's clients read it."""

    png_key: str
    meta_key: str


class ProgressView(TypedDict):
    """How far a job is: `progress` of 1, and `step` of `steps` of the picture that moved last."""

    phase: str
    progress: float
    step: int
    steps: int


class ErrorView(TypedDict):
    """Why a job failed; a queued job with a code came back to the queue for that reason."""

    error: str | None
    error_code: str | None


class JobView(ProgressView, ErrorView):
    """A job and where it stands; `status` is in the words that STATUS_WORDS chose.

    Pictures that were deleted are in `deleted`, by number, and no longer among the artifacts.
    """

    job_id: str
    status: StatusWord
    state: State
    count: int
    position: int | None
    eta: EtaView | None
    artifacts: list[ArtifactView]
    deleted: int
    result: ResultView | None
    attempts: int
    prompt: str
    model: str
    engine: str
    seed: int
    lane: str
    priority: int
    tags: Sequence[str]
    created_at: datetime
    warnings: list[WarningView]


class WholeJobView(JobView):
    """A job with what it draws, every default settled."""

    spec: GenerationSpec


class JobPage(TypedDict):
    """Jobs, newest first; `next_cursor` asks for those after them."""

    items: list[JobView]
    next_cursor: str | None


class LinksView(TypedDict):
    """Where to look at a job, end it (DELETE), and hear of it (websocket)."""

    self: str
    cancel: str
    live: str


class AcceptedView(TypedDict):
    """A job that was accepted, with its seed and model as they were settled."""

    job_id: str
    status: StatusWord
    state: State
    position: int | None
    eta: EtaView | None
    seed: int
    model: str
    engine: str
    links: LinksView
    warnings: list[WarningView]


class QueueView(TypedDict):
    """Whether jobs are begun at present, and how many wait."""

    paused: bool
    waiting: int
