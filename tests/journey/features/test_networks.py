"""Further networks that a request may ask for, over HTTP: what they do to the picture."""

from pathlib import Path

import pytest

from tests.fakes.drawing import distance
from tests.journey.running import Client
from tests.journey.shelf import PHOTO, Drawn, digest, draw, failed, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_loras_act_by_their_weights(client: Client, plain: Drawn, shelf: Path) -> None:
    bold, soft = {"name": "bold", "weight": 0.8}, {"name": "soft", "weight": 0.5}
    one = await draw(client, loras=[bold])
    both = await draw(client, loras=[bold, soft])
    none = await draw(client, loras=[bold | {"weight": 0.0}])
    assert distance(one.pixels, plain.pixels) > 1
    assert distance(both.pixels, one.pixels) > 1
    assert distance(none.pixels, plain.pixels) <= 1
    assert both.facts["loras"] == [
        {"name": name, "weight": weight, "sha256": digest(shelf / f"{name}.safetensors")}
        for name, weight in (("bold", 0.8), ("soft", 0.5))
    ]
    assert both.warnings == []
    assert ((await draw(client)).pixels == plain.pixels).all()


async def test_a_lora_that_cannot_act_ends_the_job(client: Client, plain: Drawn) -> None:
    code, words = await failed(client, loras=[{"name": "bold-xl"}])
    assert (code, "bold-xl" in words) == ("invalid_spec", True)
    assert ((await draw(client)).pixels == plain.pixels).all()


async def test_a_lora_that_does_not_fit_leaves_no_trace(client: Client) -> None:
    """Its layers have other shapes than the built-in model's, which is found out half-way."""
    body = {"model": "mini", "width": 128, "height": 128, "sampler": "ddim"}
    before = await draw(client, **body)
    for _ in range(2):
        code, words = await failed(client, loras=[{"name": "bold"}], **body)
        assert (code, words[:27]) == ("invalid_spec", "the LoRA bold does not fit:")
        assert len(words) < 300
        assert ((await draw(client, **body)).pixels == before.pixels).all()


async def test_a_controlnet_guides_by_its_weight(client: Client, plain: Drawn) -> None:
    control = {"model": "tiny-control", "image": PHOTO, "weight": 0.7, "end": 0.5}
    guided = await draw(client, controls=[control])
    weightless = await draw(client, controls=[control | {"weight": 0.0}])
    assert distance(guided.pixels, plain.pixels) > 1
    assert distance(weightless.pixels, plain.pixels) <= 1
    (fact,) = guided.facts["controls"]
    assert (fact["model"], fact["weight"], len(fact["sha256"])) == ("tiny-control", 0.7, 64)
    assert guided.warnings == []


async def test_a_controlnet_of_another_family_is_refused(client: Client) -> None:
    control = {"model": "tiny-control", "image": PHOTO}
    told = await refused(client, model="tiny-sdxl", controls=[control])
    assert told == (422, "invalid_spec", "controls.0.model")


@pytest.mark.parametrize("upscaler", ["latent", "lanczos", "sharp"])
async def test_a_second_pass_draws_at_the_larger_size(
    client: Client, upscaler: str, shelf: Path
) -> None:
    hires = {"scale": 2.0, "strength": 0.5, "upscaler": upscaler}
    drawn = await draw(client, hires=hires)
    assert drawn.pixels.shape == (128, 128, 3)
    assert [part["size"] for part in drawn.facts["passes"]] == [[64, 64], [128, 128]]
    used = [{"name": "sharp", "sha256": digest(shelf / "sharp.safetensors")}]
    assert drawn.facts.get("upscalers") == (used if upscaler == "sharp" else None)
    assert drawn.warnings == []


async def test_a_refiner_draws_the_last_steps(client: Client) -> None:
    body = {"model": "tiny-sdxl", "steps": 5}
    plain = await draw(client, **body)
    refiner = {"model": "tiny-refiner", "start": 0.6}
    refined = await draw(client, refiner=refiner, **body)
    assert distance(refined.pixels, plain.pixels) > 1
    told = [(part["model"], part["window"]) for part in refined.facts["passes"]]
    assert told == [("tiny-sdxl", [0.0, 0.6]), ("tiny-refiner", [0.6, 1.0])]
    assert len(refined.facts["refiner_sha256"]) == 64
    assert refined.warnings == []
    told = await refused(client, model="tiny-sd15", refiner="tiny-sdxl")
    assert told == (422, "invalid_spec", "refiner.model")


async def test_a_finished_picture_is_enlarged_by_a_model(
    client: Client, plain: Drawn, shelf: Path
) -> None:
    """The model has no weights: it repeats each pixel, which no filter does."""
    drawn = await draw(client, upscale={"scale": 2.0, "upscaler": "repeat"})
    assert (drawn.pixels == plain.pixels.repeat(2, axis=0).repeat(2, axis=1)).all()
    used = [{"name": "repeat", "sha256": digest(shelf / "repeat.safetensors")}]
    assert (drawn.facts["upscalers"], drawn.warnings) == (used, [])
    filtered = await draw(client, upscale={"scale": 2.0})
    assert distance(filtered.pixels, drawn.pixels) > 1
    assert "upscalers" not in filtered.facts
    assert filtered.warnings == []
