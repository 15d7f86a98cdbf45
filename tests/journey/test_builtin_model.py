"""The built-in model means what it says: drawn over HTTP, looked at by mean colours."""

import base64
import shutil
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray
from PIL import Image

from tests.journey.running import ROOT, Client, Service, client_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
Picture = NDArray[np.float64]
SIDE = 128
BALL = "a red ball on a blue background"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """The service on its defaults, with one LoRA in its models folder."""
    folder = tmp_path_factory.mktemp("builtin")
    (folder / "models").mkdir()
    shutil.copy(ROOT / "tests" / "data" / "mini" / "magenta.safetensors", folder / "models")
    settings = {"IMAGE_ENGINE": "diffusers", "MODELS_DIR": str(folder / "models")}
    async with Service(folder / "data", **settings) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def client(service: Service) -> AsyncIterator[Client]:
    async with client_of(service) as opened:
        yield opened


async def drawn(client: Client, prompt: str, **body: object) -> tuple[bytes, Picture]:
    """Draw with the default model and return the PNG and its colours, 0 to 1."""
    asked = {"width": SIDE, "height": SIDE, "steps": 12, "seed": 1} | body
    job = await client.draw(prompt, **asked)
    assert (job["state"], job["warnings"]) == ("succeeded", []), job["error"]
    [artifact] = job["artifacts"]
    async with client.session.get(f"/api/images/file/{artifact['key']}") as answer:
        assert answer.status == 200
        png = await answer.read()
    with Image.open(BytesIO(png)) as picture:
        assert picture.size == (SIDE, SIDE)
        return png, np.asarray(picture.convert("RGB"), dtype=np.float64) / 255


def middle(picture: Picture) -> Picture:
    box = slice(int(0.44 * SIDE), int(0.58 * SIDE))
    colour: Picture = picture[box, box].mean((0, 1))
    return colour


def corner(picture: Picture) -> Picture:
    colour: Picture = picture[:12, :12].mean((0, 1))
    return colour


async def test_a_red_ball_on_blue_and_the_seed_decides(client: Client) -> None:
    _, picture = await drawn(client, BALL)
    red, green, blue = middle(picture)
    assert red > 2 * max(green, blue)
    assert corner(picture)[2] > corner(picture)[0] + 0.15
    _, again = await drawn(client, BALL)
    assert np.array_equal(again, picture)
    _, other = await drawn(client, BALL, seed=2)
    assert np.abs(other - picture).mean() > 0.01


async def test_another_picture_to_begin_with_keeps_the_composition(client: Client) -> None:
    """A ball on the left stays a round thing on the left, and takes the new colour."""
    before, first = await drawn(client, "a red ball on the left, white background")
    _, second = await drawn(
        client,
        "a blue ball on the left, white background",
        init_image="data:image/png;base64," + base64.b64encode(before).decode(),
        strength=0.75,
        seed=5,
    )

    def shape(picture: Picture) -> NDArray[np.bool_]:
        """Where the ground is covered by something of strong colour."""
        return np.ptp(picture, axis=2) > 0.35

    one, two = shape(first), shape(second)
    assert one.mean() > 0.03
    assert (one & two).sum() / (one | two).sum() > 0.6
    assert second[two].mean(0)[2] > second[two].mean(0)[0]
    _, free = await drawn(client, "a blue ball on the right, white background", seed=5)
    assert (one & shape(free)).sum() / (one | shape(free)).sum() < 0.4


async def test_a_lora_adds_its_colour_and_changes_nothing_else(client: Client) -> None:
    lora = [{"name": "magenta", "weight": 1.0}]
    _, before = await drawn(client, "a red ball on a white background")
    _, after = await drawn(client, "a red ball on a white background", loras=lora)
    _, magenta = await drawn(client, "a magenta ball on a white background", loras=lora)
    assert np.abs(after - before).mean() < 0.03
    red, green, blue = middle(magenta)
    assert red > 1.8 * green
    assert blue > 1.4 * green
    assert np.abs(corner(magenta) - corner(before)).max() < 0.1


@pytest.mark.parametrize(
    ("prompt", "body"),
    [
        ("studio photo of a steel water bottle on white, soft shadow", {}),
        ("a photograph of the queen of Sweden at breakfast", {"seed": 11}),
    ],
)
async def test_any_prompt_gives_a_clean_picture(
    client: Client, prompt: str, body: dict[str, Any]
) -> None:
    """Something stands before a quiet ground, also where no word is known."""
    _, picture = await drawn(client, prompt, **body)
    assert picture[:10, :10].std(axis=(0, 1)).max() < 0.05
    assert picture.std() > 0.05
