"""Which models stay on the device, by what they take there."""

import asyncio
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engines.diffusers import DiffusersEngine, loader
from tests.fakes.drawing import SPEC, draw
from tests.fakes.local import engine_in

MakeEngine = Callable[..., DiffusersEngine]

SMALL, BIG = SPEC, replace(SPEC, model="tiny-sdxl")


async def loaded(engine: DiffusersEngine) -> set[str]:
    return {model.name for model in await engine.models() if model.loaded}


async def test_nobody_waits_for_a_long_step_to_learn_what_is_there(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine()
    await draw(engine, SMALL)
    before = await loaded(engine)
    monkeypatch.setattr("engines.diffusers.engine._STEP_SECONDS", 0.0)
    busy, done = threading.Event(), threading.Event()
    step = asyncio.create_task(engine.call(lambda _: (busy.set(), done.wait(60))))
    await asyncio.to_thread(busy.wait, 60)
    assert await loaded(engine) == before == {SMALL.model}
    done.set()
    await step


async def needed(engine: DiffusersEngine) -> int:
    """Bytes that must be free for both models, as the files of the second one have it."""
    await draw(engine, SMALL)
    held = await engine.call(lambda studio: studio.loader.held)
    [big] = [model for model in await engine.models() if model.name == BIG.model]
    await engine.release_memory()
    return held + (big.size_bytes or 0)


async def test_a_model_takes_what_its_weights_take(
    make_engine: MakeEngine, models_dir: Path
) -> None:
    engine = make_engine()
    await draw(engine, SMALL)
    weights = [load_file(file) for file in (models_dir / SMALL.model).rglob("*.safetensors")]
    assert len(weights) == 3
    sizes = [tensor.nbytes for network in weights for tensor in network.values()]
    assert await engine.call(lambda studio: studio.loader.held) == sum(sizes)


@pytest.mark.parametrize(("short", "left"), [(0, {SMALL.model, BIG.model}), (1, {BIG.model})])
async def test_the_least_recently_used_model_leaves_when_the_next_does_not_fit(
    make_engine: MakeEngine, short: int, left: set[str]
) -> None:
    enough = await needed(make_engine())
    engine = make_engine(memory_gib=(enough - short) / 2**30)
    await draw(engine, SMALL)
    await draw(engine, BIG)
    assert await loaded(engine) == left


async def test_a_model_takes_the_place_of_others_where_the_budget_promised_too_much(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with the usual budget on a smaller GPU, or beside a llama.cpp that has grown."""
    engine, real = make_engine(), loader.load_folder
    await draw(engine, SMALL)
    studio = await engine.call(lambda studio: studio)

    def load(*which: Any, **how: Any) -> Any:
        if studio.loader.loaded:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(*which, **how)

    monkeypatch.setattr(loader, "load_folder", load)
    await draw(engine, BIG)
    assert await loaded(engine) == {BIG.model}


async def test_what_a_model_takes_at_another_precision_than_its_file_counts(
    models_dir: Path, tmp_path: Path
) -> None:
    """A file in half precision takes twice its size in single precision."""
    shelf = tmp_path / "models"
    for name in (SMALL.model, BIG.model):
        shutil.copytree(models_dir / name, shelf / name)
    for path in (shelf / BIG.model).rglob("*.safetensors"):
        save_file({name: tensor.half() for name, tensor in load_file(path).items()}, path)
    engine = engine_in(tmp_path, shelf)
    enough = await needed(engine)
    await engine.aclose()
    engine = engine_in(tmp_path, shelf, memory_gib=enough / 2**30)
    await draw(engine, SMALL)
    await draw(engine, BIG)
    left = await loaded(engine)
    await engine.aclose()
    assert left == {BIG.model}
