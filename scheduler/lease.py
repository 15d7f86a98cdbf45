"""The words of sharing a GPU: who may have it, who waits for it, and what is decided about that."""

from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import TypeAlias


class Tenant(StrEnum):
    """The two classes that share a GPU; never both at once."""

    LLM = "llm"
    IMAGES = "images"


class LlmPolicy(StrEnum):
    """What happens to a picture that cannot be parked when the GPU is wanted for a chat."""

    WAIT = "wait"
    INTERRUPT = "interrupt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a GPU is shared.

    Attributes:
        policy: What becomes of pictures that cannot be parked.
        patience_seconds: How long they are waited for before they are interrupted.
        images_share: The share of the GPU that images keep under an endless chat; 0 is none.
        slice_seconds: For how long they get it at a time, at least.
        longest_slice_seconds: And at most, however long the reply was that kept them waiting.
        longest_hold_seconds: After that a lease that keeps the other class waiting is not renewed.
    """

    policy: LlmPolicy = LlmPolicy.WAIT
    patience_seconds: float = 10.0
    images_share: float = 0.10
    slice_seconds: float = 1.0
    longest_slice_seconds: float = 10.0
    longest_hold_seconds: float = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Somebody who waits for a lease.

    Attributes:
        id: Names the ask, and the lease that it becomes.
        since: When it was made, in seconds of the machine's clock; so is `deadline`, when it
            gives up.
        ttl_seconds: How long its lease will live without being renewed.
    """

    id: str
    tenant: Tenant
    holder: str
    since: float
    ttl_seconds: float = inf
    deadline: float = inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to use a GPU for a while.

    Attributes:
        token: Fencing token: every lease has a higher one than all before it, so whatever is
            done under a lease can be told from what is done under an older one. A clock that is
            set back while the service is down breaks that across its start, and nothing else
            does; the id tells leases apart even then.
        waited_seconds: From the ask to the grant.
    """

    id: str
    tenant: Tenant
    holder: str
    token: int
    since: float
    expires: float
    waited_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Granted:
    """An ask has become a lease."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Refused:
    """An ask has waited for as long as it wanted to; `holders` are in its way."""

    ask: Ask
    holders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Expired:
    """A lease's holder has neither renewed nor released it in time."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class CloseGate:
    """No picture may begin a step; `Leases.emptied` must follow once none is inside."""


@dataclass(frozen=True, slots=True)
class OpenGate:
    """Pictures may step again."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Pictures that hold the GPU as a whole must give way."""


Decision: TypeAlias = Granted | Refused | Expired | CloseGate | OpenGate | Interrupt


@dataclass(slots=True)
class Credit:
    """How far the images lag behind their share, in seconds of the GPU.

    While a chat holds the GPU and pictures want it, their credit grows by `share / (1 - share)`
    seconds a second. What they then get costs as much as it lasts, and more than they had is owed
    while the chat waits for them; without a chat the GPU is theirs for nothing.
    """

    rules: Rules
    seconds: float = 0.0
    _at: float = field(default=0.0)

    @property
    def due(self) -> bool:
        """Whether it is enough for a slice."""
        return 0 < self.rules.slice_seconds <= self.seconds + 1e-9

    def account(
        self, now: float, *, llm_holds: bool, llm_waits: bool, images_hold: bool, wanted: bool
    ) -> None:
        """Take in what has been so since the last call."""
        spent, self._at = now - self._at, now
        if llm_holds:
            share = self.rules.images_share
            earned = spent * share / (1 - share) if wanted else 0.0
            self.seconds = min(self.seconds + earned, self.rules.longest_slice_seconds)
        elif images_hold and llm_waits:
            self.seconds -= spent
        elif images_hold and self.seconds > 0:
            self.seconds = max(0.0, self.seconds - spent)
        else:
            self.seconds = min(self.seconds + spent, max(self.seconds, 0.0))
