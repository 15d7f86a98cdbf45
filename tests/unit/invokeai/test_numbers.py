"""The graphs say what the spec says: seeds, sizes, steps, strengths, and who comes after whom."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from engines.invokeai.recipe import plan
from engines.spec import Control, Hires, Refiner, Tiling, Upscale
from tests.fakes.invokeai_graphs import problems, size_of
from tests.unit.invokeai.plans import node, nodes, source
from tests.unit.invokeai.specs import CANNY, IMAGE, LORA, MASK, REFINER, SDXL, SPEC, parts


def test_a_plain_picture_has_the_numbers_of_its_spec() -> None:
    drawn = plan(SPEC, parts())
    denoise, noise = node(drawn, "denoise"), node(drawn, "noise")
    assert denoise["steps"] == 20
    assert denoise["cfg_scale"] == 7.0
    assert denoise["scheduler"] == "dpmpp_2m_k"
    assert (denoise["denoising_start"], denoise["denoising_end"]) == (0.0, 1.0)
    assert (noise["seed"], noise["width"], noise["height"]) == (1234, 512, 768)
    assert noise["use_cpu"] is True
    assert drawn.passes == {"denoise": 20}
    assert source(drawn, "denoise", "positive_conditioning") == ("positive", "conditioning")
    assert source(drawn, "denoise", "negative_conditioning") == ("negative", "conditioning")
    assert node(drawn, "positive")["prompt"] == "a lighthouse"


def test_both_text_encoders_of_sdxl_read_the_prompt() -> None:
    drawn = plan(SPEC, parts(model=SDXL))
    for name in ("positive", "negative"):
        assert source(drawn, name, "clip") == ("model", "clip")
        assert source(drawn, name, "clip2") == ("model", "clip2")
        assert node(drawn, name)["style"] == ""
        assert node(drawn, name)["target_height"] == 768


def test_the_vae_runs_in_the_precision_that_was_settled() -> None:
    for fp32 in (True, False):
        drawn = plan(replace(SPEC, init_image=IMAGE), parts(fp32=fp32))
        assert {n["fp32"] for kind in ("l2i", "i2l") for n in nodes(drawn, kind)} == {fp32}


def test_the_strength_is_the_share_that_is_drawn_anew() -> None:
    drawn = plan(replace(SPEC, init_image=IMAGE, strength=0.25), parts())
    assert node(drawn, "denoise")["denoising_start"] == 0.75
    assert drawn.passes == {"denoise": 5}
    assert source(drawn, "denoise", "latents") == ("i2l", "latents")
    assert node(drawn, "img_resize")["image"] == {"image_name": "up-1.png"}


def test_a_mask_guides_every_pass_and_protects_the_original() -> None:
    spec = replace(SPEC, init_image=IMAGE, mask=MASK, hires=Hires(scale=2.0))
    drawn = plan(spec, parts(mask="up-2.png"))
    for name in ("denoise", "denoise_2"):
        assert source(drawn, name, "denoise_mask") == ("create_denoise_mask", "denoise_mask")
    base, image = source(drawn, "img_paste", "base_image"), source(drawn, "img_paste", "image")
    assert base is not None
    assert image is not None
    assert size_of(drawn.graph, base[0]) == (1024, 1536)
    assert node(drawn, image[0])["type"] == "l2i"


def test_the_second_pass_has_noise_steps_and_strength_of_its_own() -> None:
    spec = replace(SPEC, hires=Hires(scale=1.5, strength=0.4, steps=10))
    drawn = plan(spec, parts())
    second = node(drawn, "denoise_2")
    assert (second["steps"], second["denoising_start"]) == (10, 0.6)
    assert drawn.passes == {"denoise": 20, "denoise_2": 4}
    noise = source(drawn, "denoise_2", "noise")
    assert noise is not None
    assert size_of(drawn.graph, noise[0]) == (768, 1152)
    assert source(drawn, "denoise_2", "latents") == ("lresize", "latents")


def test_a_size_off_the_grid_is_drawn_beside_it_and_resized() -> None:
    spec = replace(SPEC, width=104, height=104, hires=Hires(scale=1.3))
    drawn = plan(spec, parts())
    assert size_of(drawn.graph, "lresize") == (136, 136)
    assert size_of(drawn.graph, drawn.output) == (135, 135)


def test_the_refiner_takes_over_where_the_base_stops() -> None:
    spec = replace(SPEC, refiner=Refiner("fine", start=0.75))
    drawn = plan(spec, parts(model=SDXL, refiner=REFINER))
    assert node(drawn, "denoise")["denoising_end"] == 0.75
    assert node(drawn, "denoise_2")["denoising_start"] == 0.75
    assert source(drawn, "denoise_2", "latents") == ("denoise", "latents")
    assert source(drawn, "denoise_2", "noise") is None
    assert source(drawn, "denoise_2", "unet") == ("refiner", "unet")
    assert drawn.passes == {"denoise": 15, "denoise_2": 5}


def test_a_faint_img2img_is_all_the_refiners() -> None:
    spec = replace(SPEC, refiner=Refiner("fine", start=0.5), init_image=IMAGE, strength=0.2)
    drawn = plan(spec, parts(model=SDXL, refiner=REFINER))
    assert source(drawn, "denoise", "unet") == ("refiner", "unet")
    assert source(drawn, "denoise", "noise") == ("noise", "noise")
    assert drawn.passes == {"denoise": 4}


def test_networks_go_through_loras_then_tiling_then_clip_skip() -> None:
    spec = replace(SPEC, tiling=Tiling.Y, clip_skip=1)
    drawn = plan(spec, parts(loras=((LORA, 0.8),)))
    assert source(drawn, "denoise", "unet") == ("seamless", "unet")
    assert source(drawn, "seamless", "unet") == ("adapted", "unet")
    assert source(drawn, "l2i", "vae") == ("seamless", "vae")
    assert source(drawn, "positive", "clip") == ("clip_skip", "clip")
    assert source(drawn, "clip_skip", "clip") == ("adapted", "clip")
    assert node(drawn, "clip_skip")["skipped_layers"] == 1
    seamless = node(drawn, "seamless")
    assert (seamless["seamless_x"], seamless["seamless_y"]) == (False, True)
    assert node(drawn, "lora_selector")["weight"] == 0.8


def test_controls_act_when_and_as_strongly_as_they_should() -> None:
    control = Control("canny", IMAGE, weight=0.6, start=0.1, end=0.9)
    spec = replace(SPEC, controls=(control,), hires=Hires())
    drawn = plan(spec, parts(controls=(CANNY,)))
    added = node(drawn, "controlnet")
    assert added["image"] == {"image_name": "up-1.png"}
    assert added["control_model"]["key"] == CANNY.key
    assert (added["control_weight"], added["begin_step_percent"], added["end_step_percent"]) == (
        0.6,
        0.1,
        0.9,
    )
    for name in ("denoise", "denoise_2"):
        assert source(drawn, name, "control") == ("controls", "collection")


def test_the_board_gets_the_result_and_nothing_else() -> None:
    drawn = plan(replace(SPEC, upscale=Upscale()), parts(board="board-1"))
    boards = {n["id"]: n["board"] for n in drawn.graph["nodes"].values() if "board" in n}  # type: ignore[union-attr]
    assert boards == {drawn.output: {"board_id": "board-1"}}


def test_the_gallery_of_the_server_learns_what_was_drawn() -> None:
    drawn = plan(replace(SPEC, init_image=IMAGE), parts(model=SDXL))
    metadata = node(drawn, "metadata")
    assert metadata["generation_mode"] == "sdxl_img2img"
    assert (metadata["seed"], metadata["positive_prompt"]) == (1234, "a lighthouse")
    assert source(drawn, drawn.output, "metadata") == ("metadata", "metadata")


@given(
    width=st.integers(8, 128).map(lambda n: n * 8),
    height=st.integers(8, 128).map(lambda n: n * 8),
    scale=st.floats(1.0, 4.0),
    latent=st.booleans(),
    upscaled=st.booleans(),
    masked=st.booleans(),
)
def test_any_size_comes_out_as_asked(
    *, width: int, height: int, scale: float, latent: bool, upscaled: bool, masked: bool
) -> None:
    spec = replace(
        SPEC,
        width=width,
        height=height,
        hires=Hires(scale=scale, upscaler="latent" if latent else "lanczos"),
        upscale=Upscale(scale=1.7) if upscaled else None,
        init_image=IMAGE if masked else None,
        mask=MASK if masked else None,
    )
    drawn = plan(spec, parts(mask="up-2.png" if masked else None))
    assert problems(drawn.graph) == []
    assert size_of(drawn.graph, drawn.output) == spec.output_size
