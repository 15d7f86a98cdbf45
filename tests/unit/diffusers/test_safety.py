"""Broken numbers and full memory: what is tried, what is remembered, what is said."""

import gc
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engines.diffusers import DiffusersEngine, life, tidying
from engines.diffusers import runner as runner_module
from engines.diffusers.devices import DEVICES, batch_size, guess_device
from engines.diffusers.pixels import NotFiniteError
from engines.diffusers.precision import Ladder, ladder
from engines.diffusers.settings import DiffusersSettings
from engines.diffusers.studio import Studio
from engines.errors import BadPictureError, EngineDownError, OutOfMemoryError
from tests.fakes.drawing import SPEC, draw, draw_all, pixels_of


@pytest.fixture
def half(make_engine: Any) -> DiffusersEngine:
    """An engine that starts with bfloat16, which a CPU can do, too."""
    return make_engine(precision="bf16")


def test_every_device_has_its_reasons() -> None:
    for rules in DEVICES.values():
        assert "precision" in rules.why
        assert "batch" in rules.why
    assert DEVICES["mps"].precision == "fp32"
    assert DEVICES["mps"].batch == 1
    assert not DEVICES["mps"].channels_last
    assert batch_size(DEVICES["cpu"], DiffusersSettings(batch=9)) == 9
    with pytest.raises(ValueError, match="tpu"):
        guess_device("tpu")


def test_the_ladder_climbs_to_single_precision() -> None:
    assert [rung.name for rung in ladder("fp16")] == ["fp16", "fp16+vae-fp32", "fp32"]
    assert [rung.name for rung in ladder("fp32")] == ["fp32"]


def test_the_ladder_remembers_what_worked(tmp_path: Path) -> None:
    first = Ladder(start="fp16", memory=tmp_path / "p.json")
    above = first.above(first.rung("m"), decoder_only=False)
    assert above is not None
    first.set("m", above)
    assert Ladder(start="fp16", memory=tmp_path / "p.json").rung("m").name == "fp16"
    first.remember()
    assert Ladder(start="fp16", memory=tmp_path / "p.json").rung("m").name == "fp32"


@pytest.fixture
def overflowing(monkeypatch: pytest.MonkeyPatch) -> set[torch.dtype]:
    """Decoders of these number formats run over."""
    formats = {torch.bfloat16}
    real = life.decode

    def decode(latents: Any, checkpoint: Any, *, tiled: bool) -> Any:
        if checkpoint.vae.dtype in formats:
            raise NotFiniteError
        return real(latents, checkpoint, tiled=tiled)

    monkeypatch.setattr(life, "decode", decode)
    return formats


@pytest.mark.usefixtures("overflowing")
async def test_a_decoder_that_runs_over_is_replaced_by_a_wider_one(
    half: DiffusersEngine, make_engine: Any
) -> None:
    picture, progress = await draw(half, SPEC)
    assert picture.facts["precision"] == "bf16+vae-fp32"
    assert [p.phase for p in progress].count("decoding") == 1
    await half.aclose()
    again, _ = await draw(make_engine(precision="bf16"), SPEC)
    assert again.facts["precision"] == "bf16+vae-fp32"


async def test_a_picture_that_runs_over_everywhere_is_an_error(
    half: DiffusersEngine, overflowing: set[torch.dtype]
) -> None:
    overflowing.add(torch.float32)
    with pytest.raises(BadPictureError):
        await draw(half, SPEC)


