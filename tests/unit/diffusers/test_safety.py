"""Full memory, lost memory, a device that is not there: what is tried, and what is said."""

import gc
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engines.diffusers import developing, life, tidying
from engines.diffusers import runner as runner_module
from engines.diffusers.devices import DEVICES, batch_size, guess_device
from engines.diffusers.settings import DiffusersSettings
from engines.diffusers.studio import Studio
from engines.errors import EngineDownError, OutOfMemoryError
from engines.inputs import Inputs
from engines.spec import Control, InputRef, Lora, Upscale
from tests.fakes.drawing import SPEC, draw, draw_all
from tests.fakes.upscaler_files import make_compact


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


async def test_a_single_picture_has_the_room_of_models_that_nobody_draws_with(
    make_engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine()
    await draw(engine, replace(SPEC, model="tiny-sdxl"))
    studio = await engine.call(lambda studio: studio)
    real = runner_module.step

    def step(sessions: Any, checkpoint: Any, **tools: Any) -> None:
        if len(studio.loader.loaded) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        real(sessions, checkpoint, **tools)

    monkeypatch.setattr(runner_module, "step", step)
    await draw(engine, SPEC)
    assert [model.name for model in await engine.models() if model.loaded] == [SPEC.model]


async def test_a_decoder_short_of_memory_decodes_in_tiles(
    make_engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tries = developing.decode, []

    def decode(latents: Any, checkpoint: Any, *, tiled: bool) -> Any:
        tries.append(tiled)
        if not tiled:
            raise RuntimeError("MPS backend out of memory")
        return real(latents, checkpoint, tiled=tiled)

    monkeypatch.setattr(developing, "decode", decode)
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


async def test_guides_upscalers_and_loras_explain_their_memory(
    make_engine: Any, models_dir: Path, photo: InputRef, inputs: Inputs
) -> None:
    """Where they are larger than what may be in use beside the models, nothing is lost."""
    make_compact(models_dir / "explained.safetensors")
    engine = make_engine()
    engine._furnishing.inputs.keep(inputs.read(photo), field="controls")
    await draw(engine, SPEC)
    before = await engine.call(lambda studio: studio.held)
    wish = replace(
        SPEC,
        loras=(Lora("bold"),),
        controls=(Control("tiny-control", photo),),
        upscale=Upscale(upscaler="explained"),
    )
    await draw(engine, wish)
    more = await engine.call(lambda studio: studio.held) - before
    (models_dir / "explained.safetensors").unlink()
    paths = ("tiny-control/diffusion_pytorch_model", "loras/bold")
    files = [load_file(models_dir / f"{path}.safetensors") for path in paths]
    assert more > sum(tensor.nbytes for file in files for tensor in file.values())


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
