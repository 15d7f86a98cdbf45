"""Query values as models: checked, and described, by the same words."""

from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.problems import RequestError

Number = Annotated[int, Field(ge=0, lt=10**18)]


class Query(BaseModel):
    """The query values of a call; an empty one counts as none, and further ones as not there."""

    model_config = ConfigDict(frozen=True, extra="ignore")


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
        {"field": ".".join(str(part) for part in fault["loc"]), "detail": fault["msg"]}
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