async def test_latents_that_run_over_are_drawn_again_in_single_precision(
    half: DiffusersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = runner_module.step

    def poisoned(sessions: Any, checkpoint: Any, **tools: Any) -> None:
        real(sessions, checkpoint, **tools)
        if checkpoint.dtype == torch.bfloat16:
            for session in sessions:
                session.latents = session.latents * float("nan")

    monkeypatch.setattr(runner_module, "step", poisoned)
    picture, _ = await draw(half, SPEC)
    assert picture.facts["precision"] == "fp32"
    assert pixels_of(picture.png).std() > 1


async def test_a_picture_that_is_flat_at_every_precision_was_drawn_so(
    half: DiffusersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.dtype] = []

    def black(_: Any, checkpoint: Any, **__: Any) -> Any:
        seen.append(checkpoint.vae.dtype)
        return np.zeros((64, 64, 3), np.uint8)

    monkeypatch.setattr(life, "decode", black)
    picture, _ = await draw(half, SPEC)
    assert [shortfall.code for shortfall in picture.shortfalls] == ["flat_picture"]
    assert torch.float32 in seen
    assert picture.facts["precision"] == "bf16"


@pytest.fixture
def crowded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Calls of more than `limit[0]` pictures run out of memory; the sizes follow."""
    sizes = [1]
    real = runner_module.step

    def step(sessions: Any, checkpoint: Any, **tools: Any) -> None:
        sizes.append(len(sessions))
        if len(sessions) > sizes[0]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        real(sessions, checkpoint, **tools)

    monkeypatch.setattr(runner_module, "step", step)
    return sizes


async def test_a_batch_that_is_too_large_is_halved_and_stays_so(
    make_engine: Any, crowded: list[int]
) -> None:
    crowded[0] = 2
    pictures = await draw_all(
        make_engine(batch=4), *(replace(SPEC, seed=seed) for seed in range(4))
    )
    assert len(pictures) == 4
    assert crowded[1:].count(4) == 1
    assert max(crowded[2:]) == 2


async def test_a_single_picture_that_is_too_large_is_an_error(
    make_engine: Any, crowded: list[int]
) -> None:
    crowded[0] = 0
    with pytest.raises(OutOfMemoryError):
        await draw(make_engine(), SPEC)


async def test_a_decoder_short_of_memory_decodes_in_tiles(
    make_engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tries = life.decode, []

    def decode(latents: Any, checkpoint: Any, *, tiled: bool) -> Any:
        tries.append(tiled)
        if not tiled:
            raise RuntimeError("MPS backend out of memory")
        return real(latents, checkpoint, tiled=tiled)

    monkeypatch.setattr(life, "decode", decode)
    await draw(make_engine(), SPEC)
    assert tries == [False, True]


async def test_memory_that_no_model_explains_is_released(
    make_engine: Any, caplog: pytest.LogCaptureFixture
) -> None:
    engine = make_engine()
    await draw(engine, SPEC)
    assert any(model.loaded for model in await engine.models())
    lost = [9 * 2**30]
    tidy = await engine.call(lambda studio: tidying.Tidying(studio, measure=lambda _: lost[0]))
    await engine.call(lambda _: tidy.when_idle())
    assert not any(model.loaded for model in await engine.models())
    assert "no model explains: released; 9216 MiB still are" in caplog.text


async def test_memory_that_releasing_does_not_bring_back_is_not_asked_for_again(
    make_engine: Any, caplog: pytest.LogCaptureFixture
) -> None:
    engine = make_engine()
    lost = [9 * 2**30]
    tidy = await engine.call(lambda studio: tidying.Tidying(studio, measure=lambda _: lost[0]))
    await engine.call(lambda _: tidy.when_idle())
    await draw(engine, SPEC)
    await engine.call(lambda _: tidy.when_idle())
    assert any(model.loaded for model in await engine.models())
    lost[0] += 3 * 2**30
    await engine.call(lambda _: tidy.when_idle())
    assert not any(model.loaded for model in await engine.models())
    assert caplog.text.count("no model explains") == 2


async def test_memory_in_cycles_is_found_before_models_are_let_go(make_engine: Any) -> None:
    class Ring:
        def __init__(self) -> None:
            self.itself = self

    engine = make_engine()
    await draw(engine, SPEC)
    gc.disable()
    try:
        ring = weakref.ref(Ring())
        seen = await engine.call(
            lambda studio: tidying.Tidying(
                studio, measure=lambda _: 0 if ring() is None else 9 * 2**30
            )
        )
        await engine.call(lambda _: seen.when_idle())
    finally:
        gc.enable()
    assert ring() is None
    assert any(model.loaded for model in await engine.models())


async def test_a_model_that_is_let_go_gives_its_memory_back_at_once(make_engine: Any) -> None:
    engine = make_engine()
    await draw(engine, SPEC)

    def weights(studio: Studio) -> list["weakref.ref[torch.Tensor]"]:
        checkpoint = studio.loader.get(studio.library.find(SPEC.model))
        return [weakref.ref(w) for part in checkpoint.networks for w in part.parameters()]

    held = await engine.call(weights)
    assert held
    gc.collect()
    gc.disable()
    try:
        await engine.release_memory()
        assert [weight for weight in held if weight() is not None] == []
    finally:
        gc.enable()


async def test_encoding_short_of_memory_is_told_as_such(
    make_engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crowded(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(life, "open_session", crowded)
    with pytest.raises(OutOfMemoryError):
        await draw(make_engine(), SPEC)


async def test_a_device_that_is_not_there_is_named(make_engine: Any) -> None:
    engine = make_engine()
    engine._furnishing = replace(engine._furnishing, device="cuda")
    if torch.cuda.is_available():
        pytest.skip("it is there")
    with pytest.raises(EngineDownError, match="cuda"):
        await draw(engine, SPEC)
    assert (await engine.probe()).ok


async def test_a_closed_engine_draws_nothing(make_engine: Any) -> None:
    engine = make_engine()
    await engine.aclose()
    await engine.aclose()
    with pytest.raises(EngineDownError):
        await draw(engine, SPEC)
    assert not (await engine.probe()).ok
