"""What a spec may ask for beside a prompt, each by what it does to the picture."""

import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file

from engines.diffusers import DiffusersEngine
from engines.diffusers.canvas import Preparation
from engines.errors import InvalidSpecError, ModelNotFoundError
from engines.inputs import Inputs
from engines.spec import Control, Hires, InputRef, Lora, Refiner, Tiling, Upscale
from tests.fakes.drawing import SPEC, distance, draw, draw_all, pixels_of
from tests.fakes.pictures import gradient, half_mask, png_of


@pytest.fixture(scope="module")
def inputs(engine: DiffusersEngine) -> Inputs:
    return engine._furnishing.inputs


@pytest.fixture(scope="module")
def photo(inputs: Inputs) -> InputRef:
    return inputs.keep(png_of(gradient(64, 64)), field="init_image")


@pytest.fixture(scope="module")
def mask(inputs: Inputs) -> InputRef:
    return inputs.keep(png_of(half_mask(64, 64)), field="mask")


@pytest.fixture(scope="module")
def pipeline(models_dir: Path) -> Any:
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    made = StableDiffusionPipeline.from_pretrained(models_dir / "tiny-sd15", dtype=torch.float32)
    made.set_progress_bar_config(disable=True)
    made.scheduler = DDIMScheduler.from_config(made.scheduler.config)
    return made


