"""What lies in the models folder, over HTTP: what is wrong with it, and what is done with it."""

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import torch
from safetensors.torch import save_file

from tests.fakes import tiny_models
from tests.fakes.drawing import distance
from tests.fakes.pictures import gradient
from tests.fakes.single_file import make_controlnet_file, make_single_file, make_vae_file
from tests.fakes.upscaler_files import make_esrgan
from tests.journey.running import ROOT, Client, Service, client_of
from tests.journey.shelf import draw, failed, know_models, sent

pytestmark = pytest.mark.asyncio(loop_scope="module")


def put_whole(folder: Path) -> None:
    """Models, and networks of their own, as folders and as files."""
    sd15 = tiny_models.make_sd15(folder / "tiny-sd15")
    tiny_models.make_controlnet(folder / "tiny-control", sd15)
    make_controlnet_file(folder / "control-file.safetensors", folder / "tiny-control")
    tiny_models.make_vae(folder / "vaes" / "other", seed=5)
    make_vae_file(folder / "vaes" / "other-file.safetensors", folder / "vaes" / "other")
    make_single_file(folder / "one.safetensors", sd15)
    (folder / "one.kitty.json").write_text(json.dumps({"base": "sd15"}))
    make_vae_file(folder / "vaes" / "xl-file.safetensors", folder / "vaes" / "other")
    (folder / "vaes" / "xl-file.kitty.json").write_text(json.dumps({"base": "sdxl"}))
    wears = {
        "dressed": "other",
        "dressed-file": "other-file",
        "naked": "nobody",
        "oddly": "xl-file",
    }
    for name, vae in wears.items():
        shutil.copytree(sd15, folder / name)
        (folder / name / "kitty.json").write_text(json.dumps({"vae": vae}))
    make_esrgan(folder / "sharp.safetensors", seed=1)


def put_broken(folder: Path) -> None:
    """Files of all kinds with something wrong about them."""
    whole = (folder / "one.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(whole[:-100])
    (folder / "empty.safetensors").write_bytes(b"")
    (folder / "zeros.safetensors").write_bytes(bytes(4096))
    save_file({"of.nothing.known": torch.zeros(2)}, folder / "odd.safetensors")
    for name in ("old.ckpt", "old-too.pt", "loose.bin"):
        (folder / name).write_bytes(b"\x80\x04.")
    (folder / "language.gguf").write_bytes(b"GGUF")
    shutil.copytree(folder / "tiny-sd15", folder / "holed")
    (folder / "holed" / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    (folder / "scribbled").mkdir()
    (folder / "scribbled" / "model_index.json").write_text("{")
    shutil.copytree(folder / "tiny-sd15", folder / "misread")
    (folder / "misread" / "kitty.json").write_text('{"defaults": {"steps": "many"}}')


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shelf")
    put_whole(folder)
    put_broken(folder)
    return folder


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """A client of a service that cannot import spandrel."""
    hiding = tmp_path_factory.mktemp("hiding")
    (hiding / "sitecustomize.py").write_text("import sys\nsys.modules['spandrel'] = None\n")
    settings = {
        "IMAGE_ENGINE": "diffusers",
        "MODELS_DIR": str(shelf),
        "PREVIEW_SECONDS": "0",
        "PYTHONPATH": f"{hiding}:{ROOT}",
    }
    data = tmp_path_factory.mktemp("files")
    async with Service(data, **settings) as service, client_of(service) as opened:
        await know_models(opened)
        yield opened


async def listed(client: Client, *, refresh: bool = False) -> dict[str, dict[str, Any]]:
    """The engine's models by their names."""
    _, answer = await client.json("GET", f"/api/images/models{'?refresh=1' * refresh}")
    items = [item for item in answer["items"] if item["engine"] == "diffusers"]
    assert len({item["name"] for item in items}) == len(items)
    return {item["name"]: item for item in items}


async def test_what_can_be_used_is_listed_by_its_kind(client: Client) -> None:
    told = {name: one["kind"] for name, one in (await listed(client)).items() if not one["error"]}
    assert told == {
        "mini": "checkpoint",
        "tiny-sd15": "checkpoint",
        "one": "checkpoint",
        "dressed": "checkpoint",
        "dressed-file": "checkpoint",
        "tiny-control": "controlnet",
        "control-file": "controlnet",
        "other": "vae",
        "other-file": "vae",
        "xl-file": "vae",
        "sharp": "upscaler",
    }


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cut", "100 bytes of its tensors are missing"),
        ("empty", "too short for a safetensors file"),
        ("zeros", "no JSON"),
        ("odd", "not a checkpoint, LoRA, ControlNet, VAE or upscaler"),
        ("old", "a pickle file, which is never loaded"),
        ("old-too", "a pickle file, which is never loaded"),
        ("loose", "a pickle file, which is never loaded"),
        ("language", "a GGUF file"),
        ("holed", "unet has no safetensors weights"),
        ("scribbled", "model_index.json is missing or no JSON"),
        ("misread", "kitty.json: defaults.steps"),
        ("naked", "names the VAE nobody, which is not in the models folder"),
        ("oddly", "names the VAE xl-file, which was made for sdxl, but oddly is of sd15"),
    ],
)
async def test_what_is_broken_is_listed_with_its_error_and_refused_with_it(
    client: Client, name: str, words: str
) -> None:
    assert words in (await listed(client))[name]["error"]
    body = {"prompt": "a cat", "model": name}
    status, problem = await client.json("POST", "/api/images/generate", json=body)
    assert (status, problem["code"], problem["field"]) == (422, "invalid_spec", "model")
    assert words in problem["detail"]


