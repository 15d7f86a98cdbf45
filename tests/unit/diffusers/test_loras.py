"""LoRAs act by their weights, and leave no trace."""

import shutil
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engines.base import Picture
from engines.diffusers import DiffusersEngine
from engines.errors import InvalidSpecError
from engines.spec import Lora
from tests.fakes.drawing import SPEC, as_array, distance, draw, draw_all, pixels_of
from tests.fakes.turn import GateTurn


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


async def test_a_tag_in_the_prompt_is_a_lora(engine: DiffusersEngine) -> None:
    told, _ = await draw(engine, replace(SPEC, loras=(Lora("bold", 0.8),)))
    tagged, _ = await draw(engine, replace(SPEC, prompt=f"{SPEC.prompt} <lora:bold:0.8>"))
    assert tagged.png == told.png


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


def put(path: Path, weights: dict[str, torch.Tensor]) -> None:
    """Write a new file in the place of an old one, whose memory may be in use."""
    save_file(weights, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def on_the_text(seed: int) -> dict[str, torch.Tensor]:
    """A LoRA on a text encoder."""
    generator, attention = torch.Generator().manual_seed(seed), "self_attn.q_proj"
    return {
        f"text_encoder.text_model.encoder.layers.{layer}.{attention}.lora_{side}.weight": (
            torch.randn(shape, generator=generator)
        )
        for layer in range(3)
        for side, shape in (("A", (4, 32)), ("B", (32, 4)))
    }


async def test_a_lora_on_the_text_that_was_trained_further_reads_the_prompt_anew(
    engine: DiffusersEngine, make_engine: Any, models_dir: Path
) -> None:
    """Also where another picture was drawn in between, without it."""
    path = models_dir / "loras" / "reader.safetensors"
    spec = replace(SPEC, loras=(Lora("reader"),))
    put(path, on_the_text(1))
    before, _ = await draw(engine, spec)
    plain, _ = await draw(engine, SPEC)
    put(path, on_the_text(2))
    after, _ = await draw(engine, spec)
    expected, _ = await draw(make_engine(), spec)
    path.unlink()
    assert len({before.png, plain.png, after.png}) == 3
    assert after.png == expected.png


async def test_a_picture_goes_on_with_the_lora_that_it_began_with(
    engine: DiffusersEngine, models_dir: Path
) -> None:
    path = models_dir / "loras" / "moving.safetensors"
    spec = replace(SPEC, loras=(Lora("moving"),))
    put(path, load_file(models_dir / "loras" / "bold.safetensors"))
    undisturbed, _ = await draw(engine, spec)
    turn, later = GateTurn("moving"), None
    async with aclosing(engine.generate(spec, turn)) as updates:
        async for update in updates:
            if isinstance(update, Picture):
                picture = update
                break
            if update.step == 2 and later is None:
                turn.close()
                put(path, load_file(models_dir / "loras" / "soft.safetensors"))
                later, _ = await draw(engine, spec)
                turn.open()
    path.unlink()
    assert later is not None
    assert picture.png == undisturbed.png != later.png
    assert [short.code for short in picture.shortfalls] == ["file_changed"]
    assert [fact["sha256"] for fact in picture.facts["loras"]] == [None]
    assert later.facts["loras"][0]["sha256"] != undisturbed.facts["loras"][0]["sha256"]


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
