"""What a server is told."""

import base64
from dataclasses import replace

import pytest

from engines.a1111.passes import EXTRAS, IMG2IMG, TXT2IMG, Call
from engines.a1111.payloads import Plan, plan
from engines.a1111.stock import Stock
from engines.errors import InvalidSpecError, ModelNotFoundError
from engines.spec import (
    Control,
    GenerationSpec,
    Hires,
    InputRef,
    Lora,
    Refiner,
    Tiling,
    Upscale,
)
from tests.unit.a1111.stocks import SPEC, STOCK

INIT, MASK = InputRef("init"), InputRef("mask")


def planned(spec: GenerationSpec, stock: Stock = STOCK) -> Plan:
    return plan(spec, stock, lambda ref: ref.encode())


def text(ref: InputRef) -> str:
    return base64.b64encode(ref.encode()).decode()


def test_a_picture_from_a_prompt() -> None:
    [call] = planned(SPEC).calls
    assert (call.path, call.size, call.steps) == (TXT2IMG, (512, 768), 20)
    assert call.body == {
        "prompt": "a lighthouse",
        "negative_prompt": "blurry",
        "styles": [],
        "seed": 1234,
        "subseed": -1,
        "subseed_strength": 0,
        "sampler_name": "DPM++ 2M",
        "scheduler": "Karras",
        "steps": 20,
        "cfg_scale": 7.0,
        "width": 512,
        "height": 768,
        "batch_size": 1,
        "n_iter": 1,
        "tiling": False,
        "restore_faces": False,
        "override_settings": {
            "sd_model_checkpoint": "sd15/photo.safetensors [abcdef1234]",
            "CLIP_stop_at_last_layers": 1,
            "samples_format": "png",
        },
        "override_settings_restore_afterwards": True,
        "send_images": True,
        "save_images": False,
    }
    assert planned(SPEC).shortfalls == ()


def test_only_settings_that_the_server_has_are_sent() -> None:
    [call] = planned(SPEC, replace(STOCK, options=frozenset())).calls
    assert call.body["override_settings"] == {
        "sd_model_checkpoint": "sd15/photo.safetensors [abcdef1234]"
    }


def test_clip_skip_counts_layers_that_are_left_out() -> None:
    spec = replace(SPEC, clip_skip=1)
    settings = planned(spec).calls[0].body["override_settings"]
    assert isinstance(settings, dict)
    assert settings["CLIP_stop_at_last_layers"] == 2
    [short] = planned(spec, replace(STOCK, options=frozenset())).shortfalls
    assert short.field == "clip_skip"


def test_the_second_pass_is_the_servers_own() -> None:
    spec = replace(SPEC, hires=Hires(scale=1.5, strength=0.4, steps=30, upscaler="latent"))
    [call] = planned(spec).calls
    assert call.size == spec.output_size == (768, 1152)
    assert call.steps == 20 + 12
    wanted = {
        "enable_hr": True,
        "hr_resize_x": 768,
        "hr_resize_y": 1152,
        "hr_upscaler": "Latent",
        "hr_second_pass_steps": 12,
        "denoising_strength": 0.4,
    }
    assert wanted.items() <= call.body.items()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("lanczos", "Lanczos"), ("r-esrgan 4x+", "R-ESRGAN 4x+"), ("latent", "Latent")],
)
def test_upscalers_of_the_second_pass(ours: str, theirs: str) -> None:
    [call] = planned(replace(SPEC, hires=Hires(upscaler=ours))).calls
    assert call.body["hr_upscaler"] == theirs


def test_an_unknown_upscaler_is_refused() -> None:
    for spec in (
        replace(SPEC, hires=Hires(upscaler="nope")),
        replace(SPEC, upscale=Upscale(upscaler="latent")),
    ):
        with pytest.raises(ModelNotFoundError):
            planned(spec)


def test_drawing_over_a_picture() -> None:
    [call] = planned(replace(SPEC, init_image=INIT, strength=0.25)).calls
    assert (call.path, call.steps) == (IMG2IMG, 5)
    wanted = {
        "init_images": [text(INIT)],
        "denoising_strength": 0.25,
        "resize_mode": 0,
        "include_init_images": False,
    }
    assert wanted.items() <= call.body.items()
    assert "mask" not in call.body


def test_a_mask_is_white_where_the_picture_may_change() -> None:
    [call] = planned(replace(SPEC, init_image=INIT, mask=MASK)).calls
    wanted = {"mask": text(MASK), "inpainting_mask_invert": 0, "inpainting_fill": 1}
    assert wanted.items() <= call.body.items()


