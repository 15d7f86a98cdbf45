"""A job: one request, where it stands, and the arrows it may walk."""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Literal, NewType, TypeAlias

from pydantic import TypeAdapter

from engines.base import EngineName, Progress, Shortfall
from engines.spec import GenerationSpec
from scheduler.errors import IllegalTransitionError

JobId = NewType("JobId", str)


class Lane(StrEnum):
    """A share of the GPU."""

    INTERACTIVE = "interactive"
    NORMAL = "normal"
    HIGHRES = "highres"
    BACKGROUND = "background"


LANE_WEIGHTS = {Lane.INTERACTIVE: 8, Lane.NORMAL: 4, Lane.HIGHRES: 2, Lane.BACKGROUND: 1}


@dataclass(frozen=True, slots=True)
class Artifact:
    """A stored picture: the keys of its PNG and of its JSON sidecar, and what it is.

    Attributes:
        sha256: Of the stored PNG, hex.
        shortfalls: What the engine could not honour in this picture.
    """

    key: str
    meta_key: str
    index: int
    seed: int
    width: int
    height: int
    size_bytes: int
    sha256: str
    shortfalls: tuple[Shortfall, ...] = ()


@dataclass(frozen=True, slots=True)
class Queued:
    """Waiting for its turn.

    Attributes:
        paused: It waits until somebody resumes it.
        again: It ran before, so that some of its pictures may be stored already.
        reason: Why it came back to the queue; an error code, empty at first.
        tickets: Picture index → the engine's name for work that it may still hold.
    """

    kind: Literal["queued"] = "queued"
    paused: bool = False
    again: bool = False
    reason: str = ""
    tickets: dict[int, str] = field(default_factory=dict)


_NOT_YET = Progress("waiting")


@dataclass(frozen=True, slots=True)
class Running:
    """An engine draws it.

    Attributes:
        tickets: Picture index → the engine's name for the work, for reattaching.
        done: Share of the whole job that is drawn, 0 to 1; never falls; not journalled.
        progress: Of the picture that moved last; not journalled.
    """

    since: datetime
    kind: Literal["running"] = "running"
    paused: bool = False
    tickets: dict[int, str] = field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()
    done: float = 0.0
    progress: Progress = _NOT_YET


@dataclass(frozen=True, slots=True)
class Storing:
    """Every picture is drawn; some still wait in the spool for the store."""

    since: datetime
    kind: Literal["storing"] = "storing"
    artifacts: tuple[Artifact, ...] = ()


@dataclass(frozen=True, slots=True)
class Succeeded:
    """Every picture is stored."""

    artifacts: tuple[Artifact, ...]
    at: datetime
    kind: Literal["succeeded"] = "succeeded"


@dataclass(frozen=True, slots=True)
class Failed:
    """It cannot be drawn; `code` is stable, `message` is for people."""

    code: str
    message: str
    at: datetime
    kind: Literal["failed"] = "failed"
    artifacts: tuple[Artifact, ...] = ()


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Somebody asked for its end."""

    reason: str
    at: datetime
    kind: Literal["cancelled"] = "cancelled"
    artifacts: tuple[Artifact, ...] = ()


Status: TypeAlias = Queued | Running | Storing | Succeeded | Failed | Cancelled

_NEXT: dict[type[Status], tuple[type[Status], ...]] = {
    Queued: (Queued, Running, Failed, Cancelled),
    Running: (Running, Queued, Storing, Succeeded, Failed, Cancelled),
    Storing: (Storing, Succeeded, Failed, Cancelled),
    Succeeded: (),
    Failed: (Queued,),
    Cancelled: (Queued,),
}
"""Failed and Cancelled go back to Queued when somebody asks for a retry."""

FINISHED = (Succeeded, Failed, Cancelled)


@dataclass(frozen=True, slots=True)
class Job:
    """One request and where it stands.

    Attributes:
        number: Grows with every accepted job; ties are broken by it.
        client: Who asked; clients of one lane take turns.
        attempts: Failed tries that were the job's own; capped.
        crashes: How often the process died while this job ran; capped.
        digest: SHA-256 of the request, to tell a repeat from a conflict.
        trace: W3C traceparent of the request, empty without tracing.
        pinned: The request named the engine, so no other takes over.
    """

    id: JobId
    number: int
    spec: GenerationSpec
    engine: EngineName
    lane: Lane
    created_at: datetime
    count: int = 1
    priority: int = 0
    client: str = ""
    tags: tuple[str, ...] = ()
    shortfalls: tuple[Shortfall, ...] = ()
    idempotency_key: str = ""
    digest: str = ""
    trace: str = ""
    pinned: bool = False
    attempts: int = 0
    crashes: int = 0
    status: Status = field(default_factory=Queued)

    def step(self, status: Status) -> "Job":
        """Return the job in its next status.

        Raises:
            IllegalTransitionError: there is no arrow from here to there.
        """
        if type(status) not in _NEXT[type(self.status)]:
            raise IllegalTransitionError(f"a {self.status.kind} job cannot become {status.kind}")
        return replace(self, status=status)

    @property
    def finished(self) -> bool:
        """Whether nothing will happen to it by itself."""
        return isinstance(self.status, FINISHED)

    @property
    def cost(self) -> float:
        """Work in megapixel-steps."""
        return self.spec.cost * self.count

    def picture_id(self, index: int) -> str:
        """Return the name of one of its pictures, the same through restarts and attempts."""
        return f"{self.id}-{index}"

    def stem(self, index: int) -> str:
        """Return the key of one of its pictures without prefix and ending.

        `<YYYYmmdd_HHMMSS of creation>_<8 hex of job id and picture number>`: a repeat
        overwrites itself.
        """
        mark = hashlib.sha256(self.picture_id(index).encode()).hexdigest()[:8]
        return f"{self.created_at:%Y%m%d_%H%M%S}_{mark}"


STATUS_JSON: TypeAdapter[Status] = TypeAdapter(Status)
JOB_JSON: TypeAdapter[Job] = TypeAdapter(Job)
