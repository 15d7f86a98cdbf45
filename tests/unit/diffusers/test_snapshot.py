"""A half-drawn picture survives: interrupted, killed, in another engine, bit for bit."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from engines.base import Picture, Progress
from engines.diffusers import DiffusersEngine
from engines.diffusers.recipes import RECIPES
from engines.spec import SPEC_JSON, Control, GenerationSpec, Hires, InputRef, Lora
from tests.fakes.drawing import SPEC, draw
from tests.fakes.turn import GateTurn
from tests.fakes.upscaler_files import make_compact


def in_lockstep(name: str) -> tuple[GateTurn, threading.Semaphore]:
    """A turn whose every piece of work waits for a permit; the first has one."""
    turn, permits = GateTurn(name), threading.Semaphore(1)
    turn.on_enter = permits.acquire
    return turn, permits


async def draw_until(engine: DiffusersEngine, spec: GenerationSpec, name: str, step: int) -> None:
    """Draw exactly some steps, then walk away.

    The thread waits before each piece of work until the one before was seen here.
    """
    turn, permits = in_lockstep(name)
    async with aclosing(engine.generate(spec, turn)) as updates:
        async for update in updates:
            assert isinstance(update, Progress), "it was not interrupted"
            if update.step >= step:
                turn.close()
                permits.release(1000)
                return
            permits.release()


async def resumed_at(engine: DiffusersEngine, spec: GenerationSpec, name: str) -> tuple[int, bytes]:
    """Draw the rest; the number of the first step that was still to be done, and the PNG.

    In lockstep, because news that nobody has read yet is replaced by newer news.
    """
    turn, permits = in_lockstep(name)
    steps: list[int] = []
    async with aclosing(engine.generate(spec, turn)) as updates:
        async for update in updates:
            if isinstance(update, Picture):
                return min(steps), update.png
            if update.phase == "drawing":
                steps.append(update.step)
            permits.release()
    raise AssertionError("no picture came")


@pytest.mark.parametrize("sampler", RECIPES)
async def test_an_interrupted_picture_is_the_same_bit_for_bit(
    engine: DiffusersEngine, sampler: str
) -> None:
    spec = replace(SPEC, sampler=sampler, steps=6)
    undisturbed, _ = await draw(engine, spec)
    for step in (1, 4):
        await draw_until(engine, spec, f"{sampler}-{step}", step)
        first, png = await resumed_at(engine, spec, f"{sampler}-{step}")
        assert first == step + 1
        assert png == undisturbed.png


async def test_the_second_pass_is_taken_up_where_it_stood(engine: DiffusersEngine) -> None:
    spec = replace(SPEC, hires=Hires(scale=2.0, strength=0.75), sampler="euler_a")
    undisturbed, _ = await draw(engine, spec)
    await draw_until(engine, spec, "second", 5)
    first, png = await resumed_at(engine, spec, "second")
    assert first == 6
    assert png == undisturbed.png


async def test_a_picture_that_waits_to_be_decoded_is_not_drawn_again(
    engine: DiffusersEngine,
) -> None:
    undisturbed, _ = await draw(engine, SPEC)
    turn = GateTurn("drawn")
    turn.on_enter = lambda: turn.entered > SPEC.steps and setattr(turn, "_open", False)
    async with aclosing(engine.generate(SPEC, turn)) as updates:
        async for update in updates:
            assert isinstance(update, Progress), "it was not interrupted"
            if update.phase == "parked":
                break
    picture, progress = await draw(engine, SPEC, GateTurn("drawn"))
    assert [p.phase for p in progress] == ["encoding", "decoding"]
    assert picture.png == undisturbed.png


async def test_what_fell_short_before_an_interruption_is_told_after_it(
    engine: DiffusersEngine, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.diffusers.upscaling.is_installed", lambda: False)
    path = make_compact(models_dir / "absent.safetensors")
    spec = replace(SPEC, hires=Hires(scale=2.0, upscaler="absent"))
    await draw_until(engine, spec, "short", 5)
    picture, _ = await draw(engine, spec, GateTurn("short"))
    path.unlink()
    assert [short.code for short in picture.shortfalls] == ["upscaler_missing"]
    assert "upscalers" not in picture.facts


@pytest.mark.parametrize(
    "change",
    [{"prompt": "a dog"}, {"model": "tiny-sdxl"}, {"steps": 7}],
    ids=["prompt", "model", "steps"],
)
async def test_a_snapshot_of_another_picture_is_refused(
    engine: DiffusersEngine, change: dict[str, object]
) -> None:
    other = replace(SPEC, **change)
    expected, _ = await draw(engine, other)
    await draw_until(engine, SPEC, f"refused-{change}", 2)
    first, png = await resumed_at(engine, other, f"refused-{change}")
    assert first == 1
    assert png == expected.png


@pytest.mark.parametrize("wish", ["lora", "control", "upscaler"])
async def test_a_snapshot_of_another_file_is_refused(
    engine: DiffusersEngine, models_dir: Path, photo: InputRef, wish: str
) -> None:
    """Whatever takes part may have been trained further meanwhile."""
    spec, path = {
        "lora": (replace(SPEC, loras=(Lora("bold"),)), models_dir / "loras" / "bold.safetensors"),
        "control": (
            replace(SPEC, controls=(Control("tiny-control", photo),)),
            models_dir / "tiny-control" / "diffusion_pytorch_model.safetensors",
        ),
        "upscaler": (
            replace(SPEC, hires=Hires(upscaler="sharp")),
            make_compact(models_dir / "sharp.safetensors"),
        ),
    }[wish]
    await draw_until(engine, spec, f"other-{wish}", 2)
    os.utime(path, (1, 1))
    first, _ = await resumed_at(engine, spec, f"other-{wish}")
    assert first == 1


async def test_another_version_starts_over(
    engine: DiffusersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed, _ = await draw(engine, SPEC)
    await draw_until(engine, SPEC, "older", 2)
    monkeypatch.setattr("engines.diffusers.snapshot._FORMAT", "another")
    first, png = await resumed_at(engine, SPEC, "older")
    assert first == 1
    assert png == undisturbed.png


@pytest.mark.parametrize("damage", ["cut", "junk", "empty"])
async def test_a_damaged_snapshot_starts_over(
    make_engine: Callable[..., DiffusersEngine], tmp_path: Path, damage: str
) -> None:
    engine = make_engine()
    await draw_until(engine, SPEC, "damaged", 2)
    await engine.aclose()
    (path,) = (tmp_path / "data" / "snapshots").glob("*.safetensors")
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[: len(whole) // 2], "junk": b"\xff" * 500, "empty": b""}[damage])

    first, _ = await resumed_at(make_engine(), SPEC, "damaged")

    assert first == 1
    assert not path.exists()


KILLED = """
import asyncio, sys
from pathlib import Path
from engines.spec import SPEC_JSON
from tests.fakes.local import engine_in
from tests.fakes.turn import GateTurn
from tests.fakes.upscaler_files import make_compact

async def main() -> None:
    models, folder, spec = sys.argv[1:]
    engine = engine_in(Path(folder), Path(models), snapshot_seconds=1e-9)
    turn = GateTurn("killed")
    turn.on_enter = lambda: turn.entered >= 6 and setattr(turn, "_open", False)
    async for update in engine.generate(SPEC_JSON.validate_json(spec), turn):
        print(update.phase, flush=True)

asyncio.run(main())
"""


async def lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    while line := await stream.readline():
        yield line.decode().strip()


async def test_a_killed_process_loses_nothing_but_the_last_step(
    make_engine: Callable[..., DiffusersEngine], models_dir: Path, tmp_path: Path
) -> None:
    spec = replace(SPEC, steps=8, sampler="dpmpp_sde")
    undisturbed, _ = await draw(make_engine(), spec)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        KILLED,
        str(models_dir),
        str(tmp_path),
        SPEC_JSON.dump_json(spec).decode(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert process.stdout is not None
    async for line in lines(process.stdout):
        if line == "parked":
            break
    process.send_signal(signal.SIGKILL)
    assert await process.wait() == -signal.SIGKILL

    first, png = await resumed_at(make_engine(), spec, "killed")

    assert first > 1
    assert png == undisturbed.png