def test_a_second_pass_over_a_picture_is_a_second_call() -> None:
    spec = replace(SPEC, init_image=INIT, mask=MASK, hires=Hires(upscaler="lanczos", strength=0.3))
    first, second = planned(spec).calls
    assert (second.path, second.size, second.steps) == (IMG2IMG, (1024, 1536), 6)
    sent = second.after(b"drawn")
    assert sent.body["init_images"] == [text(InputRef("drawn"))]
    assert (sent.body["width"], sent.body["height"]) == (1024, 1536)
    assert sent.body["denoising_strength"] == 0.3
    assert sent.body["mask"] == text(MASK)
    settings = sent.body["override_settings"]
    assert isinstance(settings, dict)
    assert settings["upscaler_for_img2img"] == "Lanczos"
    assert first.body["denoising_strength"] == 0.75
    latent = planned(replace(spec, hires=Hires(upscaler="latent"))).calls[1]
    assert latent.body["resize_mode"] == 3


def test_an_enlargement_is_a_call_of_its_own() -> None:
    first, second = planned(replace(SPEC, upscale=Upscale(2.0, "R-ESRGAN 4x+"))).calls
    assert first.size == (512, 768)
    assert second == Call(
        EXTRAS,
        {"resize_mode": 0, "upscaling_resize": 2.0, "upscaler_1": "R-ESRGAN 4x+"},
        (1024, 1536),
    )
    assert second.after(b"drawn").body["image"] == text(InputRef("drawn"))


def test_only_drawings_carry_a_task() -> None:
    first, second = planned(replace(SPEC, upscale=Upscale())).calls
    assert first.named("task(x)")["force_task_id"] == "task(x)"
    assert "force_task_id" not in second.named("task(x)")


def test_adapters_are_written_into_the_prompt() -> None:
    result = planned(replace(SPEC, loras=(Lora("Indian Ink", 0.8), Lora("oil"))))
    assert result.calls[0].body["prompt"] == "a lighthouse <lora:ink:0.8> <lora:oil:1>"
    assert result.loras == ("ink", "oil")


def test_missing_adapters_are_refused_or_told() -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        planned(replace(SPEC, loras=(Lora("water"),)))
    assert caught.value.field == "loras"
    with pytest.raises(InvalidSpecError):
        planned(replace(SPEC, loras=(Lora("ink"),)), replace(STOCK, loras=None))
    result = planned(replace(SPEC, prompt="x <lora:water:1> <lora:oil:0.5>"))
    assert [(s.code, s.field) for s in result.shortfalls] == [("unknown_lora", "prompt")]
    assert result.loras == ("oil",)
    assert result.calls[0].body["prompt"] == "x <lora:water:1> <lora:oil:0.5>"


def test_controls() -> None:
    spec = replace(SPEC, controls=(Control("control_canny", INIT, 0.7, 0.1, 0.9),))
    result = planned(spec)
    assert result.controls == 1
    [unit] = result.calls[0].body["alwayson_scripts"]["ControlNet"]["args"]  # type: ignore[index,call-overload]
    wanted = {
        "enabled": True,
        "module": "None",
        "model": "control_canny [d14c016b]",
        "image": text(INIT),
        "weight": 0.7,
        "guidance_start": 0.1,
        "guidance_end": 0.9,
        "save_detected_map": False,
    }
    assert wanted.items() <= unit.items()


def test_a_refiner() -> None:
    [call] = planned(replace(SPEC, refiner=Refiner("new", 0.7))).calls
    assert call.body["refiner_checkpoint"] == "new.ckpt"
    assert call.body["refiner_switch_at"] == 0.7
    with pytest.raises(ModelNotFoundError) as caught:
        planned(replace(SPEC, refiner=Refiner("gone")))
    assert caught.value.field == "refiner"


@pytest.mark.parametrize(
    ("tiling", "told", "short"),
    [
        (Tiling.NONE, False, []),
        (Tiling.BOTH, True, []),
        (Tiling.X, True, ["tiling"]),
        (Tiling.Y, True, ["tiling"]),
    ],
)
def test_tiling(tiling: Tiling, told: bool, short: list[str]) -> None:
    result = planned(replace(SPEC, tiling=tiling))
    assert result.calls[0].body["tiling"] is told
    assert [s.field for s in result.shortfalls] == short


def test_sides_are_multiples_of_eight() -> None:
    result = planned(replace(SPEC, width=515, height=770, upscale=Upscale(1.3)))
    assert result.calls[0].size == (512, 768)
    assert result.calls[1].size == (664, 992)
    assert [s.field for s in result.shortfalls] == ["width", "height", "upscale"]
    tiny = planned(replace(SPEC, width=1))
    assert tiny.calls[0].size == (8, 768)
    hires = planned(replace(SPEC, hires=Hires(scale=1.01)))
    assert hires.calls[0].size == (520, 776)
    assert [s.field for s in hires.shortfalls] == ["hires"]
