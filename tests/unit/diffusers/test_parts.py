"""Networks that lie alone in the models folder: autoencoders, ControlNets, distilled decoders."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engines.diffusers import DiffusersEngine
from engines.errors import InvalidSpecError
from engines.spec import Control, GenerationSpec, Hires, InputRef
from tests.fakes import tiny_models
from tests.fakes.drawing import SPEC, distance, draw, pixels_of
from tests.fakes.local import engine_in
from tests.fakes.pictures import half_mask, png_of
from tests.fakes.single_file import make_controlnet_file, make_single_file, make_vae_file

WEIGHTS = "diffusion_pytorch_model.safetensors"
Put = Callable[..., str]


@pytest.fixture(scope="module")
def shelf(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model in several dresses, each with another autoencoder or with none."""
    shelf = tmp_path_factory.mktemp("parts")
    for name in ("tiny-sd15", "tiny-sdxl", "tiny-control"):
        shutil.copytree(models_dir / name, shelf / name)
    tiny_models.make_vae(shelf / "vaes" / "other", seed=5)
    make_vae_file(shelf / "vaes" / "other-file.safetensors", shelf / "vaes" / "other")
    tiny_models.make_vae(shelf / "vaes" / "wide", seed=5, scaling_factor=0.13025)
    tiny_models.make_taesd(shelf / "vaes" / "taesd", seed=1)
    make_controlnet_file(shelf / "control-file.safetensors", shelf / "tiny-control")
    shutil.copy(shelf / "tiny-control" / WEIGHTS, shelf / "control-plain.safetensors")
    make_single_file(shelf / "one.safetensors", shelf / "tiny-sd15")
    return shelf


@pytest.fixture
def put(shelf: Path) -> Iterator[Put]:
    """Puts a copy of a model on the shelf, with a card."""
    made: list[Path] = []

    def copy(name: str, *, of: str = "tiny-sd15", **card: object) -> str:
        if of.endswith(".safetensors"):
            made.extend((shelf / f"{name}.safetensors", shelf / f"{name}.kitty.json"))
            shutil.copy(shelf / of, made[-2])
            made[-1].write_text(json.dumps(card))
        else:
            made.append(shelf / name)
            shutil.copytree(shelf / of, made[-1])
            (made[-1] / "kitty.json").write_text(json.dumps(card))
        return name

    yield copy
    for path in made:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture(scope="module")
def engine(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DiffusersEngine]:
    import asyncio

    made = engine_in(tmp_path_factory.mktemp("engine"), shelf)
    yield made
    asyncio.run(made.aclose())


async def png(engine: DiffusersEngine, spec: GenerationSpec) -> bytes:
    return (await draw(engine, spec))[0].png


async def test_a_card_gives_a_model_another_autoencoder(engine: DiffusersEngine, put: Put) -> None:
    """It draws as if that autoencoder lay in its own folder, and the picture says so."""
    dressed = put("dressed", vae="other")
    whole = put("whole")
    for name in ("config.json", WEIGHTS):
        shelf = engine._library._models_dir
        assert shelf is not None
        shutil.copy(shelf / "vaes" / "other" / name, shelf / whole / "vae" / name)
    picture, _ = await draw(engine, replace(SPEC, model=dressed))
    assert picture.png == await png(engine, replace(SPEC, model=whole))
    assert picture.png != await png(engine, SPEC)
    other = engine._library.find("other", "vae")
    assert picture.facts["vae"] == "other"
    assert picture.facts["vae_sha256"] == engine._library.digest(other)


@pytest.mark.parametrize("of", ["tiny-sd15", "one.safetensors"])
async def test_an_autoencoder_in_one_file_is_the_folder_s(
    engine: DiffusersEngine, put: Put, of: str
) -> None:
    one, two = put("one-vae", vae="other-file.safetensors"), put("two-vae", vae="other")
    extra = {"of": of, "base": "sd15"} if of.endswith("safetensors") else {}
    single = put("single-vae", vae="other-file", **extra)
    expected = pixels_of(await png(engine, replace(SPEC, model=two)))
    for model in (one, single):
        assert distance(pixels_of(await png(engine, replace(SPEC, model=model))), expected) == 0


@pytest.mark.parametrize(
    ("vae", "words"),
    [
        ("nobody", "not in the models folder"),
        ("taesd", "draws previews only"),
        ("wide", "made for other latents"),
        ("xl-vae", "which was made for sdxl, but misdressed is of sd15"),
    ],
)
async def test_an_autoencoder_that_does_not_fit_is_refused(
    engine: DiffusersEngine, put: Put, vae: str, words: str
) -> None:
    model = put("misdressed", vae=vae)
    put("xl-vae", of="vaes/other-file.safetensors", base="sdxl")
    with pytest.raises(InvalidSpecError, match=words) as refused:
        await draw(engine, replace(SPEC, model=model))
    assert refused.value.field == "model"
    listed = {info.name: info.error for info in await engine.models()}
    assert words in listed[model]


async def test_an_autoencoder_that_cannot_be_compared_is_listed_so(
    engine: DiffusersEngine, put: Put, shelf: Path
) -> None:
    (shelf / put("undescribed", vae="other") / "vae" / "config.json").unlink()
    listed = {info.name: info.error for info in await engine.models()}
    assert "cannot be compared: config.json is missing" in listed["undescribed"]
    assert listed["tiny-sd15"] == ""


