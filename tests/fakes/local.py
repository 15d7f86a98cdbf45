"""The engine in this process as tests want it: on the CPU, and at nothing but its pictures."""

from dataclasses import replace
from pathlib import Path

from engines.base import EngineName
from engines.diffusers import DiffusersEngine, DiffusersSettings
from engines.inputs import Inputs

QUIET = DiffusersSettings(preview_seconds=0, snapshot_seconds=0)


def engine_in(folder: Path, models: Path | None = None, **settings: object) -> DiffusersEngine:
    """Return an engine that keeps its notes and its input pictures in `folder`."""
    return DiffusersEngine(
        name=EngineName("diffusers"),
        models_dir=models,
        data_dir=folder / "data",
        inputs=Inputs(folder / "inputs"),
        device="cpu",
        settings=replace(QUIET, **settings),  # type: ignore[arg-type]
    )
