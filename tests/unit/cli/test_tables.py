"""Lists on terminals: what is needed for the next command is never cut."""

import io
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from service.cli import gpu, jobs, output, pictures

LONG = "a prompt of many words that does not fit into any line \n of a terminal " * 9
KEY = "images/20261123_205858_81794748.png"
JOB_ID = "61c1cf26e4344b87a2b2af720a94c4a2"


def shown(table: Table, *, width: int) -> list[str]:
    """Return the lines of a table on a terminal of that width."""
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def job(**more: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a job as a list shows it."""
    usual = {"job_id": JOB_ID, "state": "queued", "progress": 0.5, "engine": "fake", "prompt": LONG}
    return {**usual, **more}


@pytest.mark.parametrize("width", [80, 100, 200])
def test_keys_and_numbers_of_pictures_are_whole(width: int) -> None:
    items = [{"key": KEY, "width": 512, "height": 512, "prompt": LONG}] * 12
    lines = shown(pictures.table(items), width=width)
    assert len(lines) == 13
    assert lines[12].split()[:3] == ["12", KEY, "512x512"]
    assert lines[12].endswith("…")
    assert len(lines[12]) <= width


@pytest.mark.parametrize("width", [80, 100])
def test_ids_of_jobs_are_whole(width: int) -> None:
    lines = shown(jobs.table([job(), job(state="succeeded")]), width=width)
    assert [line.split()[:3] for line in lines[1:]] == [
        [JOB_ID, "queued", "50%"],
        [JOB_ID, "succeeded", "50%"],
    ]


def test_a_prompt_cannot_write_in_our_colours() -> None:
    lines = shown(jobs.table([job(prompt="[red]not red[/] [nonsense")]), width=100)
    assert lines[1].endswith("[red]not red[/] [nonsense")


def test_no_jobs_are_an_empty_list() -> None:
    assert len(shown(jobs.table([]), width=80)) == 1


def test_holders_of_a_gpu_are_shown_as_they_call_themselves() -> None:
    held = {"holder": "a [b]", "class": "llm", "held_seconds": 3.0, "waiting_seconds": 4.0}
    one = {
        "gpu": "local", "gate": "closed", "holders": [held], "waiters": [held], "parked": [],
        "last_hour": {"llm": 0.5, "images": 0.25}, "lock": None,
    }  # fmt: skip
    lines = shown(output.columns(gpu._TITLES, [gpu._row(one)]), width=200)
    assert "a [b] (llm, 3 s)" in lines[1]
    assert "a [b] (llm, 4 s)" in lines[1]
