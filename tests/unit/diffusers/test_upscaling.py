"""Upscaler models, and what is said where they cannot be used."""

import importlib.util
import shutil
import sys
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engines.base import Shortfall
from engines.diffusers.digests import Digests
from engines.diffusers.headers import BrokenFileError
from engines.diffusers.library import Library
from engines.diffusers.names import UPSCALER_MISSING
from engines.diffusers.pixels import cover
from engines.diffusers.upscaler import Upscaler, enlarge, import_spandrel, load_upscaler
from engines.diffusers.upscaling import Upscalers
from engines.errors import InvalidSpecError, ModelNotFoundError
from engines.spec import Hires, Tiling, Upscale
from tests.fakes.drawing import SPEC, distance, draw, pixels_of
from tests.fakes.local import engine_in
from tests.fakes.pictures import gradient
from tests.fakes.turn import GateTurn
from tests.fakes.upscaler_files import make_compact, make_esrgan

CPU = torch.device("cpu")
Pixels = NDArray[np.uint8]
T = TypeVar("T")


@pytest.fixture
def upscalers(tmp_path: Path) -> Upscalers:
    """What enlarges with the models of a folder."""
    make_compact(tmp_path / "models" / "repeat.safetensors")
    make_compact(tmp_path / "models" / "repair.safetensors", scale=1)
    make_compact(tmp_path / "models" / "grey.safetensors", channels=1)
    make_esrgan(tmp_path / "models" / "sharp.safetensors", seed=1)
    library = Library(
        models_dir=tmp_path / "models", digests=Digests(memory=tmp_path / "digests.json")
    )
    return Upscalers(library=library, device=CPU)


