"""What does not fit: no job is made of a wish that could only fail when its turn comes."""

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.journey.running import Client, Service, client_of
from tests.journey.shelf import PHOTO, draw, know_models, make_shelf

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_shelf(tmp_path_factory.mktemp("shelf"))
    for name, base in (("bold", "sd15"), ("bold-xl", "sdxl")):
        # Real files tell it by the width of their layers; these are too small for that.
        (folder / f"{name}.kitty.json").write_text(json.dumps({"base": base}))
    (folder / "tiny-sdxl" / "kitty.json").write_text('{"refused_samplers": ["heun"]}')
    fine = shutil.copytree(folder / "tiny-refiner", folder / "fine")
    (fine / "kitty.json").write_text('{"base": "sdxl-refiner"}')
    return folder


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    settings = {"IMAGE_ENGINE": "diffusers", "MODELS_DIR": str(shelf), "PREVIEW_SECONDS": "0"}
    data = tmp_path_factory.mktemp("fitting")
    async with Service(data, **settings) as service, client_of(service) as opened:
        await know_models(opened)
        yield opened


async def refused(client: Client, **body: object) -> tuple[str, str]:
    """Ask for what does not fit; return the field that is named, and the words."""
    jobs = await client.json("GET", "/api/images/jobs")
    asked = {"prompt": "a cat", "width": 64, "height": 64} | body
    status, problem = await client.json("POST", "/api/images/generate", json=asked)
    assert (status, problem["code"]) == (422, "invalid_spec")
    assert await client.json("GET", "/api/images/jobs") == jobs
    return problem["field"], problem["detail"]


NEAR = "dpmpp_2m_karras, dpmpp_2m, dpmpp_sde"
THERE = "there are: euler, euler_a, ddim, dpmpp_2m, dpmpp_2m_karras, dpmpp_sde, unipc, lcm, heun"


@pytest.mark.parametrize(
    ("model", "sampler", "words"),
    [
        (
            "tiny-sd15",
            "dpmpp_2m_keras",
            f"diffusers has no sampler 'dpmpp_2m_keras'; near it: {NEAR}; {THERE}",
        ),
        ("tiny-sd15", "pndm", f"diffusers has no sampler 'pndm'; {THERE}"),
        ("mini", "pndm", f"mini cannot be drawn with pndm; {THERE}"),
        (
            "tiny-sdxl",
            "heun",
            f"tiny-sdxl cannot be drawn with heun; {THERE.removesuffix(', heun')}",
        ),
    ],
)
async def test_a_sampler_is_refused_with_those_that_there_are(
    client: Client, model: str, sampler: str, words: str
) -> None:
    assert await refused(client, model=model, sampler=sampler) == ("sampler", words)


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        (
            {"loras": [{"name": "bold"}, {"name": "bold-xl"}]},
            "loras.1.name",
            "the LoRA bold-xl was made for sdxl, but tiny-sd15 is of sd15",
        ),
        (
            {"prompt": "a cat <lora:bold-xl:1>"},
            "prompt",
            "the LoRA bold-xl was made for sdxl, but tiny-sd15 is of sd15",
        ),
        (
            {"model": "tiny-sdxl", "loras": [{"name": "bold"}]},
            "loras.0.name",
            "the LoRA bold was made for sd15, but tiny-sdxl is of sdxl",
        ),
        (
            {"model": "fine", "loras": [{"name": "bold-xl"}]},
            "loras.0.name",
            "the LoRA bold-xl was made for sdxl, but fine is of sdxl-refiner",
        ),
        (
            {"model": "mini", "loras": [{"name": "bold"}]},
            "loras.0.name",
            "the LoRA bold was made for sd15, but mini is of mini",
        ),
        (
            {"model": "tiny-sdxl", "controls": [{"model": "tiny-control", "image": PHOTO}]},
            "controls.0.model",
            "the ControlNet tiny-control was made for sd15, but tiny-sdxl is of sdxl",
        ),
        (
            {"refiner": "fine"},
            "refiner.model",
            "fine is of sdxl-refiner and cannot refine tiny-sd15, which is of sd15",
        ),
    ],
)
async def test_a_file_of_another_family_is_refused_with_both_families(
    client: Client, body: dict[str, Any], field: str, words: str
) -> None:
    named, detail = await refused(client, **({"model": "tiny-sd15"} | body))
    assert (named, detail.partition(";")[0]) == (field, words)


async def test_the_model_that_a_request_leaves_open_counts(client: Client) -> None:
    """The first one draws: the built-in model, for which none of these was made."""
    _, detail = await refused(client, loras=[{"name": "bold-xl"}])
    assert detail.startswith("the LoRA bold-xl was made for sdxl, but mini is of mini")


async def test_what_fits_is_drawn_and_so_is_what_nobody_can_tell(client: Client) -> None:
    for body in (
        {"loras": [{"name": "bold"}, {"name": "soft"}]},
        {"model": "tiny-sdxl", "loras": [{"name": "bold-xl"}], "refiner": "tiny-refiner"},
        {"sampler": "lcm", "steps": 60, "hires": {"scale": 1.5, "strength": 0.1}},
    ):
        assert (await draw(client, **({"steps": 4} | body))).warnings == []
