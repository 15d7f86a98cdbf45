"""What the server can draw with, and the memory that it takes."""

from dataclasses import replace

import pytest

from engines.comfyui.engine import ComfyUiEngine
from engines.errors import ModelNotFoundError
from tests.contract.bench_comfyui import SPEC
from tests.fakes.comfyui import FakeComfyUi
from tests.fakes.drawing import draw


async def test_models_of_every_kind_are_listed_with_what_their_files_say(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.shelf.folders["checkpoints"] += ["a/x.safetensors", "b/x.safetensors"]
    architecture = {"modelspec.architecture": "stable-diffusion-xl-v1-base"}
    server.shelf.headers["a/x.safetensors"] = architecture
    models = {model.name: model for model in await engine.models()}
    assert models["a/x.safetensors"].base == "sdxl"
    assert models["a/x.safetensors"].defaults.width == 1024
    assert models["b/x.safetensors"].base == ""
    assert not models["a/x.safetensors"].guessed
    assert not models["a/x.safetensors"].answers_to("x")
    assert models["a/x.safetensors"].answers_to("a/x")
    assert models["sd/tiny.safetensors"].answers_to("tiny")
    kinds = {name: model.kind for name, model in models.items()}
    assert kinds["style.safetensors"] == "lora"
    assert kinds["canny.safetensors"] == "controlnet"
    assert kinds["double.pth"] == "upscaler"


async def test_a_family_that_only_the_name_tells_is_a_guess(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.shelf.folders["checkpoints"].append("my_sdxl.safetensors")
    models = {model.name: model for model in await engine.models()}
    guess = models["my_sdxl.safetensors"]
    assert (guess.base, guess.guessed, guess.defaults.width) == ("sdxl", True, 1024)


async def test_samplers_are_asked_for_together_with_the_models(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    assert engine.capabilities.samplers is None
    await engine.models()
    samplers = engine.capabilities.samplers
    assert samplers is not None
    ours = ("euler", "euler_a", "ddim", "dpmpp_2m", "dpmpp_2m_karras", "dpmpp_sde", "unipc")
    assert samplers.names == (*ours, "lcm", "heun", "euler_ancestral", "uni_pc")
    assert samplers.reads("euler_ancestral/beta")
    assert not samplers.reads("euler_ancestral/alpha")
    assert server.asked.count("GET /object_info/KSampler") == 1


async def test_without_a_model_named_the_first_draws(engine: ComfyUiEngine) -> None:
    picture, _ = await draw(engine, replace(SPEC, model=""))
    assert picture.facts["checkpoint"] == "sd/tiny.safetensors"


@pytest.mark.parametrize("slowness", [1, 4])
async def test_memory_is_free_when_the_call_returns(
    server: FakeComfyUi, engine: ComfyUiEngine, slowness: int
) -> None:
    server.slowness = slowness
    await draw(engine, SPEC)
    assert server.worker.loaded
    await engine.release_memory()
    assert not server.worker.loaded


async def test_the_head_of_a_file_is_looked_at_once(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    await engine.models()
    await engine.models()
    assert server.asked.count("GET /view_metadata/checkpoints") == 1


async def test_a_server_without_a_checkpoint_draws_nothing(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.shelf.folders["checkpoints"].clear()
    with pytest.raises(ModelNotFoundError, match="no checkpoint at all"):
        await draw(engine, replace(SPEC, model=""))
