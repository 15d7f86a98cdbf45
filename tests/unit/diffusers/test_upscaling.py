"""Upscaler models, and what is said where they cannot be used."""

import shutil
import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engines.base import EngineName
from engines.diffusers import DiffusersEngine, DiffusersSettings
from engines.inputs import Inputs
from engines.spec import Hires, Upscale
from tests.fakes.drawing import SPEC, distance, draw, pixels_of

ESRGAN = {"in_nc": 3, "out_nc": 3, "num_filters": 8, "num_blocks": 1, "scale": 2}


@pytest.fixture
def spandrel(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The library, also where torchvision, which two of its other architectures want, is not."""
    try:
        import torchvision  # noqa: F401
    except ImportError:
        names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
        for name in names:
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        functional = sys.modules[names[-1]]
        for word in ("InterpolationMode", "rotate", "normalize"):
            setattr(functional, word, None)
    for name in [name for name in sys.modules if name.startswith("spandrel")]:
        monkeypatch.delitem(sys.modules, name)
    return pytest.importorskip("spandrel")


@pytest.fixture
def shelf(models_dir: Path, tmp_path: Path) -> Path:
    shutil.copytree(models_dir / "tiny-sd15", tmp_path / "models" / "tiny-sd15")
    return tmp_path / "models"


@pytest.fixture
def engine(shelf: Path, tmp_path: Path) -> Iterator[DiffusersEngine]:
    import asyncio

    made = DiffusersEngine(
        name=EngineName("diffusers"),
        models_dir=shelf,
        data_dir=tmp_path / "data",
        inputs=Inputs(tmp_path / "inputs"),
        device="cpu",
        settings=DiffusersSettings(preview_seconds=0, snapshot_seconds=0),
    )
    yield made
    asyncio.run(made.aclose())


async def test_an_upscaler_model_enlarges(
    engine: DiffusersEngine, shelf: Path, spandrel: types.ModuleType
) -> None:
    network = spandrel.architectures.ESRGAN.ESRGAN

    torch.manual_seed(0)
    save_file(network(**ESRGAN).state_dict(), shelf / "sharp.safetensors")
    spec = replace(SPEC, upscale=Upscale(scale=2.0, upscaler="sharp"))
    picture, _ = await draw(engine, spec)
    plain, _ = await draw(engine, replace(SPEC, upscale=Upscale(scale=2.0)))
    assert (picture.width, picture.height) == (128, 128)
    assert picture.shortfalls == ()
    assert distance(pixels_of(picture.png), pixels_of(plain.png)) > 1
    hires = replace(SPEC, hires=Hires(scale=2.0, strength=0.5, upscaler="sharp"))
    assert (await draw(engine, hires))[0].width == 128


async def test_without_the_library_lanczos_is_used_and_said(
    engine: DiffusersEngine, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    save_file({"conv_first.weight": torch.zeros(4, 3)}, shelf / "sharp.safetensors")
    picture, _ = await draw(engine, replace(SPEC, upscale=Upscale(upscaler="sharp")))
    plain, _ = await draw(engine, replace(SPEC, upscale=Upscale()))
    (shortfall,) = picture.shortfalls
    assert (shortfall.code, shortfall.field) == ("upscaler_missing", "upscale")
    assert picture.png == plain.png
