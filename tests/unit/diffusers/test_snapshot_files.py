"""The folder of snapshots: it does not grow for ever, and says when it cannot be written."""

import os
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
import torch

from engines.diffusers.snapshot import Snapshot, Snapshots
from tests.fakes.drawing import SPEC, draw, first_step
from tests.fakes.turn import GateTurn
from tests.unit.diffusers.conftest import MakeEngine

STATE = Snapshot(part=0, tensors={"latents": torch.zeros(4)}, memory={})
DAY_SECONDS = 86_400.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "snapshots"


@pytest.fixture
def snapshots(folder: Path) -> Iterator[Snapshots]:
    made = Snapshots(folder=folder, keep_days=3.0)
    yield made
    made.close()


def test_what_a_kill_left_half_written_is_swept_away(folder: Path, snapshots: Snapshots) -> None:
    folder.mkdir()
    for name in ("old.safetensors", "old.part", ".old"):
        (folder / name).touch()
        os.utime(folder / name, (0, 0))
    (folder / "young.part").touch()
    snapshots.sweep()
    assert [path.name for path in folder.iterdir()] == ["young.part"]


def test_a_service_that_runs_for_days_sweeps_too(
    folder: Path, snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots.sweep()
    snapshots.write("forgotten", STATE, under="")
    later = time.time() + 4 * DAY_SECONDS
    monkeypatch.setattr(time, "time", lambda: later)
    snapshots.write("one", STATE, under="")
    snapshots.close()
    [left] = folder.iterdir()
    assert left == snapshots._path("one")


def test_a_snapshot_that_cannot_be_written_is_told(
    snapshots: Snapshots, caplog: pytest.LogCaptureFixture
) -> None:
    snapshots._path("one").with_suffix(".part").mkdir(parents=True)
    snapshots.write("one", STATE, under="")
    assert snapshots.read("one", under="") is None
    assert "a snapshot could not be written" in caplog.text


def test_what_is_written_is_not_remembered_for_ever(snapshots: Snapshots) -> None:
    for number in range(9):
        snapshots.write(str(number), STATE, under="")
        snapshots._desk.submit(lambda: None).result()
    assert len(snapshots._writing) == 1


async def test_a_finished_picture_leaves_no_snapshot(make_engine: MakeEngine, folder: Path) -> None:
    engine = make_engine(snapshot_seconds=1e-9)
    await draw(engine, SPEC)
    await engine.aclose()
    assert not list((folder.parent / "data" / "snapshots").glob("*"))


async def test_what_an_engine_left_is_swept_away_by_the_next(
    make_engine: MakeEngine, folder: Path
) -> None:
    engine = make_engine()
    async with aclosing(engine.generate(SPEC, GateTurn("forgotten"))) as updates:
        await first_step(updates)
    await engine.aclose()
    (path,) = (folder.parent / "data" / "snapshots").glob("*.safetensors")
    os.utime(path, (0, 0))
    await draw(make_engine(), SPEC)
    assert not path.exists()
