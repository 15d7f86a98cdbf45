from dataclasses import replace

import pytest

from engines.comfyui.canvas import Names, Workflow, grid
from engines.comfyui.graph import build
from engines.comfyui.sketch import class_of, inputs_of
from engines.spec import Control, GenerationSpec, Hires, InputRef, Lora, Refiner, Upscale
from tests.fakes.comfyui_nodes import Shelf, refusal, size_of

A, B = InputRef("a" * 64), InputRef("b" * 64)
SPEC = GenerationSpec(
    prompt="a lighthouse",
    negative_prompt="blurry",
    model="tiny",
    width=512,
    height=384,
    steps=20,
    cfg=6.5,
    seed=1234,
    sampler="dpmpp_2m_karras",
)
NAMES = Names(
    checkpoint="sd/tiny.safetensors",
    sampler="dpmpp_2m",
    scheduler="karras",
    prefix="kitty/1",
    images={A: "kitty/a.png", B: "kitty/b.png"},
)
IMG2IMG = replace(SPEC, init_image=A, strength=0.3)
PIXEL_HIRES = replace(SPEC, hires=Hires(scale=1.5, upscaler="double"))
REFINED = replace(SPEC, refiner=Refiner(model="tiny", start=0.75))
MODEL_UPSCALE = replace(SPEC, upscale=Upscale(scale=1.5, upscaler="double"))
CONTROLS = (Control("canny", A, 0.6, 0.1, 0.9), Control("depth", B))


def nodes(workflow: Workflow, node_class: str) -> list[dict[str, object]]:
    graph = workflow.graph
    return [dict(inputs_of(graph, node)) for node in graph if class_of(graph, node) == node_class]


def node(workflow: Workflow, node_class: str) -> dict[str, object]:
    [found] = nodes(workflow, node_class)
    return found


def source(workflow: Workflow, link: object) -> str:
    assert isinstance(link, list)
    return class_of(workflow.graph, link[0])


def test_text_to_image_is_seven_nodes_wired_as_everybody_wires_them() -> None:
    assert build(SPEC, NAMES).graph == {
        "1": {
            "class_type": "CheckpointLoaderSimple",
            "inputs": {"ckpt_name": "sd/tiny.safetensors"},
        },
        "2": {
            "class_type": "CLIPTextEncode",
            "inputs": {"text": "a lighthouse", "clip": ["1", 1]},
        },
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["1", 1]}},
        "4": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": 512, "height": 384, "batch_size": 1},
        },
        "5": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["1", 0],
                "positive": ["2", 0],
                "negative": ["3", 0],
                "latent_image": ["4", 0],
                "seed": 1234,
                "steps": 20,
                "cfg": 6.5,
                "sampler_name": "dpmpp_2m",
                "scheduler": "karras",
                "denoise": 1.0,
            },
        },
        "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
        "7": {
            "class_type": "SaveImage",
            "inputs": {"images": ["6", 0], "filename_prefix": "kitty/1"},
        },
    }


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        IMG2IMG,
        REFINED,
        PIXEL_HIRES,
        MODEL_UPSCALE,
        replace(SPEC, width=500, height=300),
        replace(SPEC, hires=Hires(scale=1.7)),
        replace(IMG2IMG, mask=B, hires=Hires()),
        replace(SPEC, controls=CONTROLS[:1], clip_skip=1, upscale=Upscale(scale=2)),
        replace(IMG2IMG, refiner=Refiner(model="tiny", start=0.8)),
    ],
)
def test_a_server_accepts_every_workflow_and_makes_the_size_asked_for(spec: GenerationSpec) -> None:
    names = replace(
        NAMES,
        loras=(Lora("style.safetensors", 0.5),),
        controls=("canny.safetensors",)[: len(spec.controls)],
        refiner="sd/tiny.safetensors",
        upscalers={"double": "double.pth"},
    )
    shelf = Shelf(uploads={"kitty/a.png": (700, 300), "kitty/b.png": (10, 10)})
    workflow = build(spec, names)
    assert refusal(workflow.graph, shelf) == (None, {})
    assert size_of(workflow.graph, workflow.output, shelf) == spec.output_size == workflow.size


def test_adapters_are_chained_through_model_and_text_encoder() -> None:
    workflow = build(SPEC, replace(NAMES, loras=(Lora("x", 0.8), Lora("y", -0.5))))
    first, second = nodes(workflow, "LoraLoader")
    assert source(workflow, first["model"]) == "CheckpointLoaderSimple"
    assert second["model"] == ["2", 0]
    assert second["clip"] == ["2", 1]
    assert (second["lora_name"], second["strength_model"], second["strength_clip"]) == (
        "y",
        -0.5,
        -0.5,
    )
    assert node(workflow, "KSampler")["model"] == ["3", 0]
    assert [text["clip"] for text in nodes(workflow, "CLIPTextEncode")] == [["3", 1], ["3", 1]]


@pytest.mark.parametrize(("skipped", "stop"), [(1, -2), (2, -3)])
def test_skipped_layers_are_counted_from_the_last(skipped: int, stop: int) -> None:
    workflow = build(replace(SPEC, clip_skip=skipped), NAMES)
    assert node(workflow, "CLIPSetLastLayer")["stop_at_clip_layer"] == stop
    assert source(workflow, nodes(workflow, "CLIPTextEncode")[1]["clip"]) == "CLIPSetLastLayer"


