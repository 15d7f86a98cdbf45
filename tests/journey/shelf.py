"""A models folder of tiny models for the in-process engine, and what comes out of it."""

import base64
import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.fakes import tiny_models
from tests.fakes.pictures import gradient, png_of
from tests.fakes.upscaler_files import make_compact, make_esrgan
from tests.journey.running import Client

Pixels = NDArray[np.uint8]


def make_shelf(folder: Path) -> Path:
    """One model of each family, and of each kind of file that goes with them."""
    sd15 = tiny_models.make_sd15(folder / "tiny-sd15")
    sdxl = tiny_models.make_sdxl(folder / "tiny-sdxl")
    tiny_models.make_sdxl(folder / "tiny-refiner", seed=9)
    tiny_models.make_controlnet(folder / "tiny-control", sd15)
    tiny_models.make_lora(folder / "bold.safetensors", sd15, seed=1)
    tiny_models.make_lora(folder / "soft.safetensors", sd15, seed=2)
    tiny_models.make_lora(folder / "bold-xl.safetensors", sdxl, seed=3)
    make_compact(folder / "repeat.safetensors")
    make_esrgan(folder / "sharp.safetensors", seed=1)
    return folder


@dataclass(frozen=True, slots=True)
class Drawn:
    """One finished job of one picture.

    Attributes:
        sidecar: What is written beside the picture.
        parameters: What is written inside it, for other tools.
    """

    job: dict[str, Any]
    pixels: Pixels
    sidecar: dict[str, Any]
    parameters: str

    @property
    def warnings(self) -> list[tuple[str, str]]:
        """Code and field of each; the same ones stand in the job and beside the picture."""
        told = [(one["code"], one["field"]) for one in self.job["warnings"]]
        assert told == [(one["code"], one["field"]) for one in self.sidecar["warnings"]]
        return told

    @property
    def facts(self) -> dict[str, Any]:
        """What the engine says is needed to draw it again."""
        facts: dict[str, Any] = self.sidecar["facts"]
        return facts


async def know_models(client: Client) -> None:
    """Return when the service has asked its engines what they have, however slow the machine."""
    status, answer = await client.json("GET", "/api/images/models?refresh=1")
    assert (status, answer["errors"]) == (200, {})


async def draw(client: Client, prompt: str = "a cat and a dog", **body: Any) -> Drawn:  # noqa: ANN401
    """Draw one small picture and fetch all that is known of it."""
    asked = {"model": "tiny-sd15", "seed": 7, "cfg": 5.0, "sampler": "euler"} | body
    job = await client.draw(prompt, **asked)
    assert job["state"] == "succeeded", job["error"]
    (artifact,) = job["artifacts"]
    async with client.session.get(f"/api/images/file/{artifact['key']}") as answer:
        png = await answer.read()
    async with client.session.get(f"/api/images/file/{artifact['meta_key']}") as answer:
        sidecar = json.loads(await answer.read())
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.size == (artifact["width"], artifact["height"])
        assert picture.size == (sidecar["width"], sidecar["height"])
        parameters = str(picture.info["parameters"])
        return Drawn(job, np.asarray(picture.convert("RGB")), sidecar, parameters)


async def failed(client: Client, **body: Any) -> tuple[str, str]:  # noqa: ANN401
    """Ask for what cannot be drawn; return the error's code and words."""
    asked = {"model": "tiny-sd15", "cfg": 5.0, "sampler": "euler"} | body
    job = await client.draw("a cat and a dog", **asked)
    assert job["state"] == "failed", job
    return job["error_code"], job["error"]


async def refused(client: Client, **body: object) -> tuple[int, str, str]:
    """Ask for what is refused at once; return the status, the code and the field."""
    asked = {"prompt": "a cat", "model": "tiny-sd15", "width": 64, "height": 64} | body
    status, problem = await client.json("POST", "/api/images/generate", json=asked)
    return status, problem["code"], problem["field"]


def digest(path: Path) -> str:
    """What a file is known by."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sent(pixels: Pixels) -> str:
    """A picture as requests bring it along."""
    return base64.b64encode(png_of(pixels)).decode()


PHOTO = sent(gradient(64, 64))
"""A picture to begin with, or to be guided by."""
