"""Leases over REST and on the command line, with pictures being drawn beside them."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Self

import pytest

from tests.journey.running import ROOT, Client, Service, client_of

LEASES = "/api/gpu/leases"
_SLEEPER = """
import os, signal, sys
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(7))
print(os.getpid(), flush=True)
signal.pause()
"""


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    service = Service(tmp_path, FAKE_STEP_SECONDS="0.02")
    async with service, client_of(service) as one:
        yield one


async def lease(client: Client, **more: object) -> tuple[int, dict[str, Any]]:
    body = {"class": "llm", "holder": "a program", **more}
    return await client.json("POST", LEASES, json=body)


async def gpu(client: Client) -> dict[str, Any]:
    _, gpus = await client.json("GET", "/api/gpu")
    found: dict[str, Any] = gpus["items"][0]
    return found


async def until(client: Client, condition: Callable[[dict[str, Any]], bool]) -> None:
    """Look at the GPU until it is so."""
    while not condition(await gpu(client)):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)


async def test_the_life_of_a_lease(client: Client) -> None:
    job_id = (await client.submit(steps=50))["job_id"]
    await client.drawing(job_id)
    status, held = await lease(client, ttl_seconds=60)
    assert (status, held["class"], held["holder"]) == (201, "llm", "a program")
    assert 59 < held["expires_in_seconds"] <= 60
    shown = await gpu(client)
    assert [one["id"] for one in shown["holders"]] == [held["id"]]
    assert "token" not in shown["holders"][0], "for its holder alone"
    path = f"{LEASES}/{held['id']}"
    status, renewed = await client.json(
        "PUT", path, json={"token": held["token"], "ttl_seconds": 90}
    )
    assert (status, renewed["expires_in_seconds"] > 89) == (200, True)
    status, problem = await client.json("PUT", path, json={"token": held["token"] - 1})
    assert (status, problem["code"]) == (409, "lease_lost")
    async with client.session.delete(path, params={"token": held["token"]}) as answer:
        assert answer.status == 204
    async with client.session.delete(path, params={"token": held["token"]}) as answer:
        assert answer.status == 409
    assert (await client.ended(job_id))["state"] == "succeeded"


async def test_a_holder_that_forgot_comes_too_late(client: Client) -> None:
    _, first = await lease(client, ttl_seconds=0.05)
    status, _ = await lease(client, **{"class": "images"}, wait_seconds=10)
    assert status == 201
    token = {"token": first["token"]}
    status, problem = await client.json("PUT", f"{LEASES}/{first['id']}", json=token)
    assert (status, problem["code"]) == (409, "lease_lost")


async def test_who_has_it_is_told_to_those_who_waited(client: Client) -> None:
    await lease(client, **{"class": "images"}, holder="a renderer")
    for wait_seconds, expected in ((0, 409), (0.1, 504)):
        status, problem = await lease(client, wait_seconds=wait_seconds)
        assert (status, problem["code"]) == (expected, "gpu_busy")
        assert problem["holders"] == ["a renderer"]


async def test_a_free_gpu_needs_no_waiting(client: Client) -> None:
    assert (await lease(client, wait_seconds=0))[0] == 201


async def test_what_makes_no_sense_is_refused(client: Client) -> None:
    assert (await lease(client, gpu="another"))[1]["code"] == "gpu_not_found"
    for wrong in ({"class": "games"}, {"ttl_seconds": 0}, {"ttl": 1}, {"wait_seconds": -1}):
        status, problem = await lease(client, **wrong)
        assert (status, problem["code"]) == (422, "invalid_request"), wrong


async def test_a_waiter_that_leaves_waits_no_longer(client: Client) -> None:
    _, held = await lease(client, **{"class": "images"})
    waiting = asyncio.create_task(lease(client, holder="impatient"))
    await until(client, lambda gpu: bool(gpu["waiters"]))
    waiting.cancel()
    await until(client, lambda gpu: not gpu["waiters"])
    async with client.session.delete(
        f"{LEASES}/{held['id']}", params={"token": held["token"]}
    ) as answer:
        assert answer.status == 204
    assert (await gpu(client))["holders"] == []


async def cli(client: Client, *arguments: str) -> asyncio.subprocess.Process:
    """Start kitty-cli for that service."""
    base = str(client.session._base_url)
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service.cli", *arguments,
        env={**os.environ, "IMAGES_BASE": base, "PYTHONPATH": str(ROOT)}, cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def ended(program: asyncio.subprocess.Process) -> int:
    """Return a program's exit status when it and its output have ended."""
    await program.communicate()
    assert program.returncode is not None
    return program.returncode


