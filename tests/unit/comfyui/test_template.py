"""A spec is written into a user's workflow."""

from dataclasses import replace

import pytest

from engines.comfyui.sketch import class_of, inputs_of
from engines.errors import InvalidSpecError
from engines.spec import Control, Hires, Lora
from tests.unit.comfyui.authored import NAMES, A, B, asked, filled, template
from tests.unit.comfyui.graphs import (
    CONTROLLED,
    FLUX,
    IMG2IMG,
    TWO_PASSES,
    Graph,
    classic,
    node,
    with_nodes,
)


def test_a_spec_is_written_where_it_belongs() -> None:
    of = template(classic())
    graph, missing = filled(
        of,
        replace(NAMES, checkpoint="b.ckpt", sampler="euler", scheduler="beta"),
        negative_prompt="dogs",
        width=520,
        height=300,
        steps=9,
        cfg=3.0,
    )
    assert not missing
    sampler = dict(inputs_of(graph, "3"))
    assert (sampler["seed"], sampler["steps"], sampler["cfg"]) == (7, 9, 3.0)
    assert (sampler["sampler_name"], sampler["scheduler"]) == ("euler", "beta")
    assert sampler["denoise"] == 1.0
    assert (inputs_of(graph, "6")["text"], inputs_of(graph, "7")["text"]) == ("a cat", "dogs")
    assert (inputs_of(graph, "5")["width"], inputs_of(graph, "5")["height"]) == (520, 304)
    assert inputs_of(graph, "4")["ckpt_name"] == "b.ckpt"
    assert inputs_of(graph, "9")["filename_prefix"] == "kitty/1"


def test_the_template_itself_is_not_written_to() -> None:
    of = template(classic())
    filled(of)
    assert of.graph == classic()


def test_what_the_author_set_are_the_defaults_and_stays() -> None:
    of = template(classic())
    assert of.defaults.sampler == "heun/karras"
    assert (of.defaults.width, of.defaults.height) == (640, 448)
    assert (of.defaults.steps, of.defaults.cfg) == (25, 5.5)
    graph, missing = filled(of)
    assert not missing
    assert inputs_of(graph, "3")["sampler_name"] == "heun"
    assert inputs_of(graph, "4")["ckpt_name"] == "sd/tiny.safetensors"


def test_a_workflow_is_known_by_its_content() -> None:
    assert template(classic()).digest == template(classic()).digest
    assert template(classic()).digest != template(classic(n3__steps=1)).digest


def test_every_pass_takes_the_seed_and_the_first_the_steps() -> None:
    workflow, _ = template(TWO_PASSES).fill(asked(template(TWO_PASSES), steps=10), NAMES)
    assert inputs_of(workflow.graph, "11")["seed"] == 7
    assert workflow.passes == {"3": 10, "11": 12}


def test_pictures_and_strength_are_written_together() -> None:
    graph, missing = filled(template(IMG2IMG), init_image=A, mask=B, strength=0.2, steps=20)
    assert not missing
    assert (inputs_of(graph, "13")["image"], inputs_of(graph, "12")["image"]) == ("a", "b")
    assert (inputs_of(graph, "3")["denoise"], inputs_of(graph, "3")["steps"]) == (0.2, 4)
    graph, _ = filled(template(IMG2IMG))
    assert (inputs_of(graph, "13")["image"], inputs_of(graph, "3")["denoise"]) == ("in.png", 0.6)


def test_control_pictures_go_to_the_control_nets() -> None:
    graph, _ = filled(template(CONTROLLED), controls=(Control("", B),))
    assert inputs_of(graph, "11")["image"] == "b"


@pytest.mark.parametrize(
    ("graph", "wishes", "field"),
    [
        (classic(), {"init_image": A}, "init_image"),
        (classic(), {"controls": (Control("", A),)}, "controls"),
        (CONTROLLED, {"controls": (Control("", A), Control("", B))}, "controls"),
    ],
)
def test_without_its_own_pictures_nothing_is_drawn(
    graph: Graph, wishes: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidSpecError) as caught:
        filled(template(graph), **wishes)
    assert caught.value.field == field


def test_what_a_workflow_does_not_take_is_a_shortfall() -> None:
    _, missing = filled(
        template(FLUX),
        replace(NAMES, checkpoint="x"),
        negative_prompt="dogs",
        cfg=3.0,
        loras=(Lora("x"),),
        hires=Hires(),
        clip_skip=1,
    )
    assert missing == ["negative_prompt", "cfg", "loras", "hires", "clip_skip"]


def test_a_scheduler_without_a_place_is_a_shortfall_of_the_sampler() -> None:
    graph = classic()
    del graph["3"]["inputs"]["scheduler"]
    names = replace(NAMES, sampler="euler", scheduler="karras")
    assert filled(template(graph), names)[1] == ["sampler"]


def test_what_nobody_asked_for_is_no_shortfall() -> None:
    assert filled(template(FLUX))[1] == []


def test_a_preview_becomes_a_file_of_our_name() -> None:
    graph, _ = filled(template(with_nodes(classic(), n9=node("PreviewImage", images=["8", 0]))))
    assert class_of(graph, "9") == "SaveImage"
    assert inputs_of(graph, "9")["filename_prefix"] == "kitty/1"


def test_a_workflow_without_a_result_draws_nothing() -> None:
    graph = classic()
    del graph["9"]
    with pytest.raises(InvalidSpecError, match="saves no picture"):
        filled(template(graph))
