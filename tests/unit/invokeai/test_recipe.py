"""The graphs: whole, connected, and with everything the spec asks for in them."""

from dataclasses import replace

import pytest

from engines.invokeai.parts import Parts
from engines.invokeai.recipe import plan
from engines.spec import Control, GenerationSpec, Hires, Refiner, Tiling, Upscale
from tests.fakes.invokeai_graphs import NODES, output_of, problems, size_of
from tests.unit.invokeai.plans import node, nodes, upstream
from tests.unit.invokeai.specs import CANNY, ESRGAN, IMAGE, LORA, MASK, REFINER, SDXL, SPEC, parts

WISHES: dict[str, tuple[GenerationSpec, Parts, set[str]]] = {
    "plain": (SPEC, parts(), {"main_model_loader", "compel", "noise"}),
    "sdxl": (SPEC, parts(model=SDXL), {"sdxl_model_loader", "sdxl_compel_prompt"}),
    "img2img": (replace(SPEC, init_image=IMAGE), parts(), {"i2l", "img_resize"}),
    "inpaint": (
        replace(SPEC, init_image=IMAGE, mask=MASK),
        parts(mask="up-2.png"),
        {"create_denoise_mask", "img_paste"},
    ),
    "lora": (SPEC, parts(loras=((LORA, 0.8),)), {"lora_selector", "lora_collection_loader"}),
    "lora on sdxl": (
        SPEC,
        parts(model=SDXL, loras=((LORA, 0.8),)),
        {"lora_selector", "sdxl_lora_collection_loader"},
    ),
    "control": (
        replace(SPEC, controls=(Control("canny", IMAGE), Control("canny", MASK))),
        parts(controls=(CANNY, CANNY)),
        {"controlnet", "collect"},
    ),
    "hires": (replace(SPEC, hires=Hires()), parts(), {"lresize"}),
    "hires by a model": (
        replace(SPEC, hires=Hires(upscaler="esrgan")),
        parts(upscalers={"esrgan": ESRGAN}),
        {"spandrel_image_to_image_autoscale", "i2l"},
    ),
    "upscale": (replace(SPEC, upscale=Upscale()), parts(), {"img_resize"}),
    "upscale by a model": (
        replace(SPEC, upscale=Upscale(upscaler="esrgan")),
        parts(upscalers={"esrgan": ESRGAN}),
        {"spandrel_image_to_image_autoscale"},
    ),
    "refiner": (
        replace(SPEC, refiner=Refiner("fine")),
        parts(model=SDXL, refiner=REFINER),
        {"sdxl_refiner_model_loader", "sdxl_refiner_compel_prompt"},
    ),
    "tiling": (replace(SPEC, tiling=Tiling.X), parts(), {"seamless"}),
    "clip skip": (replace(SPEC, clip_skip=2), parts(), {"clip_skip"}),
    "vae": (SPEC, parts(vae=LORA), {"vae_loader"}),
}

every_wish = pytest.mark.parametrize("wish", list(WISHES))


@every_wish
def test_the_server_would_take_the_graph(wish: str) -> None:
    spec, given_parts, _ = WISHES[wish]
    drawn = plan(spec, given_parts)
    assert problems(drawn.graph) == []
    for kind, fields in drawn.fields.items():
        assert fields <= NODES[kind], kind


@every_wish
def test_the_result_depends_on_what_was_wished_for(wish: str) -> None:
    spec, given_parts, kinds = WISHES[wish]
    drawn = plan(spec, given_parts)
    own = {node(drawn, drawn.output)["type"]}
    assert kinds | {"denoise_latents", "l2i"} <= upstream(drawn, drawn.output) | own
    assert size_of(drawn.graph, drawn.output) == spec.output_size == drawn.size


@every_wish
def test_only_the_result_is_kept_and_it_is_always_made_anew(wish: str) -> None:
    spec, given_parts, _ = WISHES[wish]
    drawn = plan(spec, given_parts)
    assert output_of(drawn.graph) == drawn.output
    kept = [n["id"] for n in drawn.graph["nodes"].values() if not n["is_intermediate"]]  # type: ignore[union-attr]
    assert kept == [drawn.output]
    for kind in ("l2i", "img_resize", "img_paste", "spandrel_image_to_image_autoscale", "i2l"):
        assert not any(n["use_cache"] for n in nodes(drawn, kind)), kind


@every_wish
def test_every_node_has_a_use(wish: str) -> None:
    spec, given_parts, _ = WISHES[wish]
    drawn = plan(spec, given_parts)
    sources = {edge["source"]["node_id"] for edge in drawn.graph["edges"]}  # type: ignore[union-attr,index,call-overload]
    assert set(drawn.graph["nodes"]) - sources == {drawn.output}  # type: ignore[arg-type]