def at_once(work: Generator[None, None, T]) -> T:
    """Go through with work that could wait, and return what it returns."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result


def noise(width: int, height: int) -> Pixels:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def repeated(pixels: Pixels, times: int) -> Pixels:
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def enlarged(
    upscalers: Upscalers, pixels: Pixels, *, field: str = "upscale", **wish: Any
) -> tuple[Pixels, tuple[Shortfall, ...]]:
    return at_once(upscalers.enlarge(pixels, field=field, **wish))


def whole(network: Upscaler, pixels: Pixels) -> Pixels:
    return at_once(enlarge(pixels, lambda: network))


def test_spandrel_is_imported_without_torchvision_and_leaves_nothing_in_its_place() -> None:
    assert import_spandrel().ImageModelDescriptor
    if importlib.util.find_spec("torchvision") is None:
        assert not [name for name in sys.modules if name.startswith("torchvision")]


def test_a_model_without_weights_repeats_each_pixel(upscalers: Upscalers) -> None:
    picture = noise(48, 32)
    larger, short = enlarged(upscalers, picture, upscaler="repeat", size=(96, 64))
    assert (larger == repeated(picture, 2)).all()
    assert short == ()


def test_a_model_is_asked_again_until_the_size_is_reached(upscalers: Upscalers) -> None:
    picture = noise(16, 16)
    larger, short = enlarged(upscalers, picture, upscaler="repeat", size=(64, 64))
    assert (larger == repeated(picture, 4)).all()
    between, _ = enlarged(upscalers, picture, upscaler="repeat", size=(48, 48))
    assert (between == cover(repeated(picture, 4), 48, 48)).all()
    assert short == ()


def test_esrgan_draws_its_own(upscalers: Upscalers) -> None:
    picture = gradient(32, 32)
    larger, short = enlarged(upscalers, picture, upscaler="sharp", size=(128, 128), field="hires")
    assert larger.shape == (128, 128, 3)
    assert distance(larger, cover(picture, 128, 128)) > 1
    assert short == ()


def test_tiles_leave_no_border(tmp_path: Path) -> None:
    """A picture of several tiles is what its middle would be as one tile of its own."""
    network = load_upscaler(make_compact(tmp_path / "m.safetensors", seed=3), CPU)
    picture = noise(40, 1100)
    larger = whole(network, picture)
    assert larger.shape == (2200, 80, 3)
    around_the_border = whole(network, picture[400:700])
    assert distance(larger[900:1300], around_the_border[100:500]) <= 1
    assert distance(larger, repeated(picture, 2)) > 1


def test_a_model_that_is_released_between_two_tiles_is_loaded_again(upscalers: Upscalers) -> None:
    picture = noise(40, 1100)
    enlarging = upscalers.enlarge(picture, upscaler="repeat", size=(80, 2200), field="upscale")
    next(enlarging)
    upscalers.release()
    next(enlarging)
    assert upscalers._loaded is not None
    larger, _ = at_once(enlarging)
    assert (larger == repeated(picture, 2)).all()


async def test_every_tile_waits_for_its_turn(models_dir: Path, tmp_path: Path) -> None:
    """Between two tiles the GPU can go to somebody else, as between two steps."""
    shutil.copytree(models_dir / "tiny-sd15", tmp_path / "models" / "tiny-sd15")
    make_compact(tmp_path / "models" / "repeat.safetensors")
    engine = engine_in(tmp_path, tmp_path / "models")
    spec = replace(SPEC, steps=1, width=64, height=640)
    plain, (turn, other) = await draw(engine, spec), (GateTurn(), GateTurn())
    await draw(engine, replace(spec, upscale=Upscale()), turn)
    by_model = replace(spec, upscale=Upscale(upscaler="repeat"))
    picture, _ = await draw(engine, by_model, other)
    await engine.aclose()
    assert other.entered == turn.entered + 1
    assert (pixels_of(picture.png) == repeated(pixels_of(plain[0].png), 2)).all()


async def test_every_tile_before_a_second_pass_waits_for_its_turn(
    models_dir: Path, tmp_path: Path
) -> None:
    shutil.copytree(models_dir / "tiny-sd15", tmp_path / "models" / "tiny-sd15")
    make_compact(tmp_path / "models" / "repeat.safetensors")
    engine = engine_in(tmp_path, tmp_path / "models")
    spec = replace(SPEC, steps=1, width=64, height=640)
    turns = GateTurn(), GateTurn()
    for upscaler, turn in zip(("lanczos", "repeat"), turns, strict=True):
        hires = Hires(scale=1.2, strength=1.0, upscaler=upscaler)
        await draw(engine, replace(spec, hires=hires), turn)
    await engine.aclose()
    by_filter, by_model = turns
    loading = tile = 1
    assert by_model.entered == by_filter.entered - loading + tile


@pytest.mark.parametrize("upscaler", ["lanczos", "sharp"])
@pytest.mark.parametrize("tiling", [Tiling.X, Tiling.Y, Tiling.BOTH])
def test_a_seamless_picture_stays_seamless(
    upscalers: Upscalers, tiling: Tiling, upscaler: str
) -> None:
    """Rolling before is rolling after, along the axes that continue and along no others."""
    picture = noise(40, 40)

    def seamless(pixels: Pixels) -> Pixels:
        return enlarged(upscalers, pixels, upscaler=upscaler, size=(80, 80), tiling=tiling)[0]

    axes = {Tiling.X: (1,), Tiling.Y: (0,), Tiling.BOTH: (0, 1)}[tiling]
    for axis in (0, 1):
        moved = np.roll(seamless(np.roll(picture, 20, axis)), -40, axis)
        away = distance(moved, seamless(picture))
        assert away <= 1 if axis in axes else away > 1


def test_a_model_that_does_not_enlarge_says_so(upscalers: Upscalers) -> None:
    picture = noise(24, 24)
    larger, (short,) = enlarged(upscalers, picture, upscaler="repair", size=(48, 48))
    assert (larger == cover(picture, 48, 48)).all()
    assert (short.code, short.field) == ("upscaler_does_not_enlarge", "upscale")


def test_what_cannot_be_used_is_refused_with_its_reason(upscalers: Upscalers) -> None:
    with pytest.raises(InvalidSpecError, match=r"grey: .* three colours") as refused:
        enlarged(upscalers, noise(16, 16), upscaler="grey", size=(32, 32), field="hires")
    assert refused.value.field == "hires"
    with pytest.raises(ModelNotFoundError, match="no upscaler called 'nobody'") as unknown:
        enlarged(upscalers, noise(16, 16), upscaler="nobody", size=(32, 32))
    assert unknown.value.field == "upscale"


def test_weights_of_no_architecture_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "odd.safetensors"
    save_file({"conv_first.weight": torch.zeros(4, 3)}, path)
    with pytest.raises(BrokenFileError, match=r"it cannot be loaded: .+"):
        load_upscaler(path, CPU)


def test_released_it_is_loaded_again(upscalers: Upscalers, tmp_path: Path) -> None:
    def enlarge() -> Pixels:
        return enlarged(upscalers, gradient(16, 16), upscaler="sharp", size=(64, 64))[0]

    first = enlarge()
    upscalers.release()
    assert upscalers._loaded is None
    assert (enlarge() == first).all()
    shutil.move(tmp_path / "models" / "repeat.safetensors", tmp_path / "models/sharp.safetensors")
    assert (enlarge() != first).any()


def test_without_the_library_lanczos_is_used_and_said(
    upscalers: Upscalers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    picture = noise(24, 24)
    larger, (short,) = enlarged(upscalers, picture, upscaler="sharp", size=(48, 48))
    assert (larger == cover(picture, 48, 48)).all()
    assert (short.code, short.field) == (UPSCALER_MISSING, "upscale")
    assert "spandrel" in short.detail
    assert "Lanczos" in short.detail