def test_control_nets_lead_both_conditionings_one_after_the_other() -> None:
    workflow = build(replace(SPEC, controls=CONTROLS), replace(NAMES, controls=("c", "d")))
    first, second = nodes(workflow, "ControlNetApplyAdvanced")
    assert source(workflow, first["positive"]) == "CLIPTextEncode"
    assert (first["strength"], first["start_percent"], first["end_percent"]) == (0.6, 0.1, 0.9)
    assert source(workflow, second["positive"]) == "ControlNetApplyAdvanced"
    assert isinstance(second["negative"], list)
    assert second["negative"][1] == 1
    assert isinstance(node(workflow, "KSampler")["negative"], list)
    assert source(workflow, node(workflow, "KSampler")["negative"]) == "ControlNetApplyAdvanced"
    assert [n["image"] for n in nodes(workflow, "LoadImage")] == ["kitty/a.png", "kitty/b.png"]


def test_an_init_image_is_drawn_over_by_its_share_of_the_steps() -> None:
    workflow = build(IMG2IMG, NAMES)
    sampler = node(workflow, "KSampler")
    assert source(workflow, sampler["latent_image"]) == "VAEEncode"
    assert (sampler["steps"], sampler["denoise"]) == (6, 0.3)
    assert workflow.passes == {"7": 6}
    assert node(workflow, "ImageScale")["crop"] == "center"


def test_what_a_mask_protects_is_put_back_at_the_end() -> None:
    workflow = build(replace(IMG2IMG, mask=B), NAMES)
    assert source(workflow, node(workflow, "KSampler")["latent_image"]) == "SetLatentNoiseMask"
    composite = node(workflow, "ImageCompositeMasked")
    assert source(workflow, composite["source"]) == "VAEDecode"
    assert source(workflow, composite["mask"]) == "ImageToMask"
    assert source(workflow, node(workflow, "SaveImage")["images"]) == "ImageCompositeMasked"


def test_a_mask_without_a_picture_is_left_out() -> None:
    assert build(replace(SPEC, mask=B), NAMES).graph == build(SPEC, NAMES).graph


def test_a_second_pass_enlarges_latents_and_draws_a_part_of_its_steps() -> None:
    workflow = build(replace(SPEC, hires=Hires(scale=1.5, strength=0.4, steps=10)), NAMES)
    _, second = nodes(workflow, "KSampler")
    larger = node(workflow, "LatentUpscale")
    assert (larger["width"], larger["height"]) == (768, 576)
    assert source(workflow, second["latent_image"]) == "LatentUpscale"
    assert (second["steps"], second["denoise"]) == (4, 0.4)
    assert list(workflow.passes.values()) == [20, 4]


def test_a_second_pass_in_pixels_decodes_enlarges_and_encodes() -> None:
    workflow = build(PIXEL_HIRES, replace(NAMES, upscalers={"double": "double.pth"}))
    _, second = nodes(workflow, "KSampler")
    assert source(workflow, second["latent_image"]) == "VAEEncode"
    assert source(workflow, node(workflow, "VAEEncode")["pixels"]) == "ImageScale"
    assert source(workflow, node(workflow, "ImageScale")["image"]) == "ImageUpscaleWithModel"
    assert node(workflow, "UpscaleModelLoader")["model_name"] == "double.pth"


def test_an_enlargement_without_a_model_uses_the_named_method() -> None:
    workflow = build(replace(SPEC, upscale=Upscale(scale=2, upscaler="bicubic")), NAMES)
    scaled = node(workflow, "ImageScale")
    assert (scaled["width"], scaled["height"], scaled["upscale_method"]) == (1024, 768, "bicubic")


def test_a_refiner_takes_over_in_the_midst_of_one_schedule() -> None:
    workflow = build(REFINED, replace(NAMES, refiner="fine.safetensors"))
    base, fine = nodes(workflow, "KSamplerAdvanced")
    spans = [(n["start_at_step"], n["end_at_step"]) for n in (base, fine)]
    assert spans == [(0, 15), (15, 20)]
    assert (base["add_noise"], base["return_with_leftover_noise"]) == ("enable", "enable")
    assert (fine["add_noise"], fine["return_with_leftover_noise"]) == ("disable", "disable")
    assert base["model"] != fine["model"]
    assert list(workflow.passes.values()) == [15, 5]


def test_a_refiner_that_starts_at_the_end_is_not_loaded() -> None:
    workflow = build(
        replace(SPEC, refiner=Refiner(model="x", start=1.0)), replace(NAMES, refiner="x")
    )
    assert list(workflow.passes.values()) == [20]
    assert len(nodes(workflow, "CheckpointLoaderSimple")) == 1


@pytest.mark.parametrize(("side", "drawn"), [(1, 16), (64, 64), (65, 72), (511.6, 512)])
def test_latents_have_sides_of_eights(side: float, drawn: int) -> None:
    assert grid(side) == drawn
