"""The GPU as others see it: who has it, who waits, and leases for programs."""

from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from scheduler.errors import GpuBusyError, GpuNotFoundError
from scheduler.gate import Gate, Hold, Visitor
from scheduler.gpu import Gpu
from scheduler.lease import Ask, Lease, Tenant
from service.api.body import read_body, reply
from service.calls import Call, described
from service.keys import CLOCK, GPUS
from service.presence import while_there
from service.problems import problem
from service.queries import Query, read_query
from service.views.gpu import GpuList, GpuView, HolderView, LeaseView, ParkedView, WaiterView

routes = web.RouteTableDef()

HAND_OVER_SECONDS = 0.05
"""Even who does not want to wait waits for this long: a free GPU takes a moment to be given."""

_Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class LeaseBody(BaseModel):
    """The body of `POST /api/gpu/leases`."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    tenant: Tenant = Field(alias="class")
    holder: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    gpu: str = "local"
    ttl_seconds: _Seconds = 30.0
    wait_seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 30.0


class RenewBody(BaseModel):
    """The body of `PUT /api/gpu/leases/{id}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token: int
    gpu: str = "local"
    ttl_seconds: _Seconds = 30.0


class ReleaseQuery(Query):
    """The query of `DELETE /api/gpu/leases/{id}`."""

    token: int = Field(description="the token that came with the lease")
    gpu: str = "local"


@routes.get("/api/gpu")
@described(Call(section="gpu", answer=GpuList))
async def look(request: web.Request) -> web.Response:
    """Show every GPU: holders, waiters, pictures, and the last hour's shares."""
    now = request.app[CLOCK].monotonic()
    gpus = request.app[GPUS].values()
    return reply({"items": [gpu_view(gpu, now) for gpu in gpus]})


@routes.post("/api/gpu/leases")
@described(
    Call(
        section="gpu",
        status=201,
        answer=LeaseView,
        body=LeaseBody,
        codes=("gpu_not_found", "gpu_busy", ("gpu_busy", 409), "shutting_down"),
        example={"class": "llm", "holder": "my-program", "ttl_seconds": 30},
    )
)
async def lease(request: web.Request) -> web.StreamResponse:
    """Wait for a lease: 201 with it, 504 if nobody let go, 409 if there was no wish to wait."""
    body, _ = await read_body(request, LeaseBody)
    return await while_there(request, _lease(request, _gpu(request, body.gpu), body))


@routes.put("/api/gpu/leases/{id}")
@described(
    Call(
        section="gpu",
        answer=LeaseView,
        body=RenewBody,
        codes=("gpu_not_found", "lease_lost"),
        example={"token": 1790000000000001, "ttl_seconds": 30},
    )
)
async def renew(request: web.Request) -> web.Response:
    """Let a lease live on; 409 if it is lost, or the token is an older one's."""
    body, _ = await read_body(request, RenewBody)
    gpu = _gpu(request, body.gpu)
    lease_id = request.match_info["id"]
    renewed = gpu.desk.renew(lease_id, body.token, ttl_seconds=body.ttl_seconds)
    return reply(_lease_view(request, gpu, renewed))


@routes.delete("/api/gpu/leases/{id}")
@described(
    Call(
        section="gpu",
        status=204,
        media="",
        query=ReleaseQuery,
        codes=("gpu_not_found", "lease_lost"),
        example={"token": 1790000000000001},
    )
)
async def release(request: web.Request) -> web.Response:
    """End the lease whose `token` is given in the query; 409 if it is lost already."""
    query = read_query(request, ReleaseQuery)
    _gpu(request, query.gpu).desk.release(request.match_info["id"], query.token)
    return web.Response(status=204)


def gpu_view(gpu: Gpu, now: float) -> GpuView:
    """Return a GPU as JSON; `now` is the time by the clock that the GPU was given."""
    roll, shares, shut = gpu.leases.roll, gpu.shares(), gpu.shut_for()
    lock = gpu.lock_state
    return {
        "gpu": gpu.name,
        "gate": gpu.leases.gate,
        "policy": gpu.rules.policy,
        "lock": lock.value if lock is not None else None,
        "holders": [_holder_view(held, now) for held in roll.leases],
        "waiters": [_waiter_view(ask, now) for ask in roll.asks],
        "drawing": sorted(v.picture_id for v in gpu.gate.visitors() if v.hold is None),
        "parked": [
            _parked_view(gpu.gate, visitor, now)
            for visitor in gpu.gate.visitors()
            if visitor.hold is Hold.PARKED
        ],
        "parked_for_another_p50_seconds": round(shut.p50_seconds, 3) if shut else None,
        "images_credit_seconds": round(gpu.leases.credit_seconds, 3),
        "last_hour": {"llm": round(shares.llm, 4), "images": round(shares.images, 4)},
    }


async def _lease(request: web.Request, gpu: Gpu, body: LeaseBody) -> web.Response:
    """Wait for a lease, and answer."""
    try:
        granted = await gpu.desk.acquire(
            body.tenant,
            body.holder,
            ttl_seconds=body.ttl_seconds,
            wait_seconds=max(body.wait_seconds, HAND_OVER_SECONDS),
        )
    except GpuBusyError as error:
        if body.wait_seconds:
            raise
        return problem(409, error.code, str(error), holders=error.holders)
    if request.transport is None:
        # Who left knows nothing of the lease, and would never give it back.
        gpu.desk.release(granted.id, granted.token)
    return reply(_lease_view(request, gpu, granted), status=201)


def _gpu(request: web.Request, name: str) -> Gpu:
    """Return a GPU by name.

    Raises:
        GpuNotFoundError: there is none of that name.
    """
    gpus = request.app[GPUS]
    if name not in gpus:
        raise GpuNotFoundError(f"there is no GPU {name!r}, only: {', '.join(gpus)}")
    return gpus[name]


def _lease_view(request: web.Request, gpu: Gpu, held: Lease) -> LeaseView:
    now = request.app[CLOCK].monotonic()
    return {"gpu": gpu.name, **_holder_view(held, now), "token": held.token}


def _holder_view(held: Lease, now: float) -> HolderView:
    left = held.expires - now
    return {
        "id": held.id,
        "class": held.tenant,
        "holder": held.holder,
        "held_seconds": round(now - held.since, 3),
        "waited_seconds": round(held.waited_seconds, 3),
        "expires_in_seconds": round(left, 3) if left != float("inf") else None,
    }


def _waiter_view(ask: Ask, now: float) -> WaiterView:
    return {
        "class": ask.tenant,
        "holder": ask.holder,
        "waiting_seconds": round(now - ask.since, 3),
    }


def _parked_view(gate: Gate, visitor: Visitor, now: float) -> ParkedView:
    return {
        "job_id": visitor.job_id,
        "picture": visitor.picture_id,
        "seconds": round(now - visitor.since, 3),
        "seconds_in_all": round(gate.held_seconds(visitor, Hold.PARKED), 3),
    }