def as_array(picture: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(picture.convert("RGB"))


async def test_negative_prompt_changes_the_picture_as_diffusers_does(
    engine: DiffusersEngine, pipeline: Any
) -> None:
    spec = replace(SPEC, sampler="ddim", negative_prompt="a dog")
    expected = pipeline(
        prompt=spec.prompt, negative_prompt="a dog", width=64, height=64,
        num_inference_steps=4, guidance_scale=5.0, generator=torch.Generator().manual_seed(7),
    ).images[0]  # fmt: skip
    picture, _ = await draw(engine, spec)
    plain, _ = await draw(engine, replace(spec, negative_prompt=""))
    assert distance(pixels_of(picture.png), as_array(expected)) <= 1
    assert distance(pixels_of(picture.png), pixels_of(plain.png)) > 1


async def test_clip_skip_reads_an_earlier_layer(engine: DiffusersEngine) -> None:
    pictures = [(await draw(engine, replace(SPEC, clip_skip=skip)))[0] for skip in (0, 1, 2)]
    assert len({picture.png for picture in pictures}) == 3


async def test_no_guidance_asks_for_one_row_and_equals_diffusers(
    engine: DiffusersEngine, pipeline: Any
) -> None:
    expected = pipeline(
        prompt=SPEC.prompt, width=64, height=64, num_inference_steps=4, guidance_scale=1.0,
        generator=torch.Generator().manual_seed(7),
    ).images[0]  # fmt: skip
    picture, _ = await draw(engine, replace(SPEC, sampler="ddim", cfg=1.0))
    assert distance(pixels_of(picture.png), as_array(expected)) <= 1


async def test_img2img_equals_diffusers(
    engine: DiffusersEngine, pipeline: Any, photo: InputRef
) -> None:
    from diffusers import StableDiffusionImg2ImgPipeline

    expected = StableDiffusionImg2ImgPipeline.from_pipe(pipeline)(
        prompt=SPEC.prompt, image=Image.fromarray(gradient(64, 64)), strength=0.6,
        num_inference_steps=5, guidance_scale=5.0, generator=torch.Generator().manual_seed(7),
    ).images[0]  # fmt: skip
    spec = replace(SPEC, sampler="ddim", init_image=photo, strength=0.6, steps=5)
    picture, progress = await draw(engine, spec)
    assert distance(pixels_of(picture.png), as_array(expected)) <= 1
    assert progress[-1].steps == 3


async def test_inpainting_equals_diffusers_and_keeps_what_the_mask_protects(
    engine: DiffusersEngine, pipeline: Any, photo: InputRef, mask: InputRef
) -> None:
    from diffusers import StableDiffusionInpaintPipeline

    expected = StableDiffusionInpaintPipeline.from_pipe(pipeline)(
        prompt=SPEC.prompt, image=Image.fromarray(gradient(64, 64)),
        mask_image=Image.fromarray(half_mask(64, 64)), strength=0.75, width=64, height=64,
        num_inference_steps=4, guidance_scale=5.0, generator=torch.Generator().manual_seed(7),
    ).images[0]  # fmt: skip
    spec = replace(SPEC, sampler="ddim", init_image=photo, mask=mask, strength=0.75)
    pixels = pixels_of((await draw(engine, spec))[0].png)
    assert distance(pixels[:, 32:], as_array(expected)[:, 32:]) <= 1
    assert distance(pixels[:, :32], gradient(64, 64)[:, :32]) == 0


async def test_a_mask_without_picture_is_refused(engine: DiffusersEngine, mask: InputRef) -> None:
    with pytest.raises(InvalidSpecError) as refused:
        await draw(engine, replace(SPEC, mask=mask))
    assert refused.value.field == "mask"


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`:UserWarning")
async def test_loras_change_the_picture_by_their_weight_and_leave_no_trace(
    engine: DiffusersEngine, models_dir: Path
) -> None:
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    reference = StableDiffusionPipeline.from_pretrained(
        models_dir / "tiny-sd15", dtype=torch.float32
    )
    reference.set_progress_bar_config(disable=True)
    reference.scheduler = DDIMScheduler.from_config(reference.scheduler.config)
    for name in ("bold", "soft"):
        reference.load_lora_weights(
            models_dir / "loras", weight_name=f"{name}.safetensors", adapter_name=name
        )
    reference.set_adapters(["bold", "soft"], [0.8, 0.5])
    expected = reference(
        prompt=SPEC.prompt, width=64, height=64, num_inference_steps=4, guidance_scale=5.0,
        generator=torch.Generator().manual_seed(7),
    ).images[0]  # fmt: skip
    spec = replace(SPEC, sampler="ddim")
    plain, _ = await draw(engine, spec)

    both = await draw_all(engine, replace(spec, loras=(Lora("bold", 0.8), Lora("soft", 0.5))), spec)

    assert distance(pixels_of(both[0].png), as_array(expected)) <= 1
    assert distance(pixels_of(both[0].png), pixels_of(plain.png)) > 1
    assert both[1].png == plain.png
    assert [lora["name"] for lora in both[0].facts["loras"]] == ["bold", "soft"]
    assert all(len(lora["sha256"]) == 64 for lora in both[0].facts["loras"])


async def test_more_loras_than_are_kept_act_all(engine: DiffusersEngine, models_dir: Path) -> None:
    """Ten copies of one LoRA are as one of ten times its weight, and so is naming it ten times."""
    for number in range(10):
        shutil.copy(
            models_dir / "loras" / "bold.safetensors", models_dir / f"copy-{number}.safetensors"
        )
    copies = tuple(Lora(f"copy-{number}", 0.05) for number in range(10))
    wishes = [copies, (Lora("bold", 0.5),), (Lora("bold", 0.05),) * 10, ()]
    drawn = [(await draw(engine, replace(SPEC, loras=loras)))[0] for loras in wishes]
    for number in range(10):
        (models_dir / f"copy-{number}.safetensors").unlink()
    one, *others, none = (pixels_of(picture.png) for picture in drawn)
    assert all(distance(one, other) <= 1 for other in others)
    assert distance(one, none) > 1


async def test_a_lora_that_was_trained_further_acts_as_it_is_now(
    engine: DiffusersEngine, models_dir: Path
) -> None:
    path = models_dir / "loras" / "trained.safetensors"
    trained = replace(SPEC, loras=(Lora("trained", 0.8),))
    for name in ("bold", "soft"):
        # A new file in its place: what is loaded lies in the memory of the old one.
        shutil.copy(models_dir / "loras" / f"{name}.safetensors", path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)
        picture, _ = await draw(engine, trained)
        expected, _ = await draw(engine, replace(SPEC, loras=(Lora(name, 0.8),)))
        again, _ = await draw(engine, trained)
        assert picture.png == expected.png == again.png
    path.unlink()


async def test_a_lora_of_which_only_half_fits_leaves_no_trace(
    make_engine: Any, models_dir: Path
) -> None:
    engine = make_engine()
    plain, _ = await draw(engine, SPEC)
    weights = load_file(models_dir / "loras" / "bold.safetensors")
    attention = "text_encoder.text_model.encoder.layers.0.self_attn.q_proj"
    weights[f"{attention}.lora_A.weight"] = torch.zeros(4, 7)
    weights[f"{attention}.lora_B.weight"] = torch.zeros(9, 4)
    save_file(weights, models_dir / "half.safetensors")
    with pytest.raises(InvalidSpecError, match="the LoRA half does not fit") as refused:
        await draw(engine, replace(SPEC, loras=(Lora("half"),)))
    assert refused.value.field == "loras"
    assert (await draw(engine, SPEC))[0].png == plain.png
    (models_dir / "half.safetensors").unlink()


@pytest.mark.parametrize("name", ["bold-xl", "nobody"])
async def test_a_lora_that_does_not_fit_is_refused(engine: DiffusersEngine, name: str) -> None:
    with pytest.raises(InvalidSpecError) as refused:
        await draw(engine, replace(SPEC, loras=(Lora(name),)))
    assert refused.value.field == "loras"
    await draw(engine, SPEC)


async def test_controlnet_equals_diffusers(
    engine: DiffusersEngine, pipeline: Any, models_dir: Path, photo: InputRef
) -> None:
    from diffusers import ControlNetModel, StableDiffusionControlNetPipeline

    network = ControlNetModel.from_pretrained(models_dir / "tiny-control", use_safetensors=True)
    guided = StableDiffusionControlNetPipeline(
        **pipeline.components, controlnet=network, requires_safety_checker=False
    )
    guided.set_progress_bar_config(disable=True)
    expected = guided(
        prompt=SPEC.prompt, image=Image.fromarray(gradient(64, 64)), width=64, height=64,
        num_inference_steps=4, guidance_scale=5.0, controlnet_conditioning_scale=0.7,
        control_guidance_end=0.5, generator=torch.Generator().manual_seed(7),
    ).images[0]  # fmt: skip
    spec = replace(SPEC, sampler="ddim")
    plain, _ = await draw(engine, spec)
    control = Control("tiny-control", photo, weight=0.7, end=0.5)
    picture, _ = await draw(engine, replace(spec, controls=(control,)))
    assert distance(pixels_of(picture.png), as_array(expected)) <= 1
    assert distance(pixels_of(picture.png), pixels_of(plain.png)) > 1


async def test_two_guided_pictures_share_a_call_each_with_its_own_weight(
    engine: DiffusersEngine, photo: InputRef
) -> None:
    specs = [
        replace(SPEC, controls=(Control("tiny-control", photo, weight=weight),))
        for weight in (0.2, 1.0)
    ]
    alone = [(await draw(engine, spec))[0] for spec in specs]
    together = await draw_all(engine, *specs)
    for one, other in zip(alone, together, strict=True):
        assert distance(pixels_of(one.png), pixels_of(other.png)) <= 1


@pytest.mark.parametrize("upscaler", ["latent", "lanczos"])
async def test_hires_draws_again_at_the_larger_size(engine: DiffusersEngine, upscaler: str) -> None:
    spec = replace(SPEC, hires=Hires(scale=2.0, strength=0.5, upscaler=upscaler))
    picture, progress = await draw(engine, spec)
    assert (picture.width, picture.height) == (128, 128)
    assert progress[-1].steps == 4 + 2
    assert [part["size"] for part in picture.facts["passes"]] == [[64, 64], [128, 128]]


@pytest.mark.parametrize("tiling", [Tiling.X, Tiling.Y, Tiling.BOTH])
async def test_a_seamless_picture_has_no_edge(
    engine: DiffusersEngine, monkeypatch: pytest.MonkeyPatch, tiling: Tiling
) -> None:
    """Rolling the noise around an axis that wraps rolls the picture, and nothing else."""
    axes = {Tiling.X: (-1,), Tiling.Y: (-2,), Tiling.BOTH: (-2, -1)}[tiling]
    spec = replace(SPEC, tiling=tiling, sampler="ddim")
    picture = pixels_of((await draw(engine, spec))[0].png)
    real = Preparation.lay_out

    def rolled(self: Preparation, before: torch.Tensor | None) -> Any:
        canvas = real(self, before)
        return replace(canvas, latents=canvas.latents.roll([4] * len(axes), axes))

    monkeypatch.setattr(Preparation, "lay_out", rolled)
    moved = pixels_of((await draw(engine, spec))[0].png)
    plain = pixels_of((await draw(engine, replace(spec, tiling=Tiling.NONE)))[0].png)

    pixel_axes = tuple(axis + 2 for axis in axes)
    assert distance(moved, np.roll(picture, [32] * len(axes), pixel_axes)) <= 1
    assert distance(plain, np.roll(picture, [32] * len(axes), pixel_axes)) > 1


async def test_a_guide_leaves_a_seamless_picture_seamless(
    engine: DiffusersEngine, inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An even picture guides every place alike, also at the edge."""
    even = inputs.keep(png_of(np.full((64, 64, 3), 200, np.uint8)), field="controls")
    guided = replace(SPEC, sampler="ddim", controls=(Control("tiny-control", even),))
    spec = replace(guided, tiling=Tiling.BOTH)
    picture = pixels_of((await draw(engine, spec))[0].png)
    real = Preparation.lay_out

    def rolled(self: Preparation, before: torch.Tensor | None) -> Any:
        canvas = real(self, before)
        return replace(canvas, latents=canvas.latents.roll((4, 4), (-2, -1)))

    monkeypatch.setattr(Preparation, "lay_out", rolled)
    moved = pixels_of((await draw(engine, spec))[0].png)
    plain = pixels_of((await draw(engine, guided))[0].png)
    assert distance(moved, np.roll(picture, (32, 32), (0, 1))) <= 1
    assert distance(plain, np.roll(picture, (32, 32), (0, 1))) > 1


async def test_a_refiner_draws_the_last_part(engine: DiffusersEngine, models_dir: Path) -> None:
    from diffusers import StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline

    base = StableDiffusionXLPipeline.from_pretrained(models_dir / "tiny-sdxl", dtype=torch.float32)
    refiner = StableDiffusionXLImg2ImgPipeline.from_pretrained(
        models_dir / "tiny-refiner", dtype=torch.float32
    )
    for one in (base, refiner):
        one.set_progress_bar_config(disable=True)
    latents = base(
        prompt=SPEC.prompt, width=64, height=64, num_inference_steps=5, guidance_scale=5.0,
        denoising_end=0.6, output_type="latent", generator=torch.Generator().manual_seed(7),
    ).images  # fmt: skip
    expected = refiner(
        prompt=SPEC.prompt, image=latents, num_inference_steps=5, guidance_scale=5.0,
        denoising_start=0.6,
    ).images[0]  # fmt: skip

    spec = replace(SPEC, model="tiny-sdxl", steps=5, refiner=Refiner("tiny-refiner", start=0.6))
    picture, progress = await draw(engine, spec)

    assert progress[-1].steps == 5
    assert distance(pixels_of(picture.png), as_array(expected)) <= 1


async def test_a_refiner_of_another_family_is_refused(engine: DiffusersEngine) -> None:
    with pytest.raises(InvalidSpecError) as refused:
        await draw(engine, replace(SPEC, refiner=Refiner("tiny-sdxl")))
    assert refused.value.field == "refiner"


async def test_upscaling_reaches_the_asked_size(engine: DiffusersEngine) -> None:
    picture, _ = await draw(engine, replace(SPEC, upscale=Upscale(scale=1.5)))
    assert (picture.width, picture.height) == (96, 96)
    assert Image.open(io.BytesIO(picture.png)).size == (96, 96)


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"upscale": Upscale(upscaler="nobody")}, "upscale"),
        ({"upscale": Upscale(upscaler="latent")}, "upscale"),
        ({"hires": Hires(upscaler="nobody")}, "hires"),
        ({"loras": (Lora("nobody"),)}, "loras"),
        ({"controls": (Control("nobody", InputRef("")),)}, "controls"),
        ({"refiner": Refiner("nobody")}, "refiner"),
    ],
)
async def test_what_is_not_there_is_refused_before_anything_is_loaded(
    make_engine: Any, wish: dict[str, Any], field: str
) -> None:
    engine = make_engine()
    with pytest.raises(ModelNotFoundError) as refused:
        await draw(engine, replace(SPEC, **wish))
    assert refused.value.field == field
    assert await engine.call(lambda studio: studio.loader.loaded) == ()


@pytest.mark.parametrize(
    ("size", "drawn"),
    [((1024, 1024), [256, 256]), ((64, 64), [128, 128]), ((900, 300), [256, 128])],
)
async def test_a_size_outside_the_model_is_drawn_near_and_said(
    engine: DiffusersEngine, size: tuple[int, int], drawn: list[int]
) -> None:
    spec = replace(SPEC, model="mini", width=size[0], height=size[1], steps=1, sampler="ddim")
    picture, _ = await draw(engine, spec)
    assert (picture.width, picture.height) == size
    assert picture.facts["drawn_size"] == drawn
    (shortfall,) = picture.shortfalls
    assert (shortfall.code, shortfall.field) == ("size_outside_model", "width")
    assert f"{drawn[0]}x{drawn[1]}" in shortfall.detail


async def test_decoding_in_tiles_draws_nearly_the_same(make_engine: Any) -> None:
    spec = replace(SPEC, width=128, height=128)
    whole, _ = await draw(make_engine(), spec)
    tiled, _ = await draw(make_engine(tile_pixels=64 * 64), spec)
    gap = np.abs(pixels_of(whole.png).astype(int) - pixels_of(tiled.png).astype(int))
    assert gap.mean() < 16


async def test_a_long_prompt_is_read_to_its_end(engine: DiffusersEngine) -> None:
    long = " ".join(["cat"] * 90)
    one, _ = await draw(engine, replace(SPEC, prompt=f"{long} dog"))
    other, _ = await draw(engine, replace(SPEC, prompt=f"{long} cat"))
    assert distance(pixels_of(one.png), pixels_of(other.png)) > 0


@pytest.mark.parametrize("model", ["tiny-sd15", "tiny-sdxl"])
async def test_a_weight_changes_the_picture_and_a_weight_of_one_does_not(
    engine: DiffusersEngine, model: str
) -> None:
    spec = replace(SPEC, model=model)
    plain, _ = await draw(engine, replace(spec, prompt="a cat and a dog"))
    one, _ = await draw(engine, replace(spec, prompt="a (cat:1.0) and a dog"))
    strong, _ = await draw(engine, replace(spec, prompt="a (cat:1.8) and a dog"))
    assert one.png == plain.png
    assert distance(pixels_of(strong.png), pixels_of(plain.png)) > 0
