"""Whatever the API takes can be said on the command line, and comes to the engine as said."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from service.bodies import ControlBody, GenerateBody, HiresBody, RefinerBody, UpscaleBody
from service.cli.options import option_of
from tests.journey.command_line import SMALL, Cli
from tests.journey.running import Client, Service


@pytest.fixture
def cli(service: Service, tmp_path: Path) -> Cli:
    return Cli(service.url, tmp_path / "cache")


@pytest.fixture
def sketch(tmp_path: Path) -> Path:
    path = tmp_path / "a sketch, in blue.png"
    Image.new("RGB", (96, 64), "teal").save(path)
    return path


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    path = tmp_path / "mask.png"
    Image.new("L", (96, 64), 255).save(path)
    return path


async def drawn(cli: Cli, client: Client, *words: str) -> dict[str, Any]:
    """Draw with these options; return the spec that the engine was given."""
    said = await cli("images.generate", "x", *SMALL, *words, "--json")
    assert said.status == 0, said.err + said.out
    assert said.json["warnings"] == []
    spec: dict[str, Any] = (await client.job(said.json["job_id"]))["spec"]
    return spec


def content(path: Path) -> str:
    """Return what a spec calls an input picture."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def test_every_field_of_a_request_has_its_option(cli: Cli) -> None:
    said = (await cli("images.generate", "--help", COLUMNS="300")).out
    for name in GenerateBody.model_fields:
        option = option_of(name)
        there = re.search(rf"{re.escape(option)}\s", said, re.IGNORECASE)
        assert there, f"{name} cannot be said: there is no {option}"
    parts = {"hires": HiresBody, "upscale": UpscaleBody, "refiner": RefinerBody}
    for name, body in {**parts, "control": ControlBody}.items():
        complaint = (
            await cli("images.generate", "x", f"--{name}", "stranger=1", COLUMNS="300")
        ).err
        assert f"'stranger' is none of {', '.join(body.model_fields)}" in complaint


async def test_a_mask_and_a_strength_come_with_their_picture(
    cli: Cli, client: Client, sketch: Path, mask: Path
) -> None:
    words = ("--init-image", str(sketch), "--mask", str(mask), "--strength", "0.4")
    spec = await drawn(cli, client, *words)
    assert (spec["init_image"], spec["mask"]) == (content(sketch), content(mask))
    assert spec["strength"] == 0.4


async def test_a_stored_picture_is_begun_with_by_its_key(cli: Cli, client: Client) -> None:
    first = (await client.draw())["artifacts"][0]
    spec = await drawn(cli, client, "--init-image", first["key"])
    assert spec["init_image"] == first["sha256"]


async def test_an_enlarged_second_pass_and_an_enlargement(cli: Cli, client: Client) -> None:
    hires = "1.5,strength=0.4,steps=2,upscaler=lanczos"
    spec = await drawn(cli, client, "--hires", hires, "--upscale", "scale=2,upscaler=lanczos")
    assert spec["hires"] == {"scale": 1.5, "strength": 0.4, "steps": 2, "upscaler": "lanczos"}
    assert spec["upscale"] == {"scale": 2.0, "upscaler": "lanczos"}


async def test_a_refiner_and_controls(cli: Cli, client: Client, sketch: Path) -> None:
    control = f"canny,image={sketch},weight=0.8,start=0.1,end=0.6"
    words = ("--control", control, "--control", f"image={sketch},model=depth")
    spec = await drawn(cli, client, *words, "--refiner", "test-card,start=0.9")
    assert spec["refiner"] == {"model": "test-card", "start": 0.9}
    assert spec["controls"] == [
        {"model": "canny", "image": content(sketch), "weight": 0.8, "start": 0.1, "end": 0.6},
        {"model": "depth", "image": content(sketch), "weight": 1.0, "start": 0.0, "end": 1.0},
    ]


async def test_tiling_clip_skip_and_reproducible(cli: Cli, client: Client) -> None:
    spec = await drawn(cli, client, "--tiling", "x", "--clip-skip", "2", "--reproducible")
    assert (spec["tiling"], spec["clip_skip"], spec["reproducible"]) == ("x", 2, True)


async def test_what_is_not_said_is_left_to_the_service(cli: Cli, client: Client) -> None:
    assert (
        await drawn(cli, client, "--seed", "7")
        == (await client.job((await client.submit("x", width=96, steps=3, seed=7))["job_id"]))[
            "spec"
        ]
    )


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--hires", "much"), "'--hires': scale: 'much' is no number"),
        (("--hires", "9"), "--hires scale: Input should be less than or equal to 4"),
        (("--upscale", "2,by=3"), "'--upscale': 'by' is none of scale, upscaler"),
        (("--refiner", "test-card,start=7"), "--refiner start: Input should be less than"),
        (("--refiner", "nobody"), "--refiner model: fake has no model 'nobody'"),
        (("--control", "canny"), "'--control': image= is missing"),
        (("--tiling", "z"), "'--tiling': "),
        (("--clip-skip", "99"), "--clip-skip: Input should be"),
        (("--mask", "nowhere.png"), "'--mask': 'nowhere.png' does not exist"),
        (("--cfg", "nan"), "'--cfg': 'nan' is no number"),
        (("--seed", "9" * 30), "--seed: "),
        (("--lora", "ink", "--lora", "ink:9"), "--lora 2 weight: Input should be"),
        (("--negative", "\udcff"), "for --negative: it is no UTF-8"),
    ],
)
async def test_a_bad_value_is_refused_by_the_name_of_its_option(
    cli: Cli, words: tuple[str, ...], complaint: str
) -> None:
    said = await cli("images.generate", "x", *words, COLUMNS="200")
    assert (said.status, said.out) == (2, "")
    assert complaint in said.err


async def test_a_mask_without_a_picture_is_refused(cli: Cli, mask: Path) -> None:
    said = await cli("images.generate", "x", "--mask", str(mask))
    assert said.status == 2
    assert "--mask: a mask needs an init image" in said.err


async def test_one_thing_or_another_is_one_field(client: Client) -> None:
    body = {"prompt": "x", "refiner": {"model": "a", "start": 7}, "tiling": "z"}
    status, problem = await client.json("POST", "/api/images/generate", json=body)
    assert status == 422
    assert {fault["field"] for fault in problem["errors"]} == {
        "refiner", "refiner.start", "tiling",
    }  # fmt: skip


async def test_a_picture_that_is_none_is_refused(cli: Cli, tmp_path: Path) -> None:
    text = tmp_path / "a.png"
    text.write_bytes(b"hello")
    said = await cli("images.generate", "x", "--init-image", str(text))
    assert said.status == 2
    assert "--init-image: not a readable PNG" in said.err
