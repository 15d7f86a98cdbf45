"""Models that look the same from outside are told apart, and many at once are kept."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engines.diffusers import guiding
from engines.spec import Control
from tests.fakes import tiny_models
from tests.fakes.drawing import SPEC, draw
from tests.fakes.local import engine_in
from tests.fakes.pictures import gradient, png_of


async def test_models_of_equal_size_and_age_are_not_taken_for_each_other(tmp_path: Path) -> None:
    """Archives are often unpacked with one time for all files."""
    models = tmp_path / "models"
    for seed, name in enumerate(("one", "other")):
        for path in tiny_models.make_sd15(models / name, seed=seed).rglob("*.safetensors"):
            os.utime(path, (0, 0))
    engine = engine_in(tmp_path, models)
    try:
        pictures = [(await draw(engine, replace(SPEC, model=n)))[0] for n in ("one", "other")]
    finally:
        await engine.aclose()
    assert pictures[0].png != pictures[1].png
    assert pictures[0].facts["model_sha256"] != pictures[1].facts["model_sha256"]


async def test_all_guides_of_a_picture_are_loaded_once(
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, loads = [f"control-{number}" for number in range(guiding.KEPT + 1)], []
    shutil.copytree(models_dir / "tiny-sd15", tmp_path / "models" / "tiny-sd15")
    for name in names:
        shutil.copytree(models_dir / "tiny-control", tmp_path / "models" / name)
    real = guiding.load_controlnet

    def load(control: Any, checkpoint: Any) -> Any:
        loads.append(control.info.name)
        return real(control, checkpoint)

    monkeypatch.setattr(guiding, "load_controlnet", load)
    engine = engine_in(tmp_path, tmp_path / "models")
    photo = engine._furnishing.inputs.keep(png_of(gradient(64, 64)), field="controls")
    try:
        await draw(engine, replace(SPEC, controls=tuple(Control(n, photo, 0.1) for n in names)))
        assert loads == names
        await draw(engine, replace(SPEC, controls=(Control(names[-1], photo, 0.1),)))
        assert loads == names
    finally:
        await engine.aclose()