async def test_weights_that_are_missing_are_never_made_up(
    engine: DiffusersEngine, put: Put, shelf: Path
) -> None:
    model = put("holed")
    path = shelf / model / "unet" / WEIGHTS
    weights = load_file(path)
    del weights["conv_out.weight"]
    save_file(weights, path)
    with pytest.raises(InvalidSpecError, match=r"unet lacks 1 weights, as conv_out\.weight"):
        await draw(engine, replace(SPEC, model=model))


@pytest.mark.parametrize("name", ["control-file", "control-plain"])
async def test_a_controlnet_in_one_file_is_the_folder_s(
    engine: DiffusersEngine, photo: InputRef, name: str
) -> None:
    guided = replace(SPEC, controls=(Control("tiny-control", photo),))
    single = replace(SPEC, controls=(Control(name, photo),))
    assert await png(engine, single) == await png(engine, guided)
    assert await png(engine, single) != await png(engine, SPEC)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (("control-plain", "controlnet_mid_block.weight"), "weights are missing"),
        (("control-file", "control_model.middle_block_out.0.weight"), "its weights do not fit"),
        (("control-file", "control_model.input_hint_block.0.weight"), "not known here"),
    ],
)
async def test_a_controlnet_that_does_not_fit_is_refused(
    engine: DiffusersEngine, photo: InputRef, shelf: Path, damage: tuple[str, str], words: str
) -> None:
    file, weight = damage
    weights = load_file(shelf / f"{file}.safetensors")
    del weights[weight]
    save_file(weights, shelf / "control-holed.safetensors")
    with pytest.raises(InvalidSpecError, match=words) as refused:
        await draw(engine, replace(SPEC, controls=(Control("control-holed", photo),)))
    assert refused.value.field == "controls"
    (shelf / "control-holed.safetensors").unlink()


async def test_a_model_that_is_trained_to_fill_can_be_guided(
    engine: DiffusersEngine, photo: InputRef, shelf: Path
) -> None:
    """The ControlNet sees the latents alone, also where the model sees the mask beside them."""
    tiny_models.make_sd15(shelf / "filling", in_channels=9)
    mask = engine._furnishing.inputs.keep(png_of(half_mask(64, 64)), field="mask")
    spec = replace(SPEC, model="filling", init_image=photo, mask=mask, strength=1.0)
    plain = await png(engine, spec)
    for control in ("tiny-control", "control-file"):
        assert await png(engine, replace(spec, controls=(Control(control, photo),))) != plain


@pytest.mark.parametrize("hires", [None, Hires(scale=2.0)])
async def test_a_model_that_is_trained_to_fill_draws_without_a_mask_too(
    engine: DiffusersEngine, photo: InputRef, shelf: Path, hires: Hires | None
) -> None:
    """Then all of the picture is to be filled."""
    if not (shelf / "filling-too").exists():
        tiny_models.make_sd15(shelf / "filling-too", in_channels=9)
    spec = replace(SPEC, model="filling-too", hires=hires)
    drawn = [
        await png(engine, one)
        for one in (spec, replace(spec, prompt="a dog"), replace(spec, init_image=photo))
    ]
    assert len(set(drawn)) == 3


async def test_a_controlnet_of_another_shape_is_refused(
    engine: DiffusersEngine, photo: InputRef, shelf: Path
) -> None:
    shutil.copytree(shelf / "tiny-control", shelf / "nameless")
    (shelf / "nameless" / "kitty.json").write_text('{"base": ""}')
    spec = replace(SPEC, model="mini", width=128, height=128)
    with pytest.raises(InvalidSpecError, match="nameless does not fit mini") as refused:
        await draw(engine, replace(spec, controls=(Control("nameless", photo),)))
    assert refused.value.field == "controls"


async def test_a_controlnet_for_another_family_is_refused(
    engine: DiffusersEngine, photo: InputRef
) -> None:
    with pytest.raises(InvalidSpecError, match="made for sd15, but tiny-sdxl is of sdxl"):
        await draw(
            engine, replace(SPEC, model="tiny-sdxl", controls=(Control("tiny-control", photo),))
        )


def test_a_distilled_decoder_in_one_file_is_the_folder_s(tmp_path: Path) -> None:
    from diffusers import AutoencoderTiny

    from engines.diffusers.headers import BrokenFileError
    from engines.diffusers.parts import load_tiny

    torch.manual_seed(0)
    AutoencoderTiny().save_pretrained(tmp_path / "taesd")
    shutil.copy(tmp_path / "taesd" / WEIGHTS, tmp_path / "taesd.safetensors")
    latents = torch.randn(1, 4, 8, 8)
    folder, single = (
        load_tiny(tmp_path / name, torch.float32).decode(latents).sample
        for name in ("taesd", "taesd.safetensors")
    )
    assert torch.equal(folder, single)
    save_file({"decoder.layers.0.weight": torch.zeros(2, 2)}, tmp_path / "odd.safetensors")
    with pytest.raises(BrokenFileError, match="its weights do not fit"):
        load_tiny(tmp_path / "odd.safetensors", torch.float32)
