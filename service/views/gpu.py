"""GPUs and their leases."""

from typing import Literal

from typing_extensions import TypedDict

from scheduler.lease import LlmPolicy, Tenant

_Class = TypedDict("_Class", {"class": Tenant})
"""Apart, since `class` can be no attribute."""


class HolderView(_Class):
    """A lease; one that lives as long as its request expires never (null)."""

    id: str
    holder: str
    held_seconds: float
    waited_seconds: float
    expires_in_seconds: float | None


class LeaseView(HolderView):
    """A lease as its holder sees it; `token` grows from lease to lease, for fencing."""

    gpu: str
    token: int


class WaiterView(_Class):
    """Somebody who waits for a lease."""

    holder: str
    waiting_seconds: float


class ParkedView(TypedDict):
    """A picture that is held between two steps, for how long now and in all."""

    job_id: str
    picture: str
    seconds: float
    seconds_in_all: float


class HourView(TypedDict):
    """What part of the last hour each class had the GPU, of 1."""

    llm: float
    images: float


class GpuView(TypedDict):
    """A GPU; `lock` is how we stand with other processes, null where none is shared with them."""

    gpu: str
    gate: Literal["open", "closing", "closed"]
    policy: LlmPolicy
    lock: Literal["free", "ours", "theirs", "down"] | None
    holders: list[HolderView]
    waiters: list[WaiterView]
    drawing: list[str]
    parked: list[ParkedView]
    parked_for_another_p50_seconds: float | None
    images_credit_seconds: float
    last_hour: HourView


class GpuList(TypedDict):
    """The GPUs."""

    items: list[GpuView]