async def test_a_model_draws_with_the_autoencoder_that_its_card_names(client: Client) -> None:
    plain = await draw(client)
    folder, file = await draw(client, model="dressed"), await draw(client, model="dressed-file")
    assert distance(folder.pixels, plain.pixels) > 1
    assert distance(folder.pixels, file.pixels) == 0
    assert (folder.facts["vae"], file.facts["vae"]) == ("other", "other-file")
    assert len({folder.facts["vae_sha256"], file.facts["vae_sha256"]}) == 2
    assert folder.facts["model_sha256"] == plain.facts["model_sha256"]
    assert "vae" not in plain.facts
    assert folder.warnings == file.warnings == []


async def test_a_checkpoint_in_one_file_draws_as_its_folder(client: Client) -> None:
    plain, single = await draw(client), await draw(client, model="one")
    assert (single.pixels == plain.pixels).all()
    assert single.facts["model_sha256"] != plain.facts["model_sha256"]


async def test_a_controlnet_in_one_file_guides_as_its_folder(client: Client) -> None:
    control = {"image": sent(gradient(64, 64)), "weight": 0.8}
    folder = await draw(client, controls=[control | {"model": "tiny-control"}])
    file = await draw(client, controls=[control | {"model": "control-file"}])
    assert (file.pixels == folder.pixels).all()
    assert distance(file.pixels, (await draw(client)).pixels) > 1
    assert file.warnings == []


@pytest.mark.parametrize("field", ["upscale", "hires"])
async def test_without_its_library_an_upscaler_is_replaced_and_that_is_said(
    client: Client, field: str
) -> None:
    by_model = await draw(client, **{field: {"scale": 2.0, "upscaler": "sharp"}})
    filtered = await draw(client, **{field: {"scale": 2.0, "upscaler": "lanczos"}})
    assert (by_model.pixels == filtered.pixels).all()
    assert by_model.warnings == [("upscaler_missing", field)]
    (warning,) = by_model.job["warnings"]
    assert "spandrel, which is not installed" in warning["detail"]
    assert "upscalers" not in by_model.facts


async def test_a_file_that_changes_is_noticed(client: Client, shelf: Path) -> None:
    """Another model under the same name draws, and the picture names its digest."""
    before = await draw(client, model="one")
    other = tiny_models.make_sd15(shelf / "next", seed=4)
    # A new file in its place: what is loaded lies in the memory of the old one.
    make_single_file(shelf / "one.new", other).replace(shelf / "one.safetensors")
    shutil.rmtree(other)
    after = await draw(client, model="one")
    assert distance(after.pixels, before.pixels) > 1
    assert after.facts["model_sha256"] != before.facts["model_sha256"]
    (shelf / "one.new").write_bytes(b"")
    (shelf / "one.new").replace(shelf / "one.safetensors")
    assert "too short" in (await failed(client, model="one"))[1]
    assert "too short" in (await listed(client, refresh=True))["one"]["error"]
