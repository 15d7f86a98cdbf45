"""Query values as models: checked, and described, by the same words."""

from typing import Annotated, TypeVar, get_args

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from service.problems import RequestError
from service.views.jobs import State

Number = Annotated[int, Field(ge=0, lt=10**18)]
_STATES = "|".join(get_args(State))


class Query(BaseModel):
    """The query values of a call; an empty one counts as none, and further ones as not there."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def _known(states: str) -> str:
    """Return states as they are.

    Raises:
        PydanticCustomError: there is no such state.
    """
    known = get_args(State)
    if strangers := [state for state in states.split(",") if state not in known]:
        words = {"stranger": strangers[0], "known": ", ".join(known)}
        raise PydanticCustomError("state", "there is no state '{stranger}', only {known}", words)
    return states


class JobsQuery(Query):
    """The query of `GET /api/images/jobs`."""

    limit: int = Field(default=50, ge=1, le=1000, description="how many at most")
    cursor: Number | None = Field(default=None, description="`next_cursor` of the page before")
    state: Annotated[str, AfterValidator(_known)] | None = Field(
        default=None,
        description="only jobs in these states, separated by commas",
        json_schema_extra={"pattern": f"^(?:{_STATES})(?:,(?:{_STATES}))*$"},
    )


Q = TypeVar("Q", bound=Query)


def read_query(request: web.Request, kind: type[Q]) -> Q:
    """Return the query values as `kind`; of one that comes twice the first counts.

    Raises:
        RequestError: one of them is wrong (422).
    """
    given = {name: request.query.get(name) for name in kind.model_fields}
    try:
        return kind.model_validate({name: value for name, value in given.items() if value})
    except ValidationError as error:
        raise wrong_fields(error) from None


def wrong_fields(error: ValidationError) -> RequestError:
    """Name every field at fault."""
    faults = [
        {"field": ".".join(filter(_is_field, map(str, fault["loc"]))), "detail": fault["msg"]}
        for fault in error.errors(include_url=False, include_input=False)
    ]
    first = faults[0]
    return RequestError(
        f"{first['field']}: {first['detail']}" if first["field"] else first["detail"],
        code="invalid_request",
        status=422,
        field=first["field"],
        errors=faults,
    )


def _is_field(part: str) -> bool:
    """Say whether a step to a fault is a field or a place in a list.

    The others are pydantic's names for the choices where a field may be one thing or another:
    `RefinerBody`, `constrained-str`, `bool`.
    """
    return part.isdecimal() or (part.isidentifier() and part.islower() and part != "bool")
