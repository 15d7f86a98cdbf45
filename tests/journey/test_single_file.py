"""A user who has nothing but one file: what it lacks is said, fetched once, and then kept."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from engines.diffusers.borrowing import SOURCES
from tests.fakes import tiny_models
from tests.fakes.hub import FakeHub, fake_hub
from tests.fakes.single_file import make_single_file
from tests.journey.running import Client, Service, client_of
from tests.journey.shelf import draw, failed, know_models

pytestmark = pytest.mark.asyncio(loop_scope="module")

BUILT_IN = {"model": "mini", "width": 128, "height": 128, "steps": 2}


@pytest.fixture(scope="module")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.make_sd15(tmp_path_factory.mktemp("repository") / "sd15")


@pytest_asyncio.fixture(loop_scope="module")
async def hub(sd15: Path) -> AsyncIterator[FakeHub]:
    async with fake_hub({SOURCES["sd15"]: sd15}) as running:
        yield running


@pytest.fixture
def models(sd15: Path, tmp_path: Path) -> Path:
    """A models folder with one file in it, and a card, as it is too small to tell its family."""
    make_single_file(tmp_path / "models" / "one.safetensors", sd15)
    (tmp_path / "models" / "one.kitty.json").write_text('{"base": "sd15"}')
    return tmp_path / "models"


def service(models: Path, data: Path, hub: FakeHub | None = None, **more: str) -> Service:
    """A service, which may ask a hub."""
    settings = {
        "IMAGE_ENGINE": "diffusers",
        "MODELS_DIR": str(models),
        "PREVIEW_SECONDS": "0",
        "HF_HOME": str(data / "hf"),
    }
    if hub is not None:
        # A file that waits at the hub, while another picture is drawn, is not to be asked for anew.
        patience = {"HF_HUB_DOWNLOAD_TIMEOUT": "300", "HF_HUB_ETAG_TIMEOUT": "300"}
        settings |= {"ALLOW_HUB": "true", "HF_ENDPOINT": hub.url} | patience
    return Service(data / "data", **(settings | more))


async def listed(client: Client, name: str) -> dict[str, Any]:
    """What is said of a model."""
    _, answer = await client.json("GET", "/api/images/models?refresh=1")
    [item] = [item for item in answer["items"] if item["name"] == name]
    found: dict[str, Any] = item
    return found


async def test_without_the_hub_the_list_and_the_refusal_say_what_to_do(
    models: Path, sd15: Path, tmp_path: Path
) -> None:
    async with service(models, tmp_path) as running, client_of(running) as client:
        await know_models(client)
        error = (await listed(client, "one"))["error"]
        body = {"prompt": "a cat", "model": "one"}
        status, problem = await client.json("POST", "/api/images/generate", json=body)
        assert (status, problem["code"], problem["field"]) == (422, "invalid_spec", "model")
        assert problem["detail"] == f"one: {error}"
        assert error.startswith("a single file holds neither tokenizer nor shapes")
        folder = ".families/sd15"
        assert "set ALLOW_HUB=true" in error
        assert "put any sd15 model folder in diffusers' layout into MODELS_DIR" in error
        assert f"hf download {SOURCES['sd15']} --include" in error
        assert error.endswith(f"--local-dir MODELS_DIR/{folder}")

        # What the command brings: everything but the weights.
        leave_out = shutil.ignore_patterns("*.safetensors")
        shutil.copytree(sd15, models / folder, ignore=leave_out)
        assert (await draw(client, model="one")).warnings == []
        assert (await listed(client, "one"))["error"] == ""


async def test_with_the_hub_what_it_lacks_is_fetched_once_while_others_draw(
    models: Path, hub: FakeHub, tmp_path: Path
) -> None:
    async with service(models, tmp_path, hub) as running, client_of(running) as client:
        await know_models(client)
        assert (await listed(client, "one"))["error"] == ""
        asked = await client.submit("a cat and a dog", model="one", sampler="euler", seed=7)
        # A job that ends before it asks the hub is told below, not waited for.
        ended = asyncio.create_task(client.ended(asked["job_id"]))
        wanted = asyncio.create_task(hub.wanted.wait())
        await asyncio.wait({ended, wanted}, return_when=asyncio.FIRST_COMPLETED)
        job = await client.job(asked["job_id"])
        assert (job["state"], job["phase"]) == ("running", "loading")
        assert (await client.draw(**BUILT_IN))["state"] == "succeeded"
        assert (await client.job(asked["job_id"]))["phase"] == "loading"
        hub.open.set()
        job = await ended
        assert job["state"] == "succeeded", job["error"]
        first = list(hub.given)
        assert {"tokenizer/vocab.json", "tokenizer/merges.txt", "unet/config.json"} <= set(first)
        assert not [path for path in first if path.endswith(".safetensors")]
        fetched = await draw(client, model="one")
        assert hub.given == first
    async with service(models, tmp_path) as running, client_of(running) as client:
        await know_models(client)
        kept = await draw(client, model="one")
    assert (kept.pixels == fetched.pixels).all()


async def test_a_hub_that_is_away_fails_the_job_and_nothing_else(
    models: Path, hub: FakeHub, tmp_path: Path
) -> None:
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_DOWNLOAD_TIMEOUT": "1"}
    async with service(models, tmp_path, hub, **nowhere) as running, client_of(running) as client:
        await know_models(client)
        code, words = await failed(client, model="one")
        assert code == "invalid_spec"
        assert f"{SOURCES['sd15']}, which lends sd15 its tokenizer, could not be" in words
        _, answer = await client.json("GET", "/api/images/engines")
        states = {engine["engine"]: engine["state"] for engine in answer["items"]}
        assert states["diffusers"] == "closed"
        assert (await client.draw(**BUILT_IN))["state"] == "succeeded"


async def test_a_file_whose_family_nobody_can_tell_asks_for_a_card(
    models: Path, hub: FakeHub, tmp_path: Path
) -> None:
    (models / "one.kitty.json").write_text(json.dumps({"name": "one"}))
    async with service(models, tmp_path, hub) as running, client_of(running) as client:
        error = (await listed(client, "one"))["error"]
    assert 'name it in a file one.kitty.json beside it, as {"base": "sdxl"}' in error
    assert not hub.given
