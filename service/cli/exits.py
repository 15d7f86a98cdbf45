"""What can go wrong on the command line, and which exit status tells scripts about it.

CliError
├── JobFailedError    1  the job failed or was cancelled
├── UsageError        2  the command makes no sense
│   └── RefusedError  2  the service refuses the request (4xx)
├── UnreachableError  3  nobody answers, or not KITTY Images
└── UnwillingError    4  the service cannot do it now (429, 5xx)
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, ClassVar, NoReturn

import orjson
import typer
from rich.console import Console
from rich.markup import escape

from service.cli.replies import Job, Problem

INTERRUPTED = 130

EXIT_STATUS = """
Exit status: 0 done; 1 the job failed or was cancelled; 2 wrong usage, or the service refused the
request; 3 the service cannot be reached; 4 the service cannot do it now, try again later; 130
interrupted by Ctrl-C (the job goes on).
"""


class CliError(Exception):
    """A command could not do its work."""

    status: ClassVar[int] = 1

    @property
    def problem(self) -> Problem:
        """What went wrong, for machines."""
        return {"title": "Failed", "detail": str(self), "code": "failed"}

    @property
    def hints(self) -> list[str]:
        """Further lines for people."""
        return []


class JobFailedError(CliError):
    """The job failed or was cancelled."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"job {job['job_id']}: {job['error'] or job['state']}")
        self.job = job

    @property
    def problem(self) -> Problem:  # noqa: D102 - as in CliError
        return {"title": "Failed", "detail": str(self), "code": self.job["error_code"] or "failed"}


class UsageError(CliError):
    """The command makes no sense."""

    status = 2

    @property
    def problem(self) -> Problem:  # noqa: D102 - as in CliError
        return {"title": "Wrong usage", "detail": str(self), "code": "usage"}


class AnsweredError(CliError):
    """The service answered with a problem document."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.get("detail") or problem.get("title") or "no reason given")
        self._problem = problem

    @property
    def problem(self) -> Problem:  # noqa: D102 - as in CliError
        return self._problem

    @property
    def hints(self) -> list[str]:  # noqa: D102 - as in CliError
        faults = self._problem.get("errors", [])[1:]
        lines = [f"{fault.get('field', '')}: {fault.get('detail', '')}" for fault in faults]
        if self._problem.get("status") == 401:  # noqa: PLR2004 - HTTP's own number
            lines.append("Set API_TOKEN to the token that the service was started with.")
        return lines


class RefusedError(AnsweredError):
    """The service refuses the request; asking again as it is will not help."""

    status = 2


class UnwillingError(AnsweredError):
    """The service cannot do it now."""

    status = 4


class UnreachableError(CliError):
    """Nobody answers at the service's address, or somebody else."""

    status = 3

    @property
    def problem(self) -> Problem:  # noqa: D102 - as in CliError
        return {"title": "Unreachable", "detail": str(self), "code": "unreachable"}

    @property
    def hints(self) -> list[str]:  # noqa: D102 - as in CliError
        return ["Start the service with ops/run, or name its address: IMAGES_BASE=http://host:8089"]


def run(work: Coroutine[Any, Any, None], *, as_json: bool) -> None:
    """Do a command's work and turn what goes wrong into words and an exit status.

    Raises:
        typer.Exit: with the status, unless all went well.
    """
    try:
        asyncio.run(work)
    except CliError as error:
        _complain(error, as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _complain(error: CliError, *, as_json: bool) -> NoReturn:
    """Say what went wrong, on stdout for machines and on stderr for people, and exit."""
    if as_json:
        typer.echo(orjson.dumps(error.problem, option=orjson.OPT_INDENT_2).decode())
    else:
        console = Console(stderr=True, highlight=False)
        field = error.problem.get("field", "")
        where = f"{field}: " if field and not str(error).startswith(field) else ""
        console.print(f"[bold red]Error[/] {escape(where + str(error))}")
        for hint in error.hints:
            console.print(f"      {escape(hint)}")
    raise typer.Exit(error.status) from None