class Sleeper:
    """A program under a lease: kitty-cli, and the process id of what it runs."""

    def __init__(self, kitty: asyncio.subprocess.Process, pid: int) -> None:
        self.kitty = kitty
        self.pid = pid

    @classmethod
    async def start(cls, client: Client, *arguments: str) -> Self:
        """Start it and return when it runs."""
        kitty = await cli(client, "gpu.run", *arguments, "--", sys.executable, "-c", _SLEEPER)
        assert kitty.stdout is not None
        return cls(kitty, int(await kitty.stdout.readline()))


async def test_a_program_runs_under_a_lease_and_its_exit_status_is_ours(client: Client) -> None:
    program = await cli(client, "gpu.run", "--", "sh", "-c", "exit 9")
    assert await ended(program) == 9
    assert (await gpu(client))["holders"] == []
    assert await ended(await cli(client, "gpu.run", "--", "no-such-program")) == 127


async def test_signals_are_passed_on(client: Client) -> None:
    program = await Sleeper.start(client)
    assert [one["class"] for one in (await gpu(client))["holders"]] == ["llm"]
    program.kitty.send_signal(signal.SIGUSR1)
    assert await ended(program.kitty) == 7
    assert (await gpu(client))["holders"] == []
    program = await Sleeper.start(client)
    program.kitty.send_signal(signal.SIGTERM)
    assert await ended(program.kitty) == 128 + signal.SIGTERM
    assert (await gpu(client))["holders"] == []


async def test_a_lease_is_renewed_for_as_long_as_the_program_runs(client: Client) -> None:
    program = await Sleeper.start(client, "--ttl", "0.3")
    [first] = (await gpu(client))["holders"]
    await until(client, lambda gpu: gpu["holders"][0]["held_seconds"] > 0.7)
    assert [one["id"] for one in (await gpu(client))["holders"]] == [first["id"]]
    program.kitty.send_signal(signal.SIGUSR1)
    assert await ended(program.kitty) == 7


async def test_a_killed_holder_loses_the_gpu_and_pictures_go_on(client: Client) -> None:
    job_id = (await client.submit(steps=100))["job_id"]
    await client.drawing(job_id)
    program = await Sleeper.start(client, "--ttl", "1")
    assert (await gpu(client))["gate"] == "closed"
    program.kitty.kill()
    assert (await client.ended(job_id))["state"] == "succeeded"
    assert (await gpu(client))["holders"] == []
    os.kill(program.pid, signal.SIGUSR1)
    await ended(program.kitty)


async def test_a_lease_that_must_have_expired_is_lost(tmp_path: Path) -> None:
    """Whoever asks a service that cannot be reached hears nothing of it."""
    async with Service(tmp_path) as service, client_of(service) as client:
        program = await Sleeper.start(client, "--ttl", "0.6", "--stop-when-lost")
        await service.end(signal.SIGKILL)
        assert await ended(program.kitty) == 128 + signal.SIGTERM


async def test_the_status_is_shown(client: Client) -> None:
    await lease(client, holder="a visible program")
    program = await cli(client, "gpu.status")
    out, _ = await program.communicate()
    assert b"a visible program" in out
    assert b"are held back" in out
    assert program.returncode == 0


async def test_the_figures_tell_of_leases_waits_and_parked_pictures(client: Client) -> None:
    job_id = (await client.submit(steps=50))["job_id"]
    await client.drawing(job_id)
    await lease(client, ttl_seconds=0.3)
    await client.ended(job_id)
    async with client.session.get("/metrics") as answer:
        text = await answer.text()
    figures = {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in text.splitlines())
        if name.startswith("kitty_images_gpu")
    }
    assert figures['kitty_images_gpu_leases{class="llm",gpu="local"}'] == 0
    assert figures['kitty_images_gpu_wait_seconds_count{class="llm",gpu="local"}'] == 1
    assert figures['kitty_images_gpu_wait_seconds_count{class="images",gpu="local"}'] == 1
    assert figures['kitty_images_gpu_parked_seconds_total{gpu="local"}'] > 0.1
    assert figures['kitty_images_gpu_leases_expired_total{class="llm",gpu="local"}'] == 1
    assert figures['kitty_images_gpu_parked{gpu="local"}'] == 0
