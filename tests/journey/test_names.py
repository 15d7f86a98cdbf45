"""Names in a request: one that an engine does not have is refused before there is a job."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.fakes.comfyui import FakeComfyUi, fake_comfyui
from tests.journey.running import Client, Service, client_of
from tests.journey.shelf import PHOTO, draw, know_models, make_shelf

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shelf(tmp_path_factory.mktemp("shelf"))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server() -> AsyncIterator[FakeComfyUi]:
    async with fake_comfyui() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(
    shelf: Path, server: FakeComfyUi, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Client]:
    """A client of a service with tiny models, and a server that draws, too."""
    settings = {
        "IMAGE_ENGINE": "diffusers",
        "MODELS_DIR": str(shelf),
        "COMFY_BASE_URL": server.url,
        "PREVIEW_SECONDS": "0",
    }
    data = tmp_path_factory.mktemp("names")
    async with Service(data, **settings) as service, client_of(service) as opened:
        await know_models(opened)
        yield opened


async def refused(client: Client, **body: object) -> tuple[str, str]:
    """Ask for what is not there; return the field that is named, and the words."""
    jobs = await client.json("GET", "/api/images/jobs")
    asked = {"prompt": "a cat", "width": 64, "height": 64} | body
    status, problem = await client.json("POST", "/api/images/generate", json=asked)
    assert (status, problem["code"]) == (422, "model_not_found")
    assert await client.json("GET", "/api/images/jobs") == jobs
    return problem["field"], problem["detail"]


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        (
            {"model": "mini", "loras": [{"name": "bold"}, {"name": "sofd"}]},
            "loras.1.name",
            "LoRA 'sofd'; near it: soft",
        ),
        ({"loras": [{"name": "mini"}]}, "loras.0.name", "it has: bold-xl, bold, soft"),
        (
            {"controls": [{"model": "tiny", "image": PHOTO}]},
            "controls.0.model",
            "ControlNet 'tiny'; near it: tiny-control",
        ),
        ({"hires": {"upscaler": "shrap"}}, "hires.upscaler", "upscaler 'shrap'; near it: sharp"),
        ({"upscale": {"upscaler": "bold"}}, "upscale.upscaler", "it has: repeat, sharp"),
        ({"upscale": {"upscaler": "latent"}}, "upscale.upscaler", "no upscaler 'latent'"),
        ({"refiner": "tiny-refine"}, "refiner.model", "model 'tiny-refine'; near it: tiny-refiner"),
        ({"model": "tiny-sd51"}, "model", "model 'tiny-sd51'; near it: tiny-sd15"),
    ],
)
async def test_a_name_that_is_not_there_is_refused_with_those_that_are(
    client: Client, body: dict[str, Any], field: str, words: str
) -> None:
    named, detail = await refused(client, **({"model": "tiny-sd15"} | body))
    assert named == field
    assert detail.startswith("diffusers has no ")
    assert words in detail


async def test_capitals_make_no_other_name(client: Client) -> None:
    plain = await draw(client, loras=[{"name": "bold"}])
    shouted = await draw(client, model="Tiny-SD15", loras=[{"name": "BOLD"}])
    assert (shouted.pixels == plain.pixels).all()
    assert shouted.facts["loras"][0]["sha256"] == plain.facts["loras"][0]["sha256"]
    assert shouted.warnings == []


async def test_a_file_that_came_a_moment_ago_is_there(client: Client, shelf: Path) -> None:
    shutil.copy(shelf / "bold.safetensors", shelf / "late.safetensors")
    late = await draw(client, loras=[{"name": "late"}])
    assert (late.pixels == (await draw(client, loras=[{"name": "bold"}])).pixels).all()


async def test_a_broken_file_is_refused_with_what_is_wrong_and_taken_once_it_is_right(
    client: Client, shelf: Path
) -> None:
    whole = (shelf / "soft.safetensors").read_bytes()
    (shelf / "mended.safetensors").write_bytes(whole[:-8])
    await know_models(client)
    asked = {"prompt": "a cat", "model": "tiny-sd15", "loras": [{"name": "mended"}]}
    status, problem = await client.json("POST", "/api/images/generate", json=asked)
    assert (status, problem["code"]) == (422, "invalid_spec")
    assert problem["field"] == "loras.0.name"
    assert "8 bytes of its tensors are missing" in problem["detail"]
    (shelf / "mended.safetensors").write_bytes(whole)
    assert (await draw(client, loras=[{"name": "mended"}])).warnings == []


async def test_a_file_that_is_gone_when_its_job_begins_ends_the_job(
    client: Client, shelf: Path
) -> None:
    shutil.copy(shelf / "bold.safetensors", shelf / "fleeting.safetensors")
    await client.json("POST", "/api/images/queue/pause")
    asked = await client.submit(model="tiny-sd15", loras=[{"name": "fleeting"}])
    assert asked["warnings"] == []
    (shelf / "fleeting.safetensors").unlink()
    await client.json("POST", "/api/images/queue/resume")
    job = await client.ended(asked["job_id"])
    assert (job["state"], job["error_code"]) == ("failed", "model_not_found")
    assert "no lora called 'fleeting'" in job["error"]


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"loras": [{"name": "stile"}]}, "loras.0.name", "near it: style.safetensors"),
        ({"prompt": "a cat <lora:stile:0.5>"}, "prompt", "near it: style.safetensors"),
        ({"controls": [{"model": "depth", "image": PHOTO}]}, "controls.0.model", "it has: canny"),
        ({"hires": {"upscaler": "sharp"}}, "hires.upscaler", "it has: double.pth"),
        ({"refiner": "tiny-xl"}, "refiner.model", "near it: sd/tiny.safetensors"),
    ],
)
async def test_a_server_is_believed(
    client: Client, body: dict[str, Any], field: str, words: str
) -> None:
    named, detail = await refused(client, **({"engine": "comfyui", "model": "tiny"} | body))
    assert named == field
    assert words in detail


async def test_a_server_s_samplers_are_known(client: Client) -> None:
    asked = {"prompt": "a cat", "engine": "comfyui", "model": "tiny", "sampler": "euler_b"}
    status, problem = await client.json("POST", "/api/images/generate", json=asked)
    assert (status, problem["code"], problem["field"]) == (422, "invalid_spec", "sampler")
    assert problem["detail"].startswith("comfyui has no sampler 'euler_b'; near it: euler_a, ")
    assert "there are: euler, euler_a, ddim, " in problem["detail"]
    _, answer = await client.json("GET", "/api/images/engines")
    told = {engine["engine"]: engine["samplers"] for engine in answer["items"]}
    assert ", ".join(told["comfyui"]) in problem["detail"]
    assert told["diffusers"][:3] == ["euler", "euler_a", "ddim"]
    assert told["fake"] == []
    job = await client.draw(**(asked | {"sampler": "euler_ancestral/karras"}))
    assert (job["state"], job["warnings"]) == ("succeeded", [])


async def test_a_server_finds_what_it_listed(client: Client, server: FakeComfyUi) -> None:
    server.shelf.folders["loras"].append("styles\\Late.safetensors")
    body = {
        "engine": "comfyui",
        "model": "TINY",
        "loras": [{"name": "style"}, {"name": "Styles/late.safetensors"}],
        "hires": {"scale": 1.5, "upscaler": "bicubic"},
        "upscale": {"upscaler": "double"},
    }
    job = await client.draw(**body)
    assert (job["state"], job["warnings"]) == ("succeeded", [])


async def test_a_server_that_is_away_is_not_spoken_for(client: Client, server: FakeComfyUi) -> None:
    await server.stop()
    body = {"sampler": "neither", "loras": [{"name": "nobody"}]}
    asked = await client.submit(engine="comfyui", model="tiny", **body)
    assert [(w["code"], w["field"]) for w in asked["warnings"]] == [
        ("model_unchecked", "sampler"),
        ("model_unchecked", "loras.0.name"),
    ]
    assert "'neither'" in asked["warnings"][0]["detail"]
    assert "'nobody'" in asked["warnings"][1]["detail"]
    job = await client.json("DELETE", f"/api/images/jobs/{asked['job_id']}")
    assert job[1]["state"] == "cancelled"


async def test_where_models_may_be_fetched_one_of_the_hub_is_taken_on_trust(tmp_path: Path) -> None:
    settings = {"IMAGE_ENGINE": "diffusers", "ALLOW_HUB": "true"}
    async with Service(tmp_path, **settings) as service, client_of(service) as client:
        await know_models(client)
        await client.json("POST", "/api/images/queue/pause")
        taken = await client.submit(model="owner/model")
        assert (taken["model"], taken["warnings"][0]["code"]) == ("owner/model", "model_unchecked")
        assert (await refused(client, model="no/such/model"))[0] == "model"
