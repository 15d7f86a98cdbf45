"""What can go wrong on the command line, and which exit status tells scripts about it.

CliError
├── JobFailedError    1  the job failed or was cancelled
├── UsageError        2  the command makes no sense
│   └── RefusedError  2  the service refuses the request (4xx)
├── UnreachableError  3  nobody answers, or not KITTY Images
└── UnwillingError    4  the service cannot do it now (429, 5xx)
"""

import asyncio
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, ClassVar, NoReturn

import typer
from rich.markup import escape

from service.cli import output
from service.cli.replies import Job, Problem

EXIT_STATUS = """
Exit status: 0 done; 1 the job failed or was cancelled; 2 wrong usage, or the service refused the
request; 3 the service cannot be reached; 4 the service cannot do it now, try again later; 130
interrupted by Ctrl-C (the job goes on).
"""


class CliError(Exception):
    """A command could not do its work.

    Attributes:
        problem: What went wrong, for machines.
        hints: Further lines for people.
    """

    status: ClassVar[int] = 1
    code: ClassVar[str] = "failed"

    def __init__(self, detail: str, *, problem: Problem | None = None) -> None:
        super().__init__(detail)
        self.problem: Problem = problem or {"code": self.code, "detail": detail}
        self.hints: list[str] = []


class JobFailedError(CliError):
    """The job failed or was cancelled."""

    def __init__(self, job: Job) -> None:
        detail = f"job {job['job_id']}: {job['error'] or job['state']}"
        super().__init__(detail, problem={"code": job["error_code"] or "failed", "detail": detail})


class UsageError(CliError):
    """The command makes no sense."""

    status = 2
    code = "usage"


class AnsweredError(CliError):
    """The service answered with a problem document.

    Args:
        named: What a field of the request is called here.
    """

    def __init__(self, problem: Problem, *, named: Callable[[str], str] = str) -> None:
        detail = problem.get("detail") or problem.get("title") or "no reason given"
        if field := problem.get("field", ""):
            detail = f"{named(field)}: {detail.removeprefix(f'{field}: ')}"
        super().__init__(detail, problem=problem)
        faults = problem.get("errors", [])[1:]
        self.hints = [f"{named(one.get('field', ''))}: {one.get('detail', '')}" for one in faults]
        if problem.get("status") == HTTPStatus.UNAUTHORIZED:
            self.hints.append("Set API_TOKEN to the token that the service was started with.")


class RefusedError(AnsweredError):
    """The service refuses the request; asking again as it is will not help."""

    status = 2


class UnwillingError(AnsweredError):
    """The service cannot do it now."""

    status = 4


class UnreachableError(CliError):
    """Nobody answers at the service's address, or somebody else."""

    status = 3
    code = "unreachable"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.hints = ["Start it with ops/run, or say where it is: IMAGES_BASE=http://host:8089"]


def run(work: Coroutine[Any, Any, None], *, as_json: bool) -> None:
    """Do a command's work and turn what goes wrong into words and an exit status.

    Ctrl-C is left to typer, which makes 130 of it.

    Raises:
        typer.Exit: with the status, unless all went well.
    """
    try:
        asyncio.run(work)
    except CliError as error:
        _complain(error, as_json=as_json)


def _complain(error: CliError, *, as_json: bool) -> NoReturn:
    """Say what went wrong, on stdout for machines and on stderr for people, and exit."""
    if as_json:
        output.print_json(error.problem)
    else:
        console = output.news()
        console.print(f"[bold red]Error[/] {escape(str(error))}")
        for hint in error.hints:
            console.print(f"      {escape(hint)}")
    raise typer.Exit(error.status) from None
